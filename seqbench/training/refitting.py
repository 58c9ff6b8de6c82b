"""Whether an estimator that was fitted again answers as the one of the trial did.

Nothing of an estimator is stored, so that what is measured later is another object. It stands for
the trial's only if it gives the same answers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.errors import NotApplicable, PluginError
from seqbench.plugins.choice import Choice
from seqbench.records import Answers
from seqbench.runtimes.compare import relative_error
from seqbench.training.answers import agree, fingerprint_of_inputs
from seqbench.training.estimators import EstimatorModel, fitted, seeded
from seqbench.training.prepared import PreparedSplits
from seqbench.types import ANSWER_FORMS

#: Compared are the answers to at most this many test sequences, evenly spaced, and at most this
#: many numbers, but at least four sequences.
SEQUENCES, MOST_NUMBERS = 256, 1000

VARY = "it answers the same input differently each time"


def record_fit(model: EstimatorModel, splits: PreparedSplits) -> Answers:
    """Record a fitted estimator's answers to some test sequences.

    Returns:
        ``values``, or the ``reason`` why there are none.
    """
    first, second, third = (_answers(model, splits, seed) for seed in (0, 0, 1))
    steady = agree(second, first)
    return {
        "random": steady and not agree(third, first),
        "inputs": fingerprint_of_inputs(splits),
        "values": first.double().tolist() if steady else [],
        "outside": {},
        "reason": "" if steady else VARY,
    }


def refitted(choice: Choice, splits: PreparedSplits, *, seed: int, form: str) -> EstimatorModel:
    """Fit an estimator again as in its trial.

    Args:
        form: what the trial's answers say (:data:`seqbench.types.ANSWER_FORMS`).

    Raises:
        as :func:`seqbench.training.estimators.fitted`.
    """
    with seeded(seed):
        model = fitted(choice, splits, seed)
    if form in ANSWER_FORMS:
        model.form = form
    return model.eval()


def check_refit(model: EstimatorModel, splits: PreparedSplits, recorded: Answers | None) -> None:
    """Check that an estimator that was fitted again answers as the one of the trial did.

    Raises:
        PluginError: the dataset has changed.
        NotApplicable: it answers differently.
    """
    name = model.choice.name
    if recorded is None or recorded["reason"]:
        why = VARY if recorded is None else recorded["reason"]
        raise NotApplicable(f"{name} cannot be compared with the one of the trial: {why}")
    if fingerprint_of_inputs(splits) != recorded["inputs"]:
        raise PluginError(
            f"the dataset was prepared again and now has other test data than {model.who} was "
            "tested on: make its plugin deterministic, and start a new run"
        )
    expected = torch.tensor(recorded["values"], dtype=torch.float64)
    found = _answers(model, splits, seed=0)
    if agree(found, expected):
        return
    by = ""
    if found.shape == expected.shape:
        error = relative_error(found.double(), expected)
        by = f", by {error:.2g} of the largest value"
    raise NotApplicable(
        f"{name}, fitted again with the trial's seed, answers differently{by}: let it draw all "
        "random numbers from the seed that build receives, or from the global generators"
    )


def _answers(model: EstimatorModel, splits: PreparedSplits, seed: int) -> Tensor:
    """The answers to the compared sequences, flat."""
    most = min(SEQUENCES, max(4, MOST_NUMBERS // splits.task.output_size), len(splits.test))
    rows = torch.arange(most) * len(splits.test) // most
    batch = splits.test.batch(rows)
    with seeded(seed), torch.inference_mode():
        answers: Tensor = model(batch.inputs, lengths=batch.lengths)
    return answers.flatten()
