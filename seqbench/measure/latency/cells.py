"""What is timed of a model: each combination of the settings that a suite asks for is a cell."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqbench.errors import PluginError, reason_of, status_of
from seqbench.measure.payloads import TimingSettings
from seqbench.measure.stepping import bytes_of, check_steps
from seqbench.measure.subject import Subject
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object
from seqbench.plugins.provenance import check_unchanged
from seqbench.runtimes.base import PreparedCall
from seqbench.runtimes.check import check_answer
from seqbench.runtimes.registry import BUILT_IN, EAGER
from seqbench.training.step import Step
from seqbench.training.stepping import can_step, run_steps
from seqbench.version import __version__

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
            ``step``, and what :data:`seqbench.runtimes.base.FACTS` lists for a runtime. It raises
            PluginError where the answer is not that of the plain model.
        mode: the context that the call is made in.
    """

    settings: dict[str, Any]
    prepare: Callable[[], Prepared]
    mode: Callable[[], AbstractContextManager[object]]


def cells_of(subject: Subject, settings: TimingSettings, train: Mapping[str, Any]) -> list[Cell]:
    """The cells of a model.

    Args:
        settings: ``runtimes``, ``threads``, ``seq_lens`` (none: the dataset's own length),
            ``batch_sizes``, ``training_step`` (whether it is asked for), ``plugin_runtimes``.
        train: the training settings.
    """
    lengths = settings.seq_lens or [subject.splits.task.length]
    plugins = settings.plugin_runtimes
    runtimes = [_Runtime.called(name, plugins.get(name)) for name in settings.runtimes]
    axes = (runtimes, settings.threads, lengths, settings.batch_sizes)
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


@dataclass(frozen=True)
class _Runtime:
    """A runtime as a suite names it; ``from_plugin`` where it does not come with seqbench."""

    name: str
    choice: Choice
    from_plugin: bool

    @classmethod
    def called(cls, name: str, plugin: Choice | None) -> _Runtime:
        """The one of a plugin, or else seqbench's own."""
        if plugin is not None:
            return cls(name, plugin, from_plugin=True)
        spec = BUILT_IN[name]
        return cls(name, Choice(name, {}, spec.prepare, "seqbench", __version__), from_plugin=False)

    def __str__(self) -> str:
        whose = f" of {self.choice.distribution} {self.choice.version}" if self.from_plugin else ""
        return f"runtime {self.name!r}{whose}"


def _forward(
    subject: Subject, runtime: _Runtime, threads: int, length: int, batch_size: int
) -> Cell:
    def prepare() -> Prepared:
        x = subject.batch(batch_size, length=length)[0]
        prepared = _prepared(runtime, subject, x, threads)
        call = prepared.call
        return lambda: call(x), dict(prepared.facts)

    settings = _settings("latency", batch_size, length, threads, runtime.name)
    return Cell(settings, prepare, torch.inference_mode)


def _prepared(runtime: _Runtime, subject: Subject, x: Tensor, threads: int) -> PreparedCall:
    """A runtime's call, after its answers were compared with those of the plain model.

    Raises:
        PluginError: the runtime was edited since the run was planned, raises an error, or gives
            another answer.
    """
    if runtime.name == EAGER:
        return _call_prepare(runtime, subject, x, threads)
    if runtime.from_plugin:
        check_unchanged(runtime.choice)
    other = x.flip(1)  # a call that only repeats its first answer is found by a second input
    with torch.inference_mode():
        expected, expected_of_other = subject.model(x), subject.model(other)
    with _named(runtime):
        clock = time.perf_counter()
        prepared = _call_prepare(runtime, subject, x, threads)
        torch.set_num_threads(threads)  # it may have used more to prepare
        with torch.inference_mode():
            answer = prepared.call(x)
            subject.synchronize()
            seconds = time.perf_counter() - clock
    check_answer(answer, expected, str(runtime))
    with _named(runtime), torch.inference_mode():
        answer = prepared.call(other)
    check_answer(answer, expected_of_other, f"{runtime}, reversed inputs")
    return PreparedCall(prepared.call, {"first_call_s": seconds, **prepared.facts})


def _call_prepare(runtime: _Runtime, subject: Subject, x: Tensor, threads: int) -> PreparedCall:
    """What a runtime's function returns for the subject's model."""
    function = load_object(runtime.choice)
    check_call(runtime.choice, function, subject.model, x, threads=threads)
    # What a plugin does to the model changes no other figure.
    model = copy.deepcopy(subject.model) if runtime.from_plugin else subject.model
    with torch.no_grad():
        found = function(model, x, threads=threads)
    return found if isinstance(found, PreparedCall) else PreparedCall(found)


@contextmanager
def _named(runtime: _Runtime) -> Iterator[None]:
    """Errors name the runtime; lack of memory stays what it is."""
    try:
        yield
    except Exception as error:
        if status_of(error) == "out_of_memory":
            raise
        raise PluginError(f"{runtime}: {reason_of(error)}") from error


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
