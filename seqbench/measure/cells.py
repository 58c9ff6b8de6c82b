"""What is timed of a model: each combination of the settings that a suite asks for is a cell."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from seqbench import models, training
from seqbench.errors import PluginError
from seqbench.measure.subject import Subject, synchronize

#: How far the answers of two ways to compute the same may be apart, as a share of the largest
#: answer: rounding differs, and adds up over the steps of a sequence.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}

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


def of(subject: Subject, settings: Mapping[str, Any], train: Mapping[str, Any]) -> list[Cell]:
    """The cells of a model.

    Args:
        settings: ``runtimes``, ``threads``, ``seq_lens`` (none: the dataset's own length),
            ``batch_sizes``, ``training_step`` (whether it is asked for).
        train: the training settings.
    """
    lengths = settings["seq_lens"] or [subject.splits.task.length]
    axes = (settings["runtimes"], settings["threads"], lengths, settings["batch_sizes"])
    found = [_forward(subject, *values) for values in itertools.product(*axes)]
    if models.can_step(subject.model):
        found.append(_step(subject, min(settings["batch_sizes"]), settings["threads"][0]))
    if settings["training_step"]:
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


def _compiled(model: nn.Module) -> Callable[[Tensor], Tensor]:
    # One thread compiles: a pool of processes would still be there while others are timed.
    torch._inductor.config.compile_threads = 1
    # Shapes and thread counts are compiled apart; torch 2.5 and older call the limit otherwise.
    limits = torch._dynamo.config
    name = "recompile_limit" if hasattr(limits, "recompile_limit") else "cache_size_limit"
    setattr(limits, name, 64)
    return torch.compile(model, dynamic=False)


RUNTIMES: Mapping[str, Callable[[nn.Module], Callable[[Tensor], Tensor]]] = {
    "eager": lambda model: model,
    "compile": _compiled,
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
            before = models.steps(model, x[:, :-1])[1] if length > 1 else None
            state = models.steps(model, x[:1, :1])[1]
        last = x[:, -1]
        return lambda: model.step(last, before), {"state_bytes": bytes_of(state)}

    return Cell(settings, prepare, torch.inference_mode)


def _training_step(subject: Subject, train: Mapping[str, Any]) -> Cell:
    def prepare() -> Prepared:
        model = copy.deepcopy(subject.model).train()  # the one that others time stays as it is
        step = training.Step(model, subject.splits.task, train, steps_per_epoch=10**6)
        batch = subject.batch(train["batch_size"], split="train")
        return lambda: step(*batch), {}

    length = subject.splits.task.length
    settings = _settings("training_step", train["batch_size"], length, train["threads"], "eager")
    return Cell(settings, prepare, torch.enable_grad)


def check_steps(model: nn.Module, x: Tensor, *, per_step: bool) -> None:
    """Checks that step after step gives what the whole sequence at once gives.

    Args:
        model: one that can step (see :func:`seqbench.models.can_step`).
        x: (batch, time[, features]).
        per_step: whether the model answers at every step.

    Raises:
        PluginError: it does not.
    """
    answers = models.steps(model, x)[0]
    found = torch.stack(answers, dim=1) if per_step else answers[-1]
    try:
        check_equal(found, model(x), "step by step")
    except PluginError as error:
        raise PluginError(f"{error}{_first_wrong(model, x, answers, per_step)}") from None


def _first_wrong(model: nn.Module, x: Tensor, answers: Sequence[Tensor], per_step: bool) -> str:
    """Where the answers of the steps part from those of the sequence up to there."""
    for position, answer in enumerate(answers):
        expected = model(x[:, : position + 1])
        expected = expected[:, -1] if per_step else expected
        try:
            check_equal(answer, expected, "")
        except PluginError:
            return f"; step {position + 1} of {len(answers)} is the first to differ"
    return ""


def check_equal(found: Tensor, expected: Tensor, what: str) -> None:
    """Checks an answer against that of the plain model.

    Raises:
        PluginError: it has another shape, or is further off than ``TOLERANCE``.
    """
    if found.shape != expected.shape:
        raise PluginError(
            f"{what}: the answer has shape {tuple(found.shape)}, not {tuple(expected.shape)}"
        )
    error = relative_error(found, expected)
    allowed = TOLERANCE.get(expected.dtype, 0.0)
    if not error <= allowed:  # NaN is an error too
        raise PluginError(
            f"{what}: the answer differs from that of the whole sequence in eager mode by "
            f"{error:.2g} of the largest value; {allowed:.0e} is allowed"
        )


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Largest difference as a share of the largest expected value."""
    found, expected = found.detach(), expected.detach()
    scale = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
    return float((found - expected).abs().max() / scale)


def bytes_of(state: Any) -> int:
    """Bytes of all tensors in nested tuples, lists and dictionaries."""
    return sum(leaf.numel() * leaf.element_size() for leaf in _tensors(state))


def _tensors(state: Any) -> Iterator[Tensor]:
    return (leaf for leaf in pytree.tree_leaves(state) if isinstance(leaf, Tensor))
