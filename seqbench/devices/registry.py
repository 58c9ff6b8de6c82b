"""The devices that seqbench knows, and which of them exist here."""

from __future__ import annotations

import re
from collections.abc import Mapping


def available_devices() -> dict[str, str]:
    """Each device there is, as a suite names it, with its description. Imports torch."""
    import torch

    from seqbench.devices.cpu import cpu_name

    found = {"cpu": cpu_name()}
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        found[f"cuda:{number}"] = torch.cuda.get_device_name(number)
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU (Metal)"
    return found


def resolve_device(name: str, available: Mapping[str, str]) -> str:
    """The device that ``auto`` or ``cuda`` stands for; other names stay as they are.

    Args:
        available: as :func:`devices` returns it.
    """
    if name == "auto":
        return next((d for d in ("cuda:0", "mps") if d in available), "cpu")
    return "cuda:0" if name == "cuda" else name


DEVICE = re.compile(r"auto|cpu|mps|cuda(:(0|[1-9][0-9]{0,2}))?")
