"""Validation of one split that a dataset plugin returned: types, shapes, ranges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor

from seqbench.training.split import Split
from seqbench.types import IGNORED, Task

#: The smallest and largest weight besides 0, so that sums of them are exact enough.
LIMITS = (1e-9, 1e9)

WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class Flaw(Exception):
    """A loaded dataset is invalid; the text does not name the plugin."""


@dataclass(frozen=True)
class _Part:
    """Inputs, targets or weights of a split.

    Args:
        values: of one length (n, …); of unequal length all steps one after another.
        lengths: of each sequence, if unequal; else None.
    """

    values: Tensor
    lengths: tuple[int, ...] | None = None

    @property
    def count(self) -> int:
        return len(self.values if self.lengths is None else self.lengths)


@dataclass(frozen=True)
class _Form:
    """What is accepted.

    Args:
        dtype: converted to this; integers and floats are not converted to each other.
        row: the shape of one step, or without ``steps`` of one sequence.
        steps: whether there is one at each step.
    """

    dtype: torch.dtype
    row: tuple[int, ...]
    steps: bool

    def words(self, leading: Sequence[object]) -> str:
        sizes = [*leading, *self.row]
        return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"

    @property
    def dense(self) -> str:
        return self.words(["n", "time"] if self.steps else ["n"])

    @property
    def accepted(self) -> str:
        numbers = "floating-point numbers" if self.dtype.is_floating_point else "integers"
        each = f", or a list of {self.words(['time'])}, one for each sequence" if self.steps else ""
        return f"accepted: one dense tensor or NumPy array of {numbers}, {self.dense}{each}"


def checked_split(value: Any, task: Task, what: str, *, may_be_empty: bool = False) -> Split:
    """Validate a split and return it as it is stored.

    Args:
        value: (inputs, targets) or (inputs, targets, weights): see :class:`seqbench.Splits`.
        what: its name in messages.
        may_be_empty: whether all targets may have weight 0.

    Raises:
        Flaw: it does not match the task; the text says what is accepted.
    """
    if not isinstance(value, (tuple, list)) or len(value) not in (2, 3):
        size = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
        raise Flaw(
            f"{what} is {type(value).__name__}{size}, not a pair of inputs and targets: "
            "(x, y), or (x, y, weights); x is one tensor or NumPy array with all sequences of the "
            "split, or a list of them if their lengths differ"
        )
    x = _checked_inputs(value[0], task, f"{what} x")
    y = _checked_targets(value[1], task, f"{what} y", x)
    weights = None
    if len(value) == 3 and value[2] is not None:
        weights = _checked_weights(value[2], task, f"{what} weights", x)
    y, weights = _without_ignored(y, weights, task)
    if weights is not None and not may_be_empty and not bool(weights.any()):
        raise Flaw(f"{what} y: no target counts, since all have weight 0")
    return Split(task, x.values, y, weights, _offsets(x.lengths) if x.lengths else None)


def joined(parts: Sequence[Split]) -> Split:
    """One split with the sequences of several."""
    times = {one.inputs.shape[1] for one in parts if one.offsets is None}
    if len(times) != 1 or any(one.offsets is not None for one in parts):
        parts = [one.flat() for one in parts]
    offsets = weights = None
    if parts[0].offsets is not None:
        lengths = torch.cat([one.lengths for one in parts])
        offsets = _offsets(lengths.tolist())
    if any(one.weights is not None for one in parts):
        weights = torch.cat([_weights_of(one) for one in parts])
    return Split(
        parts[0].task,
        torch.cat([one.inputs for one in parts]),
        torch.cat([one.targets for one in parts]),
        weights,
        offsets,
    )


def _weights_of(split: Split) -> Tensor:
    """Weights of every target, shaped as targets without outputs."""
    if split.weights is not None:
        return split.weights
    shape = split.targets.shape if split.task.target_type == "label" else split.targets.shape[:-1]
    return torch.ones(shape)


def _offsets(lengths: Sequence[int]) -> Tensor:
    return torch.tensor([0, *lengths], dtype=torch.int64).cumsum(0)


def _checked_inputs(value: Any, task: Task, what: str) -> _Part:
    """Inputs: (n, time, input_size) float32 features, or (n, time) int64 tokens, or lists."""
    tokens = task.input == "tokens"
    form = (
        _Form(torch.int64, (), True) if tokens else _Form(torch.float32, (task.input_size,), True)
    )
    part = _checked_part(value, form, what)
    if tokens:
        _check_range(part.values, what, kind="token", size=task.input_size, bound="input_size")
    return part


def _checked_targets(value: Any, task: Task, what: str, x: _Part) -> Tensor:
    """Targets of ``x``, with the types that :class:`seqbench.Task` gives; -100 is still in them."""
    several = () if task.target_type == "label" else (task.output_size,)
    types = {"label": torch.int64, "labels": torch.uint8, "value": torch.float32}
    form = _Form(types[task.target_type], several, task.per_step)
    part = _checked_part(value, form, what)
    _check_matches(part, x, form, what, f"target {task.target!r}")
    if task.target_type == "label":
        counted = part.values[part.values != IGNORED]
        size = task.output_size
        _check_range(counted, what, kind="class", size=size, bound="output_size")
    return part.values


def _checked_weights(value: Any, task: Task, what: str, x: _Part) -> Tensor:
    """Weights of the targets; with targets at each step also one for each sequence. Booleans and
    integers are weights, too.
    """
    value = _as_floats(value)
    one_each = isinstance(value, (numpy.ndarray, Tensor)) and value.ndim == 1
    form = _Form(torch.float32, (), task.per_step and not (one_each and value.dtype != object))
    part = _checked_part(value, form, what)
    _check_matches(part, x, form, what, f"target {task.target!r}")
    weights = part.values
    low, high = LIMITS
    beyond = weights[(weights != 0) & ((weights < low) | (weights > high))]
    if len(beyond):
        raise Flaw(f"{what} contains {float(beyond[0]):g}; accepted: 0, and {low:g} to {high:g}")
    if task.per_step and not form.steps:
        if x.lengths is None:
            return weights[:, None].repeat(1, x.values.shape[1])
        return weights.repeat_interleave(torch.tensor(x.lengths))
    return weights


def _as_floats(value: Any) -> Any:
    """Arrays of booleans or integers as floating-point numbers; all else as it is."""
    if type(value) in (list, tuple):
        return [_as_floats(one) for one in value]
    if isinstance(value, numpy.ndarray) and value.dtype.kind in "bui":
        return value.astype("float32")
    if isinstance(value, Tensor) and value.dtype in WHOLE:
        return value.float()
    return value


def _without_ignored(y: Tensor, weights: Tensor | None, task: Task) -> tuple[Tensor, Tensor | None]:
    """Labels of -100 as class 0 of weight 0; and weights, None if all are 1."""
    if task.target_type == "label" and bool((y == IGNORED).any()):
        counted = (y != IGNORED).float()
        weights = counted if weights is None else weights * counted
        y = y * (y != IGNORED)
    if weights is None or bool((weights == 1).all()):
        return y, None
    return y, weights


def _checked_part(value: Any, form: _Form, what: str) -> _Part:
    """Inputs, targets or weights of one form: one tensor, or a list of them with steps."""
    values = _as_list(value) if form.steps else None
    if values is None:
        tensor = _as_tensor(value, form, what, form.accepted)
        leading = 2 if form.steps else 1
        if tuple(tensor.shape[leading:]) != form.row or tensor.dim() < leading:
            raise Flaw(f"{what} has shape {tuple(tensor.shape)}, not {form.dense}")
        if 0 in tensor.shape[:leading]:
            raise Flaw(f"{what} is empty (shape {tuple(tensor.shape)})")
        _check_finite(tensor, what, lambda place: place)
        return _Part(tensor)
    if not values:
        raise Flaw(f"{what} is empty (a list of no sequences)")
    parts = [_as_sequence(one, form, f"{what}[{number}]") for number, one in enumerate(values)]
    lengths = tuple(map(len, parts))
    flat = torch.cat(parts)
    ends = _offsets(lengths)[1:]
    _check_finite(flat, what, lambda place: int(torch.searchsorted(ends, place, right=True)))
    if len(set(lengths)) == 1:
        return _Part(flat.view(len(lengths), lengths[0], *flat.shape[1:]))
    return _Part(flat, lengths)


def _as_list(value: Any) -> list[Any] | None:
    """The sequences of a list of arrays; None if it is no such list."""
    if isinstance(value, Tensor) and value.is_nested:
        return list(value.unbind())
    if isinstance(value, numpy.ndarray) and value.dtype == object and value.ndim == 1:
        return list(value)
    if type(value) in (list, tuple) and all(
        isinstance(one, (Tensor, numpy.ndarray)) for one in value
    ):  # torch's PackedSequence is another kind of tuple
        return list(value)
    return None


def _as_sequence(value: Any, form: _Form, what: str) -> Tensor:
    """One sequence of a list: (time, …)."""
    shape = form.words(["time"])
    tensor = _as_tensor(value, form, what, f"accepted: {shape}")
    if tensor.dim() != 1 + len(form.row) or tuple(tensor.shape[1:]) != form.row:
        raise Flaw(f"{what} has shape {tuple(tensor.shape)}, not {shape}")
    if len(tensor) == 0:
        raise Flaw(f"{what} has no steps (shape {tuple(tensor.shape)})")
    return tensor


def _check_matches(part: _Part, x: _Part, form: _Form, what: str, why: str) -> None:
    """Raise Flaw unless there is one for each sequence, or for each step, of ``x``."""
    if form.steps and (part.lengths is not None or x.lengths is not None):
        steps = x.lengths or (x.values.shape[1],) * x.count
        own = part.lengths or (part.values.shape[1],) * part.count
        if own == steps:
            return
        if len(own) != len(steps):
            raise Flaw(f"{what} has {len(own):,} sequences, but x has {len(steps):,}")
        first = next(n for n, pair in enumerate(zip(own, steps, strict=True)) if pair[0] != pair[1])
        raise Flaw(f"{what}[{first}] has {own[first]} steps, but x[{first}] has {steps[first]}")
    leading = x.values.shape[:2] if form.steps else (x.count,)
    expected = (*leading, *form.row)
    if tuple(part.values.shape) != expected:
        shape = "a list of unequal lengths" if x.lengths else f"shape {tuple(x.values.shape)}"
        raise Flaw(
            f"{what} has shape {tuple(part.values.shape)}, not {expected} ({why}, inputs of "
            f"{shape})"
        )


def _as_tensor(value: Any, form: _Form, what: str, accepted: str) -> Tensor:
    """A contiguous CPU tensor; integers and floats are not converted to each other.

    Args:
        accepted: what is accepted, in words.

    Raises:
        Flaw: it is something else.
    """
    dtype = form.dtype
    if isinstance(value, numpy.ndarray):
        if numpy.ma.is_masked(value):
            raise Flaw(f"{what} is an array with masked values; {accepted}, without a mask")
        if value.dtype == numpy.uint64 and bool((value > numpy.iinfo(numpy.int64).max).any()):
            raise Flaw(f"{what} contains {value.max()}, which is too large for {dtype}")
        try:
            value = torch.from_numpy(numpy.require(value, requirements=["C", "W"]))
        except (TypeError, ValueError) as error:
            raise Flaw(f"{what} is an array of {value.dtype}, not {dtype}; {accepted}") from error
    if not isinstance(value, Tensor):
        raise Flaw(f"{what} is {type(value).__name__}; {accepted}{_hint(value, form)}")
    if odd := _not_dense(value):
        raise Flaw(f"{what} is {odd}; {accepted}")
    if value.is_complex() or value.is_floating_point() != dtype.is_floating_point:
        raise Flaw(f"{what} is {value.dtype}, not {dtype}; {accepted}")
    plain = value.detach().as_subclass(Tensor).to(device="cpu")
    if dtype == torch.uint8 and bool((plain.bool() != plain).any()):  # else 256 would become 0
        raise Flaw(f"{what} contains {_first(plain)}; accepted: 0 and 1")
    return plain.to(dtype=dtype).contiguous()


def _first(values: Tensor) -> int:
    """The first number that is neither 0 nor 1."""
    return int(values[(values != 0) & (values != 1)][0])


def _hint(value: Any, form: _Form) -> str:
    """What to do about a list, or torch's packed sequences."""
    if type(value).__name__ == "PackedSequence":
        return "; unpack it"
    parts = "make its parts arrays" if form.steps else "make it one array"
    return f"; {parts}" if isinstance(value, (list, tuple)) else ""


