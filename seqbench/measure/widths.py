"""Searches the width of a model at which a quantity is nearest to a wanted number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

#: Maximum width that is tried, unless a plugin declares another one.
MOST_WIDTH = 2**20

#: Maximum numbers of widths that are counted, and of impossible widths that are tried in a row.
MOST_COUNTS, MOST_MISSES = 40, 64

#: A quantity that is the same at this many widths does not depend on the width.
ENOUGH_EQUAL = 4


class TooLarge(Exception):
    """A model of this width does not fit into memory."""


@dataclass
class WidthSearch:
    """Finds the width at which a quantity that grows with it is nearest to ``wanted``.

    The width is doubled or halved until the wanted number lies between two widths; then the
    interval between them is bisected. Impossible widths are passed over for their neighbors.

    Args:
        count: returns the quantity at a width, or None if the width is impossible.
        stop: whether to end the search now.

    ``counts`` holds the quantity at each width that was tried; ``ended`` tells whether no width was
    left to try, or the wanted number was found; ``missed`` whether it was given up after many
    impossible widths; and ``too_large`` whether a width did not fit into memory.
    """

    count: Callable[[int], int | None]
    wanted: int
    start: int
    lowest: int = 1
    highest: int = MOST_WIDTH
    stop: Callable[[], bool] = lambda: False
    counts: dict[int, int] = field(default_factory=dict)
    ended: bool = False
    missed: bool = False
    too_large: bool = False

    def __post_init__(self) -> None:
        self._impossible: set[int] = set()
        self._below: int | None = None  # the widest that is too small
        self._above: int | None = None  # the narrowest that is large enough

    def run(self) -> None:
        """Search until no width is left, or ``stop`` says so.

        Raises:
            Exception: as ``count``, except for :class:`TooLarge`.
        """
        width = self.start
        while len(self.counts) < MOST_COUNTS and not self.stop():
            if not self._try_near(width):
                self.ended = not self.missed and not self.stop()
                return
            if self._is_constant():
                return
            if self.wanted in self.counts.values():
                break
            width = self._next()
        self.ended = self.wanted in self.counts.values()

    @property
    def grows(self) -> bool:
        """Whether the quantity never shrinks where the width grows, as far as it was tried."""
        values = [self.counts[width] for width in sorted(self.counts)]
        return values == sorted(values)

    @property
    def best(self) -> int | None:
        """The width that is nearest to what is wanted; of two equally near ones the narrower."""
        tried = sorted(self.counts)
        return min(tried, key=lambda width: abs(self.counts[width] - self.wanted), default=None)

    @property
    def below(self) -> int | None:
        """The nearest width of those that are not too large."""
        fit = [width for width, count in self.counts.items() if count <= self.wanted]
        return max(fit, key=lambda width: (self.counts[width], -width), default=None)

    @property
    def above(self) -> int | None:
        """The nearest width of those that are not too small."""
        fit = [width for width, count in self.counts.items() if count >= self.wanted]
        return min(fit, key=lambda width: (self.counts[width], width), default=None)

    def _next(self) -> int:
        """The width to try now."""
        if self._below is None:
            assert self._above is not None
            return self._above // 2
        return 2 * self._below if self._above is None else (self._below + self._above) // 2

    def _try_near(self, width: int) -> bool:
        """Count the first possible width from ``width`` on; False if there is none."""
        for misses, each in enumerate(self._candidates(width)):
            self.missed = misses >= MOST_MISSES
            if self.missed or self.stop():
                break
            try:
                found = self.count(each)
            except TooLarge:
                self._above, self.too_large = each, True
                return True
            if found is None:
                self._impossible.add(each)
                continue
            self.counts[each] = found
            if found < self.wanted:
                self._below = each
            else:
                self._above = each
            return True
        return False

    def _candidates(self, width: int) -> Iterator[int]:
        """The widths that are left, the nearest to ``width`` first."""
        low = self.lowest if self._below is None else self._below + 1
        high = self.highest if self._above is None else self._above - 1
        width = min(max(width, low), high)
        for distance in range(max(high - width, width - low) + 1):
            for each in dict.fromkeys((width + distance, width - distance)):
                if low <= each <= high and each not in self._impossible:
                    yield each

    def _is_constant(self) -> bool:
        return len(self.counts) >= ENOUGH_EQUAL and len(set(self.counts.values())) == 1
