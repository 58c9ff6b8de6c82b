"""Estimators: models with `fit` and `predict`, which are not trained by gradient.

``build(task, seed=seed, **parameters)`` returns an object with

- ``fit(inputs, targets)``, called once. Inputs are one NumPy array, (n, time, features) float32 or
  (n, time) int64 for tokens; if the lengths of any of the dataset's sequences differ, a list of
  arrays, (time, features) or (time,). Targets: (n,) int64 for a label, (n, outputs) int64 of 0 and
  1 for several, (n, outputs) float32 for values. If targets count unequally, ``fit`` also gets
  ``sample_weight``, (n,) float32, which it has to take; those of weight 0 are left out.
- ``predict(inputs)``, which returns targets; they do not depend on which sequences it gets at once.
- For classes optionally ``predict_proba(inputs)`` or ``decision_function(inputs)``, and
  ``classes_``, as in scikit-learn.

It is fitted to the training split alone, on the CPU, with one thread; of fresh sequences, to as
many as an epoch has. Python's, NumPy's and torch's global generators are seeded with the trial's
seed. It is never stored: who needs it fits it again.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqbench.errors import DataError, NotApplicable, PluginError, reason_of
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object, parameters_of
from seqbench.training.estimator_answers import of_predict, of_probabilities, of_scores
from seqbench.training.fresh import FreshSplit
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Split
from seqbench.types import Task

#: Why an estimator has no cost, and no memory.
UNKNOWN_SIZE = (
    "an estimator has no weights to count, no operators of torch and no training steps, and what "
    "it holds in memory is unknown"
)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch, and restore them afterwards."""
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])


class EstimatorModel(nn.Module):
    """A fitted estimator as a module, so that it is evaluated like any other model.

    Args:
        estimator: fitted.
        choice: what it was built from, for messages.
        ragged: whether it gets lists of sequences, since their lengths differ.
        lengths: the lengths of the sequences that it was fitted to.
        form: what its answers for classes say (:data:`seqbench.types.ANSWER_FORMS`); "" for values.

    ``gave_zero`` tells whether a probability was 0, or 1 of one of several labels. Its logarithm is
    infinite if ``exact`` is set, else replaced by :data:`LARGEST`.
    """

    def __init__(
        self, estimator: Any, choice: Choice, task: Task, *, ragged: bool, lengths: Tensor
    ):
        super().__init__()
        self.estimator, self.choice, self.task = estimator, choice, task
        self.ragged, self.lengths = ragged, lengths
        self.form = offered_form(estimator, task)
        self.exact, self.gave_zero = False, False

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The answers to a batch, (batch, outputs) float32.

        Args:
            x: (batch, time, features), or (batch, time) for tokens.
            lengths: true number of steps of each sequence, (batch,) int64; None if nothing is
                padded.
        """
        inputs = self.inputs(x, lengths)
        scored = self.form in ("probabilities", "scores")
        return self.scored(inputs) if scored else self.predicted(inputs)

    def inputs(self, x: Tensor, lengths: Tensor | None, *, copied: bool = True) -> Any:
        """A batch as an estimator gets it; ``copied``, so that it may modify it."""
        array: NDArray[Any] = x.cpu().numpy()
        array = array.copy() if copied else array
        if not self.ragged:
            return array
        counts = [array.shape[1]] * len(array) if lengths is None else lengths.tolist()
        return [row[:count] for row, count in zip(array, counts, strict=True)]

    def predicted(self, inputs: Any) -> Tensor:
        """The answers from `predict`: for classes 1 or -1 for yes and no, or one-hot."""
        return of_predict(self.estimator.predict(inputs), self.task, len(inputs), who=self.who)

    def scored(self, inputs: Any) -> Tensor:
        """The answers from `predict_proba` or `decision_function`."""
        task, classes = self.task, getattr(self.estimator, "classes_", None)
        if self.form == "scores":
            found = self.estimator.decision_function(inputs)
            return of_scores(found, classes, task, len(inputs), who=self.who)
        found = self.estimator.predict_proba(inputs)
        answers = of_probabilities(found, classes, task, len(inputs), who=self.who)
        self.gave_zero |= bool(answers.isinf().any())
        return answers if self.exact else answers.clamp(-LARGEST, LARGEST)

    @property
    def who(self) -> str:
        """It, in messages."""
        return f"{self.choice.name!r} of {self.choice.distribution} {self.choice.version}"


@contextlib.contextmanager
def probabilities_of_zero(model: nn.Module) -> Iterator[None]:
    """Let a metric see that a probability of an estimator is 0: a cross-entropy is infinite then.

    Raises:
        NotApplicable: the metric is not finite for that reason.
    """
    if not isinstance(model, EstimatorModel):
        yield
        return
    model.exact = True
    try:
        yield
    except PluginError as error:
        if not model.gave_zero:
            raise
        raise NotApplicable(f"{error}; probabilities of the estimator are 0") from error
    finally:
        model.exact = False


#: What stands for the infinite logarithm of a probability of 0, so that answers are finite: that of
#: the smallest number of float32, 1.2e-38.
LARGEST = 87.0


class Predict(nn.Module):
    """An estimator's `predict` alone: what is timed.

    It gets the inputs as NumPy arrays without a copy, and its answer is left as it is.
    """

    def __init__(self, model: EstimatorModel):
        super().__init__()
        self.model, self.known = model, set(model.lengths.tolist())

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Any:
        """Predict a batch: see :meth:`EstimatorModel.forward`.

        Raises:
            NotApplicable: it does not take sequences of a length that it was not fitted to.
        """
        try:
            return self.model.estimator.predict(self.model.inputs(x, lengths, copied=False))
        except Exception as error:
            if x.shape[1] in self.known or lengths is not None:
                raise
            raise NotApplicable(
                f"{self.model.choice.name} was not fitted to sequences of {x.shape[1]} steps, and "
                f"does not take them: {reason_of(error)}"
            ) from error


def offered_form(estimator: Any, task: Task) -> str:
    """What an estimator's answers for classes say, by the methods that it has."""
    if task.target_type == "value":
        return ""
    if callable(getattr(estimator, "predict_proba", None)):
        return "probabilities"
    return "scores" if callable(getattr(estimator, "decision_function", None)) else "classes"


