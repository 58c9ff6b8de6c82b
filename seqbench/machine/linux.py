"""CPU governor, turbo and throttling, read from Linux kernel files (psutil lacks them).

Every function takes the ``root`` of the files, and returns None if the system does not provide
them.
"""

from __future__ import annotations

import re
from pathlib import Path

CPU = "sys/devices/system/cpu"


def text(path: Path) -> str | None:
    """The text of a file without surrounding whitespace; None if it is unreadable."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def number(path: Path) -> int | None:
    """The integer in a file; None if there is none."""
    content = text(path)
    return int(content) if content is not None and re.fullmatch(r"-?\d+", content) else None


def governors(root: Path) -> list[str] | None:
    """The frequency governors in use."""
    files = (root / CPU).glob("cpu[0-9]*/cpufreq/scaling_governor")
    return sorted({name for path in files if (name := text(path))}) or None


def turbo(root: Path) -> bool | None:
    """Whether cores may exceed their nominal frequency while they are cool."""
    no_turbo = number(root / CPU / "intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == 0
    boost = number(root / CPU / "cpufreq/boost")
    return None if boost is None else boost == 1


def throttled(root: Path) -> int | None:
    """How often cores or packages were throttled because of heat since boot."""
    files = (root / CPU).glob("cpu[0-9]*/thermal_throttle/*_throttle_count")
    counts = [count for path in files if (count := number(path)) is not None]
    return sum(counts) if counts else None
