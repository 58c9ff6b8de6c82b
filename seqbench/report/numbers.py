"""Formatting of figures: units, digits, and alignment in columns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Shown where there is no figure.
MISSING = "—"

#: Shown where a figure is unavailable; the reason is given below the table.
NOT_AVAILABLE = "n/a"

#: Follows a figure whose 95 % interval is wider than ± this fraction of it: it has fewer
#: significant digits than are shown.
DOUBTFUL, DOUBT = "?", 0.10

#: Shown for a target that was missed.
INFINITE = "∞"

#: ``most`` of most scales …
TOO_LARGE = 10_000

#: … and that of rates, of which people know the thousands: ``24,500 seq/s``.
TOO_FAST = 1_000_000

#: Fixed-point notation is used for exponents in this range; outside it, ``1.23e-07``.
FIXED_POINT = range(-5, 7)


@dataclass(frozen=True)
class Estimate:
    """A figure in SI units, with the bounds of its 95 % interval if it has one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval, or None without an interval."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Unit:
    """A unit, and its size in SI units."""

    name: str
    factor: float


@dataclass(frozen=True)
class Scale:
    """The units available for a quantity, smallest first.

    Args:
        least: the smallest figure to show in a unit.
        most: a column whose largest figure would reach this uses the next larger unit.
    """

    units: tuple[Unit, ...]
    least: float = 1.0
    most: float = TOO_LARGE


TIME = Scale((Unit("ns", 1e-9), Unit("µs", 1e-6), Unit("ms", 1e-3), Unit("s", 1.0)))

SMALL_BYTES = Scale((Unit("B", 1.0), Unit("KiB", 2.0**10), Unit("MiB", 2.0**20)))

BYTES = Scale((Unit("MiB", 2.0**20), Unit("GiB", 2.0**30), Unit("TiB", 2.0**40)))

RATE = Scale(
    (Unit("seq/s", 1.0), Unit("k seq/s", 1e3), Unit("M seq/s", 1e6), Unit("G seq/s", 1e9)),
    least=1e3,
    most=TOO_FAST,
)

COUNT = Scale(
    (Unit("", 1.0), Unit("k", 1e3), Unit("M", 1e6), Unit("G", 1e9), Unit("T", 1e12)), least=0.1
)


def common_unit(values: Iterable[float], scale: Scale) -> Unit:
    """Choose one unit of ``scale`` for all ``values`` of a column (given in SI units).

    It is the largest unit in which the smallest figure is not below ``scale.least``, or a larger
    one if the largest figure would otherwise be too long.
    """
    sizes = [abs(value) for value in values if value]
    if not sizes:
        return scale.units[0]
    suitable = [u for u in scale.units if min(sizes) >= scale.least * u.factor]
    position = max(len(suitable) - 1, 0)
    while position + 1 < len(scale.units) and max(sizes) >= (
        scale.most * scale.units[position].factor
    ):
        position += 1
    return scale.units[position]


def figure(value: float, digits: int = 3, finest: float = 0.0) -> str:
    """``value`` with at least ``digits`` significant digits: ``0.159``, ``15.4``, ``1,435``.

    All digits before the decimal point are shown; digits below ``finest`` (a power of ten) are not.
    """
    decimals = decimals_for(value, digits)
    if finest:
        most = round(-math.log10(finest))
        decimals = most if decimals is None else min(decimals, most)
    return f"{value:.{digits - 1}e}" if decimals is None else f"{value:,.{decimals}f}"


def doubtful(estimate: Estimate) -> bool:
    """Whether the interval is too wide for the digits shown."""
    half = estimate.half_width
    return half is not None and half > DOUBT * abs(estimate.value)


