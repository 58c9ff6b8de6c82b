"""The worker job that fits an estimator: what a training is for other models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import NotApplicable
from seqbench.plan.cases import Metric
from seqbench.plugins.provenance import source_of, version_of
from seqbench.store.files import sha256_of
from seqbench.training.confusion import Confusion
from seqbench.training.data import open_splits
from seqbench.training.estimators import (
    LARGEST,
    EstimatorModel,
    fitted,
    probabilities_of_zero,
    seeded,
)
from seqbench.training.evaluation import Answered, evaluate
from seqbench.training.job import TrainPayload, keeping
from seqbench.training.parts import Parts
from seqbench.training.plugin_metric import PluginMeter
from seqbench.training.prepared import PreparedSplits
from seqbench.training.primary import own_metric, primary_of
from seqbench.training.refitting import record_fit
from seqbench.workers.context import JobContext

CPU = torch.device("cpu")

ONLY_CLASSES = "so its answers count as classes only, without probabilities or scores"


def fit(payload: TrainPayload, context: JobContext) -> dict[str, Any]:
    """Fit an estimator, evaluate it on the test split, and write its answers if they are kept.

    Returns:
        fields of :class:`.TrialRecord`; and ``answers_sha256``, empty if no answers are kept.

    Raises:
        PluginError: the estimator breaks its contract.
        NotApplicable: it cannot take the weights of the targets, or the primary metric needs more
            than its answers say.
        StoreError: the answers cannot be written.
    """
    splits = open_splits(context.workspace.cache / payload.data, payload.train)
    primary = primary_of(splits, payload.primary_metric)
    source = source_of(payload.model.import_path, payload.model.distribution)
    version = version_of(payload.model.distribution)
    kept = context.workspace.run / payload.answers if payload.answers else None
    with seeded(payload.seed):
        model = fitted(payload.model, splits, payload.seed)
        observed = Observed(model)
        evaluate(observed, splits.test, device=CPU)
        if why := observed.choose_form():
            context.send({"warn": f"{payload.model.name}: {why}, {ONLY_CLASSES}"})
        digest = _Digest()
        with keeping(kept, splits) as meters:
            metrics = evaluated(observed, splits, payload.primary_metric, [digest, *meters])
    return {
        **primary.fields,
        "metrics": metrics,
        "initial": digest.hexdigest[:10],
        "weights_sha256": digest.hexdigest,
        "answers": record_fit(model, splits),
        "form": model.form,
        "answers_sha256": "" if kept is None else sha256_of(kept),
        "data": splits.sizes,
        "source": source,
        "version": version,
    }


def evaluated(
    observed: Observed, splits: PreparedSplits, metric: Metric | None, meters: list[Any]
) -> dict[str, Any]:
    """The figures on the test split. There are no epochs, and so none that is best or last.

    Args:
        metric: the primary one; None for the task's own.

    Raises:
        NotApplicable: the primary metric needs more than the answers say.
    """
    task, test, own = splits.task, splits.test, own_metric(splits.task)
    confusion, none = Confusion(task), dict.fromkeys(("last", "best", "best_epoch", "validation"))
    parts = Parts(test, own.make)
    meters = [confusion, *([] if metric else [parts]), *meters]
    value = evaluate(observed.replayed(), test, device=CPU, make=own.make, meters=meters)
    found = {"value": value, **none, **confusion.result()}
    if metric is None:
        return {**found, **parts.result()}
    if reason := metric.why_not(observed.model.form):
        raise NotApplicable(f"primary_metric: {metric.label} {reason}")

    def make() -> PluginMeter:
        return PluginMeter(metric.choice, task, splits.train)

    parts = Parts(test, make)
    with probabilities_of_zero(observed.model):
        value = evaluate(observed.replayed(), test, device=CPU, make=make, meters=[parts])
        return {**found, "value": value, **parts.result(), own.name: found["value"]}


class Observed(nn.Module):
    """An estimator that is asked in both ways, by `predict` and for probabilities or scores.

    The figure is that of `predict`, so the others only count if they agree with it in every answer.
    """

    def __init__(self, model: EstimatorModel):
        super().__init__()
        self.model = model
        self.found: list[tuple[Tensor, Tensor | None]] = []

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The answers from `predict`."""
        inputs = self.model.inputs(x, lengths)
        predicted = self.model.predicted(inputs)
        scored = None
        if self.model.form in ("probabilities", "scores"):
            self.model.exact = True  # clamped when it is replayed
            scored = self.model.scored(self.model.inputs(x, lengths))
            self.model.exact = False
        self.found.append((predicted, scored))
        return predicted

    def choose_form(self) -> str:
        """Decide what the answers say; returns why they say less than the methods promise."""
        pairs = [(p, s) for p, s in self.found if s is not None]
        if not pairs:
            return ""
        method = "predict_proba" if self.model.form == "probabilities" else "decision_function"
        why = ""
        if self.model.form == "probabilities" and all(_no_more_than_classes(s) for _, s in pairs):
            why = "its predict_proba returns only 0 and 1 for the test split"
        elif not all(self._agree(p, s) for p, s in pairs):
            why = f"its {method} and its predict disagree on the test split"
        if why:
            self.model.form = "classes"
        return why

    def _agree(self, predicted: Tensor, scored: Tensor) -> bool:
        if self.model.task.target_type == "label":
            return torch.equal(predicted.argmax(-1), scored.argmax(-1))
        return torch.equal(predicted > 0, scored > 0)

    def replayed(self) -> _Replayed:
        """A model that gives the same answers in the same order."""
        plain = self.model.form in ("", "classes")
        answers = (p if plain or s is None else s for p, s in self.found)
        if self.model.form == "probabilities" and not self.model.exact:
            answers = (one.clamp(-LARGEST, LARGEST) for one in answers)
        return _Replayed(answers)


def _no_more_than_classes(answers: Tensor) -> bool:
    """Whether every probability is 0 or 1."""
    return bool(((answers == 0) | answers.isinf()).all())


class _Replayed(nn.Module):
    """Gives recorded answers, one batch after another."""

    def __init__(self, answers: Iterator[Tensor]):
        super().__init__()
        self.answers = answers

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The next answers."""
        return next(self.answers)


class _Digest:
    """A hash of all answers; a :class:`seqbench.training.evaluation.Meter`."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, answered: Answered) -> None:
        """Add the answers to some sequences."""
        self._hash.update(answered.answers.contiguous().numpy().tobytes())

    @property
    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return self._hash.hexdigest()
