"""The worker job that times a few training steps, to estimate how long a training will take."""

from __future__ import annotations

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

    from seqbench.training.step import Step
    from seqbench.types import Splits

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
    """Estimate the seconds of an epoch, from a few steps and one pass over a few sequences.

    Returns:
        ``epoch``: seconds of an epoch, with validation; ``test``: of evaluating the test split;
        ``spent``: what all this took here.
    """
    import torch

    from seqbench.training.model import build_model
    from seqbench.training.step import Step

    kind = device_for(payload.device)
    start_training_process(kind)
    splits = open_splits(context.workspace.cache / payload.data)
    device = kind.torch_device(payload.device)
    torch.manual_seed(0)
    model = build_model(payload.model, splits.task).to(device)
    use_full_precision()
    size, count = payload.train["batch_size"], len(splits.train[0])
    steps = math.floor(count / size) if payload.train.get("drop_last") else math.ceil(count / size)
    started = time.perf_counter()
    # A schedule takes no time, and may end after the steps of the suite.
    step = Step(model, splits.task, {**payload.train, "schedule": None}, steps)
    epoch = steps * _step_seconds(step, splits, payload, device)
    sequence = _evaluation_seconds(model, splits, device)
    epoch += sequence * (0 if splits.validation is None else len(splits.validation[0]))
    passes = 1 if splits.validation is None else 2  # at the last and at the best weights
    test = passes * sequence * len(splits.test[0])
    return {"epoch": epoch, "test": test, "spent": time.perf_counter() - started}


def _step_seconds(step: Step, splits: Splits, payload: ProbePayload, device: torch.device) -> float:
    """Mean seconds of a step, on random batches."""
    import torch

    kind = device_for(payload.device)
    inputs, targets = (tensor.to(device) for tensor in splits.train)
    size = min(payload.train["batch_size"], len(inputs))
    step.model.train()
    times: list[float] = []
    until = math.inf
    while len(times) < WARM_UP_STEPS + MIN_STEPS or time.perf_counter() < until:
        clock = time.perf_counter()
        batch = torch.randint(len(inputs), (size,), device=device)
        step(inputs.index_select(0, batch), targets.index_select(0, batch))
        kind.synchronize(device)
        times.append(time.perf_counter() - clock)
        if len(times) == WARM_UP_STEPS:
            until = time.perf_counter() + payload.seconds
    return mean(times[WARM_UP_STEPS:])


def _evaluation_seconds(model: torch.nn.Module, splits: Splits, device: torch.device) -> float:
    """Seconds for evaluating one sequence, from a batch of the test split."""
    from seqbench.training.evaluation import EVALUATION_BATCH, evaluate

    part = min(len(splits.test[0]), EVALUATION_BATCH)
    batch = (splits.test[0][:part], splits.test[1][:part])
    evaluate(model, batch, task=splits.task, device=device)  # the first pass takes longer
    clock = time.perf_counter()
    evaluate(model, batch, task=splits.task, device=device)
    return (time.perf_counter() - clock) / part
