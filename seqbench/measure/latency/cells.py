"""The cells of a model: one for each combination of the settings in a suite."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import NotApplicable, PluginError, reason_of, status_of
from seqbench.measure.check_stepping import check_steps, state_bytes
from seqbench.measure.latency.mixture import cycle_of, mixture_of
from seqbench.measure.payloads import TimingSettings
from seqbench.measure.subject import Subject
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object
from seqbench.plugins.provenance import check_unchanged
from seqbench.records import AS_DATA, Length
from seqbench.runtimes.base import PreparedCall
from seqbench.runtimes.compare import check_answer
from seqbench.runtimes.registry import BUILT_IN, EAGER
from seqbench.training.model import forward_of
from seqbench.training.stepping import can_step, run_steps
from seqbench.version import __version__

Call = Callable[[], object]

#: The calls to time, in a cycle, and facts about them. Most cells have a single call.
Prepared = tuple[Sequence[Call], dict[str, Any]]


@dataclass(frozen=True)
class Cell:
    """One thing to time.

    Args:
        settings: ``quantity`` (``latency``: a forward pass over whole sequences; ``step``: one more
            step, from the state after all previous ones; ``training_step``), ``batch_size``,
            ``length`` (:data:`seqbench.records.Length`), ``threads``, ``runtime``.
        prepare: returns the calls to time, and facts: for ``step`` the ``state_bytes`` of one
            sequence, for a runtime those in :data:`seqbench.runtimes.base.FACTS`, with lengths as
            in the data the ``mixture``, for ``training_step`` the mean number of ``sequences``.
            Raises PluginError if an answer differs from the plain model's, and NotApplicable for a
            length that the model does not accept.
        mode: the context in which the call runs.
        before: called before each block, without being timed.
    """

    settings: dict[str, Any]
    prepare: Callable[[], Prepared]
    mode: Callable[[], AbstractContextManager[object]]
    before: Callable[[], object] = lambda: None


def cells_of(subject: Subject, settings: TimingSettings) -> list[Cell]:
    """The cells of a model in inference; that of its training is
    :func:`.training_cell.training_cell`.

    Args:
        settings: see :class:`seqbench.measure.payloads.TimingSettings`.
    """
    lengths = _lengths(subject, settings)
    plugins = settings.plugin_runtimes
    runtimes = [_Runtime.named(name, plugins.get(name)) for name in settings.runtimes]
    axes = (runtimes, settings.threads, lengths, settings.batch_sizes)
    cells = [
        _as_data(subject, runtime, threads, size)
        if length == AS_DATA
        else _forward(subject, runtime, threads, length, size)
        for runtime, threads, length, size in itertools.product(*axes)
    ]
    if can_step(subject.model):
        cells.append(_step(subject, min(settings.batch_sizes), settings.threads[0]))
    return cells


def _lengths(subject: Subject, settings: TimingSettings) -> list[Length]:
    """The lengths to time at, each once, the dataset's own first. If all test sequences have one
    length, that stands for the lengths of the data.
    """
    found: list[Length] = [subject.splits.task.length] if settings.own_length else []
    found += settings.seq_lens
    if settings.as_data:
        lengths = torch.unique(subject.splits.test.lengths).tolist()
        found.append(AS_DATA if len(lengths) > 1 else lengths[0])
    return list(dict.fromkeys(found))


def settings_of(
    quantity: str, batch_size: int, length: Length, threads: int, runtime: str
) -> dict[str, Any]:
    """The settings of a cell."""
    return {
        "quantity": quantity,
        "batch_size": batch_size,
        "length": length,
        "threads": threads,
        "runtime": runtime,
    }


@dataclass(frozen=True)
class _Runtime:
    """A runtime by its name in a suite; ``from_plugin`` unless it is built in."""

    name: str
    choice: Choice
    from_plugin: bool

    @classmethod
    def named(cls, name: str, plugin: Choice | None) -> _Runtime:
        """The plugin's runtime if there is one, otherwise the built-in one."""
        if plugin is not None:
            return cls(name, plugin, from_plugin=True)
        spec = BUILT_IN[name]
        return cls(name, Choice(name, {}, spec.prepare, "seqbench", __version__), from_plugin=False)

    def __str__(self) -> str:
        origin = f" of {self.choice.distribution} {self.choice.version}" if self.from_plugin else ""
        return f"runtime {self.name!r}{origin}"


def _forward(
    subject: Subject, runtime: _Runtime, threads: int, length: int, batch_size: int
) -> Cell:
    def prepare() -> Prepared:
        subject.require_setting(runtime.name, threads)
        subject.require_length(length)
        x = subject.batch(batch_size, length=length).inputs
        prepared = _prepared(runtime, subject, x, threads)
        call = prepared.call
        return [lambda: call(x)], dict(prepared.facts)

    settings = settings_of("latency", batch_size, length, threads, runtime.name)
    return Cell(settings, prepare, torch.inference_mode)