def bounds(estimate: Estimate | None, unit: Unit) -> str:
    """``157–162``: the interval of ``estimate``, with as many decimals as its figure."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return MISSING
    decimals = decimals_for(estimate.value / unit.factor)
    ends = [end / unit.factor for end in (estimate.low, estimate.high)]
    return "–".join(figure(end) if decimals is None else f"{end:,.{decimals}f}" for end in ends)


def decimals_for(value: float, digits: int = 3) -> int | None:
    """Decimals for ``digits`` significant digits, or None if fixed-point notation is too long."""
    if value == 0:
        return 0
    if not math.isfinite(value):
        return None
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    return max(0, digits - 1 - exponent) if exponent in FIXED_POINT else None


def figures_with_interval(estimates: Sequence[Estimate | None]) -> list[str]:
    """``0.171 ± 0.004`` for each; the half-width has as many decimals as the figure."""
    return [MISSING if e is None else _figure_with_interval(e) for e in estimates]


def _figure_with_interval(estimate: Estimate) -> str:
    half = estimate.half_width
    if half is None:
        return figure(estimate.value)
    decimals, finest = decimals_for(estimate.value), decimals_for(half, 1)
    if decimals is None or finest is None:
        return f"{figure(estimate.value)} ± {figure(half, 1)}"
    decimals = max(decimals, min(finest, decimals + 2))
    return f"{estimate.value:,.{decimals}f} ± {half:,.{decimals}f}"


def percent_decimals(estimates: Iterable[Estimate | None]) -> int:
    """Number of decimals for a column of percentages: usually 1, or 2 if 1 would mislead.

    A nonzero interval must not read ``± 0.0``, and 99.96 % must not read ``100.0``.
    """
    for estimate in estimates:
        if estimate is None:
            continue
        half = estimate.half_width
        if 0.99995 <= estimate.value < 1:
            return 4
        if (half and half < 0.0005) or 0.9995 <= estimate.value < 1:
            return 2
    return 1


def percentages(estimates: Sequence[Estimate | None], decimals: int) -> list[str]:
    """``87.4 ± 0.3`` for each fraction."""
    texts = []
    for estimate in estimates:
        if estimate is None:
            texts.append(MISSING)
            continue
        text = f"{100 * estimate.value:.{decimals}f}"
        if estimate.half_width is not None:
            text += f" ± {100 * estimate.half_width:.{decimals}f}"
        texts.append(text)
    return texts


def signed(value: float, share: bool) -> str:
    """A difference with its sign: ``+1.3``; in percentage points for fractions.

    Differences below 0.1 points have more digits, up to four.
    """
    text = figure(abs(value))
    if share:
        decimals = next((d for d in (1, 2, 3, 4) if round(100 * abs(value), d)), 1)
        text = f"{100 * abs(value):.{decimals}f}"
    if not text.strip("0."):
        return text  # neither +0.0 nor -0.0
    return ("+" if value > 0 else "-") + text


def aligned(texts: Sequence[str]) -> list[str]:
    """Pad texts to one width, aligned at their decimal points (and at ``±``).

    What follows a number (``*``, ``~``, ``?``, `` a``, `` (2 of 3)``) stays next to it. Bounds
    (``157–162``) have two decimal points and are aligned at the right.
    """
    if any("–" in text for text in texts):
        width = max(map(len, texts))
        return [text.rjust(width) for text in texts]
    if not any(" ± " in text for text in texts):
        return _aligned_at_point(texts)
    parts = [text.partition(" ± ") for text in texts]
    means = _aligned_at_point([mean for mean, _, _ in parts])
    halves = _aligned_at_point([half for _, _, half in parts])
    return [
        f"{mean}{sign or '   '}{half}"
        for mean, half, (_, sign, _) in zip(means, halves, parts, strict=True)
    ]


def _aligned_at_point(texts: Sequence[str]) -> list[str]:
    ends = [_whole_digits(text) for text in texts]
    before = max(ends, default=0)
    after = max((len(text) - end for text, end in zip(texts, ends, strict=True)), default=0)
    return [
        f"{text[:end]:>{before}}{text[end:]:<{after}}"
        for text, end in zip(texts, ends, strict=True)
    ]


def _whole_digits(text: str) -> int:
    """Length of ``text`` before the decimal point, or before what follows the number."""
    found = re.search(r"[.*~? ]", text)
    return found.start() if found else len(text)


def duration(seconds: float) -> str:
    """``45 s``, ``5 min 12 s`` or ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
