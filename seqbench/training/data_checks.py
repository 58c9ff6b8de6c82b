"""Validation of a loaded dataset against its Task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqbench.types import Splits, Task

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = ("train", "test", "validation")


class Flaw(Exception):
    """A loaded dataset is invalid; the text does not name the plugin."""


def checked_tensors(loaded: Any) -> dict[str, Tensor]:
    """Validate a loaded dataset and return its tensors as models receive them.

    Returns:
        the tensors by their names in the prepared file.

    Raises:
        Flaw: the dataset does not match its task.
    """
    if not isinstance(loaded, Splits):
        raise Flaw(f"load returned {type(loaded).__name__}, not seqbench.Splits")
    task = loaded.task
    _check_task(task)
    tensors: dict[str, Tensor] = {}
    for split in SPLITS:
        pair = getattr(loaded, split)
        if pair is None and split == "validation":
            continue
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            size = f" of {len(pair)}" if isinstance(pair, (tuple, list)) else ""
            raise Flaw(
                f"{split} is {type(pair).__name__}{size}, not a pair of inputs and targets: "
                "(x, y), each one tensor or NumPy array with all sequences of the split"
            )
        x = _checked_inputs(pair[0], task, f"{split} x")
        y = _checked_targets(pair[1], task, f"{split} y", x)
        tensors |= {f"{split}_x": x, f"{split}_y": y}
    longest = max(tensor.shape[1] for name, tensor in tensors.items() if name.endswith("_x"))
    if longest != task.length:
        raise Flaw(f"the longest sequence has {longest} steps, but task.length is {task.length}")
    return tensors


def _check_task(task: Any) -> None:
    if not isinstance(task, Task):
        raise Flaw(f"task is {type(task).__name__}, not seqbench.Task")
    if task.input not in ("features", "tokens"):
        raise Flaw(f"task.input is {task.input!r}, not 'features' or 'tokens'")
    if task.target not in ("label", "value", "label_per_step"):
        raise Flaw(f"task.target is {task.target!r}, not 'label', 'value' or 'label_per_step'")
    for name in ("input_size", "output_size", "length"):
        value = getattr(task, name)
        if type(value) is not int or value < 1:
            raise Flaw(f"task.{name} is {value!r}, not an integer of at least 1")
    names = task.class_names
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        raise Flaw("task.class_names is not a tuple of strings")
    if names and len(names) != task.output_size:
        raise Flaw(f"task.class_names has {len(names)} names for {task.output_size} classes")
    if type(task.causal) is not bool:
        raise Flaw(f"task.causal is {task.causal!r}, not True or False")
    if task.causal and not task.target.endswith("_per_step"):
        raise Flaw(
            f"task.causal is True, but task.target is {task.target!r}: only answers at each step "
            "can be causal; leave it out"
        )


def _checked_inputs(value: Any, task: Task, what: str) -> Tensor:
    """Inputs: (n, time, input_size) float32 features, or (n, time) int64 tokens."""
    import torch

    tokens = task.input == "tokens"
    expected = "(n, time)" if tokens else f"(n, time, {task.input_size})"
    x = _as_tensor(value, torch.int64 if tokens else torch.float32, what, expected)
    if x.dim() != (2 if tokens else 3) or (not tokens and x.shape[2] != task.input_size):
        raise Flaw(f"{what} has shape {tuple(x.shape)}, not {expected}")
    if x.shape[0] == 0 or x.shape[1] == 0:
        raise Flaw(f"{what} is empty (shape {tuple(x.shape)})")
    if tokens:
        _check_range(x, task, what, kind="token", bound="input_size")
    return x


def _checked_targets(value: Any, task: Task, what: str, x: Tensor) -> Tensor:
    """Targets of ``x``: (n,) or (n, time) int64 labels, or (n, output_size) float32 values."""
    import torch

    values = task.target == "value"
    in_words = {"label": "(n,)", "value": f"(n, {task.output_size})", "label_per_step": "(n, time)"}
    kind = torch.float32 if values else torch.int64
    y = _as_tensor(value, kind, what, in_words[task.target])
    expected: tuple[int, ...] = {
        "label": (x.shape[0],),
        "value": (x.shape[0], task.output_size),
        "label_per_step": (x.shape[0], x.shape[1]),
    }[task.target]
    if tuple(y.shape) != expected:
        raise Flaw(
            f"{what} has shape {tuple(y.shape)}, not {expected} "
            f"(target {task.target!r}, inputs of shape {tuple(x.shape)})"
        )
    if not values:
        _check_range(y, task, what, kind="class", bound="output_size")
    return y


def _as_tensor(value: Any, dtype: Any, what: str, shape: str) -> Tensor:
    """A contiguous CPU tensor of ``dtype``; integers and floats are not converted to each other.

    Args:
        shape: what is accepted, in words.

    Raises:
        Flaw: it is something else, or contains NaN or infinity; the text says what is accepted.
    """
    import numpy
    import torch

    numbers = "floating-point numbers" if dtype.is_floating_point else "integers"
    accepted = f"accepted: one dense tensor or NumPy array of {numbers}, {shape}"
    if isinstance(value, numpy.ndarray):
        if numpy.ma.is_masked(value):
            raise Flaw(f"{what} is an array with masked values; {accepted}, without a mask")
        try:
            value = torch.from_numpy(numpy.require(value, requirements=["C", "W"]))
        except (TypeError, ValueError) as error:
            raise Flaw(f"{what} is an array of {value.dtype}, not {dtype}; {accepted}") from error
    if not isinstance(value, torch.Tensor):
        raise Flaw(f"{what} is {type(value).__name__}; {accepted}{_ragged(value)}")
    if odd := _not_dense(value):
        raise Flaw(f"{what} is {odd}; {accepted}{ONE_LENGTH if value.is_nested else ''}")
    if value.is_complex() or value.is_floating_point() != dtype.is_floating_point:
        raise Flaw(f"{what} is {value.dtype}, not {dtype}; {accepted}")
    plain = value.detach().as_subclass(torch.Tensor)
    tensor = plain.to(device="cpu", dtype=dtype).contiguous()
    if dtype.is_floating_point:
        _check_finite(tensor, what)
    return tensor


#: What to do about sequences that differ in length.
ONE_LENGTH = "; all sequences of a dataset have the same length: pad or cut them"


def _ragged(value: Any) -> str:
    """The hint for a list whose parts differ in length; else ""."""
    if not isinstance(value, (list, tuple)):
        return ONE_LENGTH if type(value).__name__ == "PackedSequence" else ""
    lengths = {len(part) for part in value if getattr(part, "shape", None) != ()
               and hasattr(part, "__len__")}  # fmt: skip
    return ONE_LENGTH if len(lengths) > 1 else "; stack its parts"


def _not_dense(value: Tensor) -> str:
    """Which kind of tensor it is, in words, if it is not a dense one with values; else ""."""
    import torch

    if value.is_nested:
        return "a nested tensor"
    if value.layout != torch.strided:
        return f"a sparse tensor ({value.layout})"
    if value.is_meta:
        return "a tensor on the device meta, without values"
    return f"a quantized tensor ({value.dtype})" if value.is_quantized else ""


def _check_finite(tensor: Tensor, what: str) -> None:
    """Raise Flaw if any number is NaN or infinite."""
    import torch

    finite = torch.isfinite(tensor)
    if bool(finite.all()):
        return
    wrong = int((~finite).sum())
    (first, *_) = (~finite).nonzero()[0].tolist()
    raise Flaw(
        f"{what} contains NaN or infinity (as {tensor.dtype}): {wrong:,} of {tensor.numel():,} "
        f"numbers, first in sequence {first}; only finite numbers are accepted"
    )


def _check_range(tensor: Tensor, task: Task, what: str, *, kind: str, bound: str) -> None:
    """Raise Flaw unless all entries are from 0 to below ``task.bound``."""
    size: int = getattr(task, bound)
    low, high = (int(bound) for bound in tensor.aminmax())
    if low < 0 or high >= size:
        wrong = low if low < 0 else high
        raise Flaw(
            f"{what} contains {kind} {wrong}, but task.{bound} {size} allows 0 to {size - 1}"
        )
