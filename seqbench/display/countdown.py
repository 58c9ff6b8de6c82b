"""The time left as it is shown: it counts down evenly, and changes course only for real news."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

#: New estimates move the shown one with this time constant, in seconds, …
CALM = 3.0

#: … longer in long runs: this fraction of the time left.
CALM_FRACTION = 0.05

#: The shown time rises only if the estimate exceeds it by this fraction.
NEWS = 0.1

#: How finely times are shown: below so many seconds, in steps of so many.
STEPS = ((10, 1), (60, 5), (600, 30), (3600, 60), (math.inf, 300))


class Countdown:
    """Smooths estimates of the time left.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._end: float | None = None
        self._updated = 0.0
        self._shown: float | None = None

    def update(self, left: float | None) -> float | None:
        """Take a new estimate of the seconds left; returns the seconds to show, or None if there
        has been no estimate yet.
        """
        now = self._clock()
        if left is not None:
            end = now + left
            if self._end is not None:
                calm = CALM + CALM_FRACTION * left
                weight = 1 - math.exp(-(now - self._updated) / calm)
                end = self._end + weight * (end - self._end)
            self._end, self._updated = end, now
        if self._end is None:
            return None
        smooth = max(0.0, self._end - now)
        if self._shown is None or not self._shown < smooth < (1 + NEWS) * self._shown:
            self._shown = smooth
        return self._shown


def rough(seconds: float) -> str:
    """``40 s``, ``4 min 30 s``, ``12 min`` or ``1 h 5 min``: as precise as an estimate can be."""
    step = next(step for limit, step in STEPS if seconds <= limit)
    whole = max(step, round(seconds / step) * step)
    if whole < 60:
        return f"{whole} s"
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