def _as_data(subject: Subject, runtime: _Runtime, threads: int, batch_size: int) -> Cell:
    """Test sequences with their own lengths, padded in batches, as in evaluation."""

    def prepare() -> Prepared:
        if runtime.name != EAGER:
            raise NotApplicable(
                f"lengths as in the data are timed with the runtime {EAGER} only; others prepare a "
                "call for inputs of one shape"
            )
        subject.require_setting(runtime.name, threads)
        test = subject.splits.test
        rows = cycle_of(test, batch_size)
        subject.require_lengths(rows)
        forward = forward_of(subject.timed)
        calls = [partial(forward, test.batch(some).to(subject.device)) for some in rows]
        return calls, {"mixture": mixture_of([[test.lengths[some]] for some in rows])}

    settings = settings_of("latency", batch_size, AS_DATA, threads, runtime.name)
    return Cell(settings, prepare, torch.inference_mode)


def _prepared(runtime: _Runtime, subject: Subject, x: Tensor, threads: int) -> PreparedCall:
    """Prepare a runtime's call and compare its answers with those of the plain model.

    Raises:
        PluginError: the runtime was edited since the run was planned, raises an error, or its
            answers differ.
    """
    if runtime.name == EAGER:
        return _call_prepare(runtime, subject, x, threads)
    if runtime.from_plugin:
        check_unchanged(runtime.choice)
    other = _other_inputs(subject, x)  # detects a call that only repeats its first answer
    before = x.clone()
    with torch.inference_mode():
        expected, expected_of_other = subject.model(x), subject.model(other)
    with _errors_naming(runtime):
        clock = time.perf_counter()
        prepared = _call_prepare(runtime, subject, x, threads)
        torch.set_num_threads(threads)  # preparation may have changed it
        with torch.inference_mode():
            answer = prepared.call(x)
            subject.synchronize()
            seconds = time.perf_counter() - clock
    check_answer(answer, expected, str(runtime))
    with _errors_naming(runtime), torch.inference_mode():
        answer = prepared.call(other)
    check_answer(answer, expected_of_other, f"{runtime}, other inputs")
    if not torch.equal(x, before):
        raise PluginError(f"{runtime} changes its inputs: later calls would get other ones")
    return PreparedCall(prepared.call, {"first_call_s": seconds, **prepared.facts})


def _other_inputs(subject: Subject, x: Tensor) -> Tensor:
    """Inputs of the same shape as ``x``: the next sequences, or the same ones backwards."""
    following = subject.batch(2 * len(x), length=x.shape[1]).inputs[len(x) :]
    return x.flip(1) if torch.equal(following, x) else following


def _call_prepare(runtime: _Runtime, subject: Subject, x: Tensor, threads: int) -> PreparedCall:
    """Call a runtime's function with the subject's model."""
    function = load_object(runtime.choice)
    check_call(runtime.choice, function, subject.model, x, threads=threads)
    # On a copy, so that a plugin's changes to the model affect no other figure.
    model = _copy_of(subject.model) if runtime.from_plugin else subject.timed
    with torch.no_grad():
        prepared = function(model, x, threads=threads)
    return prepared if isinstance(prepared, PreparedCall) else PreparedCall(prepared)


def _copy_of(model: nn.Module) -> nn.Module:
    """A copy whose recurrent weights are contiguous, as in the original: otherwise, cuDNN copies
    them together at every call.
    """
    copied = copy.deepcopy(model)
    for module in copied.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()
    return copied


@contextmanager
def _errors_naming(runtime: _Runtime) -> Iterator[None]:
    """Raise errors as PluginError with the runtime's name; out of memory stays out of memory."""
    try:
        yield
    except Exception as error:
        if status_of(error) == "out_of_memory":
            raise
        raise PluginError(f"{runtime}: {reason_of(error)}") from error


def _step(subject: Subject, batch_size: int, threads: int) -> Cell:
    """The last step of the dataset's length, always from the state after the previous steps."""
    length = subject.splits.task.length
    settings = settings_of("step", batch_size, length, threads, EAGER)

    def prepare() -> Prepared:
        model: Any = subject.model
        x = subject.batch(batch_size).inputs
        with torch.inference_mode():
            check_steps(model, x, per_step=subject.splits.task.per_step)
            before = run_steps(model, x[:, :-1])[1] if length > 1 else None
            size = state_bytes(model, x)
        last = x[:, -1]
        return [lambda: model.step(last, before)], {"state_bytes": size}

    return Cell(settings, prepare, torch.inference_mode)
