"""Digits enough to tell a figure from the limit that it is compared with."""

from __future__ import annotations

#: No figure needs more: a double has 17 significant digits.
MOST_DECIMALS = 15


def beside(value: float, limit: float, decimals: int = 1) -> str:
    """``value`` with as many decimals as it takes to differ from ``limit``: ``2.003`` beside 2.

    Args:
        decimals: the fewest decimals.
    """
    while decimals < MOST_DECIMALS and value != limit:
        if f"{value:.{decimals}f}" != f"{limit:.{decimals}f}":
            break
        decimals += 1
    return f"{value:.{decimals}f}"


def percent_beside(share: float, limit: float) -> str:
    """A fraction in percent, without the sign %, beside another: ``2.003`` beside 0.02."""
    # A limit such as 0.07 is not exact in binary, and 100 times it is not 7.
    return beside(round(100 * share, 12), round(100 * limit, 12))
