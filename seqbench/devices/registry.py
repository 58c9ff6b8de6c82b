"""The supported devices. Imports torch only to detect the available ones.

To add one: a file beside this one and a line in :data:`DEVICES`.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterable

from seqbench.devices.base import Device
from seqbench.errors import DeviceError
from seqbench.suggest import did_you_mean, nearest

#: Every kind of device and its class. ``auto`` selects the first kind that is available.
DEVICES = {
    "cuda": "seqbench.devices.cuda:Cuda",
    "mps": "seqbench.devices.mps:Mps",
    "cpu": "seqbench.devices.cpu:Cpu",
}

AUTO = "auto"


def is_device_name(name: str) -> bool:
    """Whether a device name is supported, available or not. ``auto`` is not a device."""
    return _kind_of(name) is not None


def device_for(name: str) -> Device:
    """The kind of device of a name such as ``cuda:1``.

    Raises:
        DeviceError: unknown device.
    """
    kind = _kind_of(name)
    if kind is None:
        raise DeviceError(unknown_device(name))
    return kind


def known_names() -> str:
    """The supported names, for messages: ``cpu, mps, cuda, cuda:0, cuda:1, …``."""
    return ", ".join(kind.examples for kind in reversed(_kinds()))


def unknown_device(name: str) -> str:
    """The message for a name that no device has: ``unknown device 'gpu'; did you mean 'cuda'?``"""
    message = f"unknown device {name[:60]!r}"
    family, _, index = name.strip().lower().partition(":")
    for kind in _kinds():
        first = kind.examples.partition(",")[0]
        if family in (first, *kind.aliases):
            indexed = f"{first}:{index}"
            return f"{message}; {did_you_mean(indexed if is_device_name(indexed) else first)}"
    known = [name for kind in _kinds() for name in kind.examples.split(", ") if name != "…"]
    near = nearest(name, [AUTO, *known], cutoff=0.7)  # a tpu is no cpu
    return f"{message}; {did_you_mean(near) if near else f'available: {AUTO}, {known_names()}'}"


def no_device(name: str, available: Iterable[str]) -> str:
    """The message for a device, or several, that this machine does not have."""
    return f"this machine has no device {name!r}; available: {', '.join(available)}"


def names_pattern() -> str:
    """A regular expression for all names that a suite may use, with ``auto``; for editors."""
    return "|".join([AUTO, *(kind.names for kind in reversed(_kinds()))])


def available_devices() -> dict[str, str]:
    """The devices on this machine: name in a suite → description. Imports torch.

    ``auto`` selects the first.
    """
    return {name: text for kind in _kinds() for name, text in kind.available().items()}


def resolve_device(name: str, available: Iterable[str]) -> str:
    """The full name of a device, given ``auto`` or a short name such as ``cuda``.

    Args:
        available: names of the devices on this machine, from :func:`available_devices`.

    Raises:
        DeviceError: unknown name, or ``auto`` and no device is available.
    """
    if name != AUTO:
        return device_for(name).full_name(name)
    for kind in _kinds():
        for device in available:
            if re.fullmatch(kind.names, device):
                return device
    raise DeviceError("no device is available on this machine")


def use_full_precision() -> None:
    """Make torch compute float32 as float32, on every kind of device. Imports torch."""
    for kind in _kinds():
        kind.use_full_precision()


def _kind_of(name: str) -> Device | None:
    return next((kind for kind in _kinds() if re.fullmatch(kind.names, name)), None)


def _kinds() -> list[Device]:
    return [_load(import_path) for import_path in DEVICES.values()]


@functools.cache
def _load(import_path: str) -> Device:
    module, _, name = import_path.partition(":")
    kind: type[Device] = getattr(importlib.import_module(module), name)
    return kind()