def fitted(choice: Choice, splits: PreparedSplits, seed: int) -> EstimatorModel:
    """Build an estimator and fit it to the training split. Call it within :func:`seeded`.

    Raises:
        PluginError: the plugin's function cannot be found, or what it returns has no `fit` or
            `predict`.
        NotApplicable: it cannot take the weights of the targets.
        DataError: no target counts.
        Exception: any error of the plugin's own code.
    """
    function, task = load_object(choice), splits.task
    check_call(choice, function, task, seed=seed, **choice.params)
    estimator = function(task, seed=seed, **choice.params)
    for method in ("fit", "predict"):
        if not callable(getattr(estimator, method, None)):
            raise PluginError(
                f"{choice.name!r} of {choice.distribution} {choice.version}: {choice.import_path} "
                f"returned {type(estimator).__name__}, which has no method {method}"
            )
    train = splits.train
    split = train.drawn(seed, 0, len(train)) if isinstance(train, FreshSplit) else train
    ragged = splits.unequal or split.offsets is not None
    inputs, targets, weights = training_data(split, ragged=ragged)
    weighted = {}
    if weights is not None:
        if "sample_weight" not in parameters_of(estimator.fit):
            raise NotApplicable(
                f"the fit of {choice.name} takes no sample_weight, and the weights of the training "
                "targets are not only 0 and 1"
            )
        weighted = {"sample_weight": weights}
    estimator.fit(inputs, targets, **weighted)
    return EstimatorModel(estimator, choice, task, ragged=ragged, lengths=split.lengths)


def training_data(
    split: Split, *, ragged: bool
) -> tuple[Any, NDArray[Any], NDArray[np.float32] | None]:
    """Inputs, targets and weights of a split as `fit` gets them: copies, without those of weight 0.

    Weights are None if the others all have weight 1.

    Raises:
        DataError: no target counts.
    """
    weights = None if split.weights is None else split.weights.numpy()
    counted = np.arange(len(split)) if weights is None else np.flatnonzero(weights > 0)
    if not len(counted):
        raise DataError("no training target counts, since all have weight 0")
    x, targets = split.inputs.numpy(), split.targets.numpy()[counted]
    inputs: Any
    if split.offsets is not None:
        offsets = split.offsets.tolist()
        inputs = [x[offsets[row] : offsets[row + 1]].copy() for row in counted]
    else:
        inputs = [one.copy() for one in x[counted]] if ragged else x[counted]
    if split.task.target_type == "labels":
        targets = targets.astype(np.int64)
    chosen = None if weights is None else weights[counted]
    if chosen is not None and bool((chosen == 1).all()):
        chosen = None
    return inputs, targets, chosen
