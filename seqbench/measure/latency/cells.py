"""What is timed of a model: each combination of the settings that a suite asks for is a cell."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.devices.base import synchronize
from seqbench.measure.payloads import TimingSettings
from seqbench.measure.stepping import bytes_of, check_steps
from seqbench.measure.subject import Subject
from seqbench.runtimes.check import check_equal
from seqbench.runtimes.compile import compiled
from seqbench.training.step import Step
from seqbench.training.stepping import can_step, run_steps

Call = Callable[[], object]

#: The call that is timed, and what was found out about it on the way.
Prepared = tuple[Call, dict[str, Any]]


@dataclass(frozen=True)
class Cell:
    """One thing to time.

    Args:
        settings: ``quantity`` (``latency``: a forward pass of whole sequences; ``step``: one more
            step with the state that the steps before have left; ``training_step``), ``batch_size``,
            ``length``, ``threads``, ``runtime``.
        prepare: makes the call that is timed, and finds out ``state_bytes`` of one sequence for
            ``step``, ``first_call_s`` and ``graph_breaks`` for a runtime. It raises PluginError
            where the answer is not that of the plain model.
        mode: the context that the call is made in.
    """

    settings: dict[str, Any]
    prepare: Callable[[], Prepared]
    mode: Callable[[], AbstractContextManager[object]]


def cells_of(subject: Subject, settings: TimingSettings, train: Mapping[str, Any]) -> list[Cell]:
    """The cells of a model.

    Args:
        settings: ``runtimes``, ``threads``, ``seq_lens`` (none: the dataset's own length),
            ``batch_sizes``, ``training_step`` (whether it is asked for).
        train: the training settings.
    """
    lengths = settings.seq_lens or [subject.splits.task.length]
    axes = (settings.runtimes, settings.threads, lengths, settings.batch_sizes)
    found = [_forward(subject, *values) for values in itertools.product(*axes)]
    if can_step(subject.model):
        found.append(_step(subject, min(settings.batch_sizes), settings.threads[0]))
    if settings.training_step:
        found.append(_training_step(subject, train))
    return found


def _settings(quantity: str, batch_size: int, length: int, threads: int, runtime: str) -> Any:
    return {
        "quantity": quantity,
        "batch_size": batch_size,
        "length": length,
        "threads": threads,
        "runtime": runtime,
    }


def _forward(subject: Subject, runtime: str, threads: int, length: int, batch_size: int) -> Cell:
    def prepare() -> Prepared:
        x = subject.batch(batch_size, length=length)[0]
        function = RUNTIMES[runtime](subject.model)
        facts = {} if runtime == "eager" else _first_answer(function, subject, x, runtime)
        return lambda: function(x), facts

    settings = _settings("latency", batch_size, length, threads, runtime)
    return Cell(settings, prepare, torch.inference_mode)


def _first_answer(
    function: Callable[[Tensor], Tensor], subject: Subject, x: Tensor, runtime: str
) -> dict[str, Any]:
    """Checks the first answer of a runtime, and says what it took to get it.

    Returns:
        ``first_call_s``: seconds, compiling included; ``graph_breaks``: how often the runtime gave
        a part of the model back to eager mode.
    """
    breaks = torch._dynamo.utils.counters["graph_break"]
    breaks.clear()
    with torch.inference_mode():
        clock = time.perf_counter()
        answer = function(x)
        synchronize(subject.device)
        seconds = time.perf_counter() - clock
        check_equal(answer, subject.model(x), f"runtime {runtime!r}")
    return {"first_call_s": seconds, "graph_breaks": sum(breaks.values())}


RUNTIMES: Mapping[str, Callable[[nn.Module], Callable[[Tensor], Tensor]]] = {
    "eager": lambda model: model,
    "compile": compiled,
}


def _step(subject: Subject, batch_size: int, threads: int) -> Cell:
    """The last step of the longest sequence, each time from the state that those before left."""
    length = subject.splits.task.length
    settings = _settings("step", batch_size, length, threads, "eager")

    def prepare() -> Prepared:
        model: Any = subject.model
        x = subject.batch(batch_size)[0]
        with torch.inference_mode():
            check_steps(model, x, per_step=subject.splits.task.target == "label_per_step")
            before = run_steps(model, x[:, :-1])[1] if length > 1 else None
            state = run_steps(model, x[:1, :1])[1]
        last = x[:, -1]
        return lambda: model.step(last, before), {"state_bytes": bytes_of(state)}

    return Cell(settings, prepare, torch.inference_mode)


def _training_step(subject: Subject, train: Mapping[str, Any]) -> Cell:
    def prepare() -> Prepared:
        model = copy.deepcopy(subject.model).train()  # the one that others time stays as it is
        step = Step(model, subject.splits.task, train, steps_per_epoch=10**6)
        batch = subject.batch(train["batch_size"], split="train")
        return lambda: step(*batch), {}

    length = subject.splits.task.length
    settings = _settings("training_step", train["batch_size"], length, train["threads"], "eager")
    return Cell(settings, prepare, torch.enable_grad)
