"""CPU governor, turbo and throttling, read from Linux kernel files (psutil lacks them).

Every function takes the ``root`` that the files are under, and returns None where the system does
not say.
"""

from __future__ import annotations

import re
from pathlib import Path

CPU = "sys/devices/system/cpu"


def text(path: Path) -> str | None:
    """What a file holds, without blanks at its ends."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def number(path: Path) -> int | None:
    """The whole number that a file holds."""
    held = text(path)
    return int(held) if held is not None and re.fullmatch(r"-?\d+", held) else None


def governors(root: Path) -> list[str] | None:
    """The frequency governors in use."""
    files = (root / CPU).glob("cpu[0-9]*/cpufreq/scaling_governor")
    return sorted({held for path in files if (held := text(path))}) or None


def turbo(root: Path) -> bool | None:
    """Whether cores may run faster than their nominal frequency while they are cool."""
    no_turbo = number(root / CPU / "intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == 0
    boost = number(root / CPU / "cpufreq/boost")
    return None if boost is None else boost == 1


def throttled(root: Path) -> int | None:
    """How often cores or packages were slowed down because of heat, since the machine started."""
    files = (root / CPU).glob("cpu[0-9]*/thermal_throttle/*_throttle_count")
    counts = [count for path in files if (count := number(path)) is not None]
    return sum(counts) if counts else None
