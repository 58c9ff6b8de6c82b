"""The worker job that times a few training steps, to estimate how long a training will take."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from seqbench.devices.registry import device_for, use_full_precision
from seqbench.plugins.choice import Choice
from seqbench.training.data import open_splits
from seqbench.training.job import start_training_process
from seqbench.workers.context import JobContext

if TYPE_CHECKING:
    import torch

    from seqbench.training.batches import Batches
    from seqbench.training.prepared import PreparedSplits
    from seqbench.training.step import Step

#: The first steps take longer.
WARM_UP_STEPS = 3

MIN_STEPS = 3


@dataclass(frozen=True)
class ProbePayload:
    """A model of which a few training steps are timed.

    Args:
        data: the prepared dataset, relative to the cache.
        train: the training settings.
        seconds: for the steps that are timed.
    """

    model: Choice
    data: str
    train: Mapping[str, Any]
    device: str
    seconds: float


def time_epoch(payload: ProbePayload, context: JobContext) -> dict[str, Any]:
    """Estimate the seconds of a period of training, usually an epoch: from a few steps, and one
    pass over a few sequences.

    Returns:
        ``epoch``: seconds of a period, with validation; ``step``: of an optimizer step; ``test``:
        of evaluating the test split; ``spent``: what all this took here.
    """
    import torch

    from seqbench.training.batches import batches_of
    from seqbench.training.model import build_model
    from seqbench.training.periods import Periods
    from seqbench.training.step import Step

    kind = device_for(payload.device)
    start_training_process(kind)
    splits = open_splits(context.workspace.cache / payload.data, payload.train)
    device = kind.torch_device(payload.device)
    torch.manual_seed(0)
    model = build_model(payload.model, splits.task).to(device)
    use_full_precision()
    batches = batches_of(splits, payload.train, device=device, seed=0)
    started = time.perf_counter()
    together = payload.train.get("accumulate", 1)
    periods = Periods.of(payload.train, math.ceil(batches.per_epoch / together))
    step = Step.for_measuring(model, splits, payload.train)
    seconds = together * _batch_seconds(step, batches, payload, device)
    epoch = periods.every * seconds
    sequence = _evaluation_seconds(model, splits, device)
    epoch += sequence * (0 if splits.validation is None else len(splits.validation))
    passes = 1 if splits.validation is None else 2  # at the last and at the best weights
    test = passes * sequence * len(splits.test)
    spent = time.perf_counter() - started
    return {"epoch": epoch, "step": seconds, "test": test, "spent": spent}


def _batch_seconds(
    step: Step, batches: Batches, payload: ProbePayload, device: torch.device
) -> float:
    """Mean seconds of a step on one batch, over random ones."""
    kind = device_for(payload.device)
    step.model.train()
    times: list[float] = []
    until = math.inf
    clock = time.perf_counter()
    for batch in itertools.chain.from_iterable(batches.epoch() for _ in itertools.count()):
        step(batch)
        kind.synchronize(device)
        times.append(time.perf_counter() - clock)
        if len(times) == WARM_UP_STEPS:
            until = time.perf_counter() + payload.seconds
        if len(times) >= WARM_UP_STEPS + MIN_STEPS and time.perf_counter() >= until:
            break
        clock = time.perf_counter()
    return mean(times[WARM_UP_STEPS:])


def _evaluation_seconds(
    model: torch.nn.Module, splits: PreparedSplits, device: torch.device
) -> float:
    """Seconds for evaluating one sequence, from a few hundred of the test split."""
    from seqbench.training.evaluation import EVALUATION_BATCH, evaluate

    part = splits.test.spread(EVALUATION_BATCH)
    evaluate(model, part, device=device)  # the first pass takes longer
    clock = time.perf_counter()
    evaluate(model, part, device=device)
    return (time.perf_counter() - clock) / len(part)
