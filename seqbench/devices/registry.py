"""The supported devices. Imports torch only to find out which are present.

To add one: a file beside this one and a line in :data:`DEVICES`.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterable

from seqbench.devices.base import Device
from seqbench.errors import DeviceError

#: Every kind of device and the class behind it. ``auto`` takes the first kind that exists here.
DEVICES = {
    "cuda": "seqbench.devices.cuda:Cuda",
    "mps": "seqbench.devices.mps:Mps",
    "cpu": "seqbench.devices.cpu:Cpu",
}

AUTO = "auto"


def is_device_name(name: str) -> bool:
    """Whether a kind of device has that name, on this machine or not. ``auto`` is no device."""
    return _kind_of(name) is not None


def device_for(name: str) -> Device:
    """The kind of device that a name such as ``cuda:1`` belongs to.

    Raises:
        DeviceError: no kind of device has that name.
    """
    found = _kind_of(name)
    if found is None:
        raise DeviceError(f"unknown device {name!r}; available: {known_names()}")
    return found


def known_names() -> str:
    """The supported names, for messages: ``cpu, mps, cuda, cuda:0, cuda:1, …``."""
    return ", ".join(kind.examples for kind in reversed(_kinds()))


def names_pattern() -> str:
    """A regular expression for every name that a suite may use, ``auto`` included; for editors."""
    return "|".join([AUTO, *(kind.names for kind in reversed(_kinds()))])


def available_devices() -> dict[str, str]:
    """Each device on this machine by its name in a suite, with its description. Imports torch.

    The one that ``auto`` stands for comes first.
    """
    return {name: text for kind in _kinds() for name, text in kind.available().items()}


def resolve_device(name: str, available: Iterable[str]) -> str:
    """The device that ``auto`` or a short name such as ``cuda`` stands for.

    Args:
        available: names of the devices on this machine, as of :func:`available_devices`.

    Raises:
        DeviceError: unknown name, or ``auto`` and no device is available.
    """
    if name != AUTO:
        return device_for(name).full_name(name)
    for kind in _kinds():
        for there in available:
            if re.fullmatch(kind.names, there):
                return there
    raise DeviceError("no device is available on this machine")


def _kind_of(name: str) -> Device | None:
    return next((kind for kind in _kinds() if re.fullmatch(kind.names, name)), None)


def _kinds() -> list[Device]:
    return [_load(target) for target in DEVICES.values()]


@functools.cache
def _load(target: str) -> Device:
    module, _, name = target.partition(":")
    kind: type[Device] = getattr(importlib.import_module(module), name)
    return kind()