def _not_dense(value: Tensor) -> str:
    """Which kind of tensor it is, in words, if it is not a dense one with values; else ""."""
    if value.is_nested:
        return "a nested tensor"
    if value.layout != torch.strided:
        return f"a sparse tensor ({value.layout})"
    if value.is_meta:
        return "a tensor on the device meta, without values"
    return f"a quantized tensor ({value.dtype})" if value.is_quantized else ""


def _check_finite(tensor: Tensor, what: str, sequence_at: Callable[[int], int]) -> None:
    """Raise Flaw if any number is NaN or infinite.

    Args:
        sequence_at: the number of the sequence that a place in the first dimension belongs to.
    """
    if not tensor.is_floating_point():
        return
    finite = torch.isfinite(tensor)
    if bool(finite.all()):
        return
    wrong = int((~finite).sum())
    (first, *_) = (~finite).nonzero()[0].tolist()
    raise Flaw(
        f"{what} contains NaN or infinity (as {tensor.dtype}): {wrong:,} of {tensor.numel():,} "
        f"numbers, first in sequence {sequence_at(first)}; only finite numbers are accepted"
    )


def _check_range(tensor: Tensor, what: str, *, kind: str, size: int, bound: str) -> None:
    """Raise Flaw unless all entries are from 0 to below ``size``, the task's ``bound``."""
    if not tensor.numel():
        return
    low, high = (int(limit) for limit in tensor.aminmax())
    if low < 0 or high >= size:
        wrong = low if low < 0 else high
        raise Flaw(
            f"{what} contains {kind} {wrong}, but task.{bound} {size} allows 0 to {size - 1}"
        )
