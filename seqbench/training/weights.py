"""Saving and loading the weights of a model, as one safetensors file."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save, save_file
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from seqbench.errors import PluginError, StoreError
from seqbench.plugins.choice import Choice

#: Maximum number of names in a message.
MOST_NAMED = 4

#: How deeply nested containers are searched for tensors.
MOST_NESTED = 4


def check_savable(model: nn.Module, choice: Choice) -> None:
    """Check, before training, that the weights file can hold the model's whole state dict.

    Raises:
        PluginError: it contains something that is not a dense tensor of a known type.
    """
    for name, value in model.state_dict().items():
        problem = _problem_with(name, value)
        if problem:
            raise PluginError(
                f"{choice.name!r} of {choice.distribution} {choice.version}: {problem}"
            )


def _problem_with(name: str, value: Any) -> str:
    """Why a value cannot be stored in the weights file; "" if it can."""
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        module, _, key = name.rpartition(".")
        if key == "_extra_state":
            where = f"get_extra_state() of {module!r}" if module else "get_extra_state()"
            return (
                f"{where} returns {kind}, but weights files hold tensors only: return a tensor, "
                "or use buffers (register_buffer)"
            )
        return f"{name!r} in its state_dict() is {kind}, but weights files hold tensors only"
    if is_lazy(value):
        return ""  # it gets its shape, and its type is torch's default
    if value.is_sparse or value.is_quantized or value.is_meta or not _is_strided(value):
        return f"{name!r} is {_described(value)}, but weights files hold dense tensors with values"
    try:
        save({"empty": value.new_empty(0)})
    except Exception:  # the error depends on the version of safetensors
        return f"{name!r} is a tensor of {value.dtype}, which weights files cannot hold"
    return ""


def _is_strided(value: Tensor) -> bool:
    return value.layout == torch.strided


def _described(value: Tensor) -> str:
    if value.is_quantized:
        return "a quantized tensor"
    return "a tensor on 'meta'" if value.is_meta else f"a tensor of layout {value.layout}"


def initial_digest(model: nn.Module) -> str:
    """Hash of the initial values of a model's parameters; "" if it has none that are known yet."""
    known = [parameter for parameter in model.parameters() if not is_lazy(parameter)]
    return _digest(known) if known else ""


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the state dict of a model that passes :func:`check_savable`.

    Every tensor is stored contiguously; views are copied. Of tensors that are the same (tied
    weights), one is stored; the file's metadata maps the names of the others to it. This is the
    format of ``safetensors.torch.save_model``, which refuses views.

    Raises:
        OSError, SafetensorError: the file cannot be written.
    """
    stored: dict[str, Tensor] = {}
    same_as: dict[str, str] = {}
    by_place: dict[Any, str] = {}
    storages: set[Any] = set()
    state: Mapping[str, Tensor] = model.state_dict()
    for name in sorted(state):
        tensor = state[name]
        if not tensor.numel():
            stored[name] = tensor
            continue
        storage = (tensor.device, tensor.untyped_storage().data_ptr())
        place = (storage, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        kept = by_place.setdefault(place, name)
        if kept != name:
            same_as[name] = kept
            continue
        shared = storage in storages or not _is_whole(tensor)
        storages.add(storage)
        stored[name] = tensor.contiguous().clone() if shared else tensor.contiguous()
    ordered = {name: stored[name] for name in state if name in stored}
    save_file(ordered, str(path), metadata=same_as or None)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a file of :func:`save_weights` into a model on the CPU.

    Raises:
        PluginError: the file's tensors are not those of the model.
        StoreError: the file is missing.
        OSError, SafetensorError: the file cannot be read.
    """
    if not path.exists():
        raise StoreError(f"its weights are gone: {path.name} was deleted, and not trained again")
    with safe_open(str(path), framework="pt") as file:
        same_as = file.metadata() or {}
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    for name, kept in same_as.items():
        if kept in state:
            state.setdefault(name, state[kept])
    load_state(model, state)


