"""Welch's t test of two models on a few seeds, and what follows from it.

Which test keeps its promise on a few seeds was measured on real figures
(``benchmarks/seed_tests.py``; docs/measuring.md has the table): Welch's test does, if a small
variance counts as at least that of most of the models compared. Otherwise models that either learn
a task or do not are called different too often: three seeds that happen to agree show no spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from seqbench.stats.distributions import t_quantile, t_tail
from seqbench.stats.intervals import quantile, stdev

#: With fewer seeds, false alarms exceed 5 % where models either learn a task or do not.
LEAST_SEEDS = 3

#: A variance counts as at least this quantile of the variances of all models compared. A single
#: model with a large variance among four or more does not raise it.
FLOOR = 2 / 3


@dataclass(frozen=True)
class Sample:
    """The figures of one model: mean, variance and number; see :func:`samples_of`."""

    mean: float
    variance: float
    n: int


@dataclass(frozen=True)
class Difference:
    """The difference of two means, first - second.

    Args:
        effect: the difference. error: its standard error. df: degrees of freedom.
        spread: standard deviation of the difference of two single figures.
    """

    effect: float
    error: float
    df: float
    spread: float

    @classmethod
    def of_interval(cls, effect: float, low: float, high: float, df: float) -> Difference:
        """A difference of which only the 95 % interval was kept; its ``spread`` is unknown."""
        error = (high - low) / 2 / t_quantile(df, 0.975)
        return cls(effect, max(0.0, error), df, spread=math.nan)

    @property
    def p(self) -> float:
        """Two-sided p of the null hypothesis that the means are equal."""
        if self.error == 0:
            return float(self.effect == 0)
        return 2 * t_tail(self.df, abs(self.effect) / self.error)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval, which excludes 0 exactly where p is below 0.05."""
        half = t_quantile(self.df, 0.975) * self.error if self.error else 0.0
        return self.effect - half, self.effect + half

    @property
    def above(self) -> float:
        """Probability that the first model's figure at a new seed is above the second's.

        The predictive distribution of the difference of two new figures: Student's t with the
        variance of two figures plus that of the two means.
        """
        spread = math.hypot(self.spread, self.error)
        if spread == 0:
            return 0.5 + 0.5 * ((self.effect > 0) - (self.effect < 0))
        return t_tail(self.df, -self.effect / spread)

    def p_within(self, margin: float) -> float:
        """p of the null hypothesis that the means differ by ``margin`` or more.

        Two one-sided tests (TOST, Schuirmann 1987): the larger p of the two.
        """
        distance = margin - abs(self.effect)
        if self.error == 0:
            return float(distance <= 0)
        return t_tail(self.df, distance / self.error)


def samples_of(figures: Sequence[Sequence[float]]) -> list[Sample]:
    """Mean and variance of each model, for :func:`difference`.

    A variance smaller than the ``FLOOR`` quantile of all variances counts as that.

    Args:
        figures: of each model its figures, one per seed, at least two.
    """
    variances = [stdev(each) ** 2 for each in figures]
    least = quantile(sorted(variances), FLOOR) if variances else 0.0
    return [
        # The mean of equal numbers may differ from them, and with their count, by rounding.
        Sample(fmean(each) if variance else each[0], max(variance, least), len(each))
        for each, variance in zip(figures, variances, strict=True)
    ]


def difference(a: Sample, b: Sample) -> Difference:
    """The difference of two means after Welch 1947: variances need not be equal.

    The degrees of freedom are those of Welch and Satterthwaite.
    """
    one, other = a.variance / a.n, b.variance / b.n
    error = one + other
    df = error**2 / (one**2 / (a.n - 1) + other**2 / (b.n - 1)) if error else 1.0
    return Difference(a.mean - b.mean, math.sqrt(error), df, math.sqrt(a.variance + b.variance))


def difference_at(a: Sample, b: Sample, n: int) -> Difference:
    """The difference if both had ``n`` figures with the same means and variances."""
    return difference(Sample(a.mean, a.variance, n), Sample(b.mean, b.variance, n))