def load_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state dict, also into buffers that are expanded (``zeros(1).expand(8)``).

    Raises:
        PluginError: its tensors are not those of the model.
    """
    own_buffers(model)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise PluginError(
            f"the trained weights do not fit a newly built model ({reason}): names and shapes of "
            "parameters and buffers must not change after the model is built"
        ) from error


def own_buffers(model: nn.Module) -> None:
    """Give each element of an expanded buffer its own memory, so that it can be written to."""
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and _is_expanded(buffer):
                module._buffers[name] = buffer.contiguous()


def _is_whole(tensor: Tensor) -> bool:
    """Whether a tensor covers its whole storage."""
    return tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()


def _is_expanded(tensor: Tensor) -> bool:
    """Whether elements share memory, so that the tensor cannot be written to."""
    if is_lazy(tensor) or not _is_strided(tensor):
        return False
    pairs = zip(tensor.shape, tensor.stride(), strict=True)
    return any(size > 1 and stride == 0 for size, stride in pairs)


def state_outside(model: nn.Module) -> dict[str, str]:
    """The tensors and arrays of a model that the weights file does not hold, each with a hash of
    its content: non-persistent buffers, and attributes that torch does not know of.
    """
    saved = model.state_dict().keys()
    found = {name: [b] for name, b in model.named_buffers() if name not in saved}
    known = [*model.parameters(), *model.buffers(), *model.modules()]
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name in ("_parameters", "_buffers", "_modules"):
                continue
            parts = [one for one in _parts(value) if all(one is not each for each in known)]
            if parts:
                found[f"{path}.{name}" if path else name] = parts
    return {name: _digest(parts) for name, parts in found.items()}


def unsaved_state(model: nn.Module) -> dict[str, str]:
    """What a checkpoint does not hold of a model: :func:`state_outside`, and plain attributes."""
    plain = {
        f"{path}.{name}" if path else name: repr(value)
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if name != "training" and isinstance(value, (bool, int, float, complex, str, bytes))
    }
    return {**plain, **state_outside(model)}


def changed_names(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The names under which two states differ, as text; ``""`` if they are equal."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(names[:MOST_NAMED])


def _parts(value: Any, depth: int = 0) -> Iterator[Any]:
    """The tensors, arrays and modules in nested lists, tuples and dictionaries, which may contain
    themselves.
    """
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)) and depth < MOST_NESTED:
        for one in value:
            yield from _parts(one, depth + 1)
    elif isinstance(value, (Tensor, nn.Module)) or type(value).__name__ == "ndarray":
        yield value


def _digest(parts: Sequence[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        tensors = part.state_dict().values() if isinstance(part, nn.Module) else [part]
        for tensor in tensors:
            with contextlib.suppress(Exception):  # not dense, or of an unusual type
                whole = torch.as_tensor(tensor).detach().cpu().contiguous().flatten()
                digest.update(whole.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:10]


def what_is_missing(model: nn.Module, trained: Mapping[str, str] | None = None) -> str:
    """What of a model's state the weights file does not hold, and what to do; for messages.

    Args:
        trained: :func:`state_outside` of the trained model; what is equal is not named.
    """
    names = [n for n, digest in state_outside(model).items() if (trained or {}).get(n) != digest]
    known = {name for name, _ in model.named_buffers()}
    buffers = [name for name in names if name in known]
    others = [name for name in names if name not in known]
    parts = []
    if buffers:
        parts.append(f"non-persistent buffers ({_some(buffers)}): make them persistent")
    if others:
        parts.append(f"plain attributes ({_some(others)}): use register_buffer or nn.Parameter")
    if not parts:
        return (
            "some of its state is neither a parameter nor a persistent buffer, so the weights file "
            "does not hold it: use register_buffer"
        )
    return f"the weights file does not hold {'; nor '.join(parts)}"


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
