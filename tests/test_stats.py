"""Statistics, tested against results computed by hand or by scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from seqbench.stats.distributions import t_quantile, t_tail
from seqbench.stats.growth import growth_exponent
from seqbench.stats.intervals import mean_interval, quantile, ratio_interval
from seqbench.stats.timing import (
    INDIFFERENCE,
    biweight,
    latency_summary,
    paired_ratio,
    throughput_summary,
)

reals = st.floats(-1e6, 1e6, allow_nan=False)


def test_the_mean_interval_of_three_seeds_by_hand() -> None:
    # mean 2, s = 1, t(0.975, 2) = 4.302653; half width 4.302653 / √3 = 2.484138
    found = mean_interval([1.0, 2.0, 3.0])
    assert found["mean"] == 2.0
    assert found["n"] == 3
    assert found["low"] == pytest.approx(2 - 2.484138, abs=1e-6)
    assert found["high"] == pytest.approx(2 + 2.484138, abs=1e-6)


def test_one_value_has_no_interval() -> None:
    assert mean_interval([0.5]) == {"mean": 0.5, "low": None, "high": None, "n": 1}


@given(st.lists(reals, min_size=2, max_size=20))
def test_the_mean_interval_equals_scipys(values: list[float]) -> None:
    found = mean_interval(values)
    scale = np.std(values, ddof=1) / np.sqrt(len(values))
    if scale > 1e-9:
        low, high = scipy.stats.t.interval(0.95, len(values) - 1, np.mean(values), scale)
        assert found["low"] == pytest.approx(low, rel=1e-6, abs=1e-6)
        assert found["high"] == pytest.approx(high, rel=1e-6, abs=1e-6)


@given(st.lists(reals, min_size=1, max_size=50), st.floats(0, 1))
def test_quantiles_equal_numpys(values: list[float], share: float) -> None:
    ordered = sorted(values)
    assert quantile(ordered, share) == pytest.approx(
        float(np.quantile(ordered, share)), rel=1e-9, abs=1e-6
    )


def test_latency_is_the_median_of_per_process_medians() -> None:
    # Block medians: process A 1, 2, 9 → 2; B 4, 4, 4 → 4; C 10, 10, 10 → 10. Their median: 4.
    processes = [
        [[1.0, 1.0, 1.0], [2.0, 2.0, 50.0], [9.0, 9.0, 9.0]],
        [[4.0, 4.0, 4.0]] * 3,
        [[10.0, 10.0, 10.0]] * 3,
    ]
    found = latency_summary(processes)
    assert found["median_s"] == 4.0
    assert found["n"] == 27
    assert found["processes"] == 3
    assert found["low_s"] <= 4.0 <= found["high_s"]
    assert found["p90_s"] is None
    assert found["p99_s"] is None


def test_percentiles_appear_when_there_are_enough_calls() -> None:
    block = [1.0] * 100
    assert latency_summary([[block[:63]]])["p90_s"] is None
    assert latency_summary([[block[:64]]])["p90_s"] == 1.0
    assert latency_summary([[[1.0] * 661]])["p99_s"] is None
    assert latency_summary([[[1.0] * 662]])["p99_s"] == 1.0


def test_a_wide_spread_is_flagged_and_nothing_is_dropped() -> None:
    calm = latency_summary([[[1.0, 1.01, 1.02, 1.0]] * 4] * 3)
    wild = latency_summary([[[1.0, 1.0, 2.0, 2.0]] * 4] * 3)
    assert not calm["unstable"]
    assert wild["unstable"]
    assert wild["n"] == 48


def test_one_process_has_no_interval() -> None:
    assert ratio_interval([1.0]) == (None, None)


def test_the_interval_over_processes_by_hand() -> None:
    # Logarithms 0, 1, 2: mean 1, s = 1, half width 4.302653 / √3 = 2.484138.
    low, high = ratio_interval([1.0, math.e, math.e**2])
    assert low == pytest.approx(math.exp(1 - 2.484138), rel=1e-6)
    assert high == pytest.approx(math.exp(1 + 2.484138), rel=1e-6)


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=9))
def test_the_interval_contains_the_median(medians: list[float]) -> None:
    low, high = ratio_interval(medians)
    assert low is not None
    assert high is not None
    assert low <= float(np.median(medians)) <= high


@pytest.mark.parametrize("processes", [3, 5])
@pytest.mark.parametrize("within", [0.001, 0.03])
def test_the_interval_has_its_nominal_coverage(processes: int, within: float) -> None:
    """Processes that differ by 3 %, with much or little noise within each; 15 blocks of 5 calls."""
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        centers = np.exp(0.03 * random.standard_normal(processes))
        noise = np.exp(within * random.standard_normal((processes, 15, 5)))
        calls = centers[:, None, None] * noise
        found = latency_summary(calls.tolist())
        hits += found["low_s"] <= 1.0 <= found["high_s"]
    assert 0.92 <= hits / 400 <= 0.98


def test_throughput_is_samples_over_wall_time() -> None:
    found = throughput_summary([(100, 2.0), (300, 3.0), (50, 1.0)])
    assert found["per_s"] == 50.0
    assert found["n"] == 3
    assert found["low_per_s"] < 50.0 < found["high_per_s"]


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=40))
def test_the_biweight_solves_its_equation(values: list[float]) -> None:
    center = biweight(values)
    points = np.asarray(values)
    reach = 4.685 * 1.4826 * np.median(np.abs(points - np.median(points)))
    if reach < 1e-6:
        assert center == pytest.approx(np.median(values), abs=1e-6)
        return
    u = (points - center) / reach
    psi = np.where(np.abs(u) < 1, u * (1 - u**2) ** 2, 0)
    assert psi.sum() == pytest.approx(0, abs=1e-4 * len(values))


def test_the_biweight_is_robust_to_a_third_of_outliers() -> None:
    random = np.random.default_rng(0)
    calm = 0.05 + 0.001 * random.standard_normal(200)
    assert biweight([*calm, *[0.6] * 100]) == pytest.approx(np.mean(calm), abs=3e-4)
    # … and without outliers it is nearly the mean.
    assert biweight(calm.tolist()) == pytest.approx(np.mean(calm), abs=5e-5)


@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=12))
def test_interval_and_p_of_a_ratio_are_those_of_a_jackknife(logs: list[float]) -> None:
    found = paired_ratio([[(math.exp(one), 1.0)] for one in logs])
    n, center = len(logs), biweight(logs)
    left = [biweight(logs[:i] + logs[i + 1 :]) for i in range(n)]
    error = np.sqrt((n - 1) * np.var(left))
    if error > 1e-9 and n < 5:  # may be small by chance: at least that of the mean
        error = max(error, scipy.stats.sem(logs))
    assert found["ratio"] == pytest.approx(math.exp(center), rel=1e-9)
    if error < 1e-9:
        return
    low, high = scipy.stats.t.interval(0.95, n - 1, center, error)
    assert found["low"] == pytest.approx(math.exp(low), rel=1e-6)
    assert found["high"] == pytest.approx(math.exp(high), rel=1e-6)
    excess = abs(center) - math.log1p(INDIFFERENCE)
    expected = 2 * scipy.stats.t.sf(excess / error, n - 1) if excess > 0 else 1.0
    assert found["p"] == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_a_jackknife_of_means_by_hand() -> None:
    # Each process -1, 0, 1 · 1e-9 around its own value, so that the biweight is nearly the mean:
    # leaving one of 0.1, 0.2, 0.3 out gives 0.25, 0.2, 0.15; error √(2/3 · 0.005) = 0.05774.
    found = paired_ratio([[(math.exp(value), 1.0)] for value in (0.1, 0.2, 0.3)])
    assert found["ratio"] == pytest.approx(math.exp(0.2), rel=1e-3)
    half = 4.302653 * math.sqrt(2 / 3 * 0.005)
    assert math.log(found["high"]) - math.log(found["ratio"]) == pytest.approx(half, rel=0.02)


def test_one_process_or_a_difference_within_the_margin_proves_nothing() -> None:
    assert paired_ratio([[(2.0, 1.0)] * 9])["p"] == 1.0
    assert paired_ratio([[(2.0, 1.0)] * 9])["low"] is None
    assert paired_ratio([[(1.004, 1.0)] * 9] * 5)["p"] == 1.0
    rounds = [[(1.006 + 1e-5 * process, 1.0)] * 9 for process in range(5)]
    assert paired_ratio(rounds)["p"] < 0.05


def test_if_all_agree_to_the_last_digit_the_error_is_unknown() -> None:
    found = paired_ratio([[(73e-9, 72e-9)] * 9] * 5)
    assert (found["low"], found["high"], found["p"]) == (None, None, 1.0)


def stopped_early(spread: float, random: np.random.Generator) -> list[float]:
    """Log ratios of identical models, stopped once the interval is within ±2 %."""
    logs: list[float] = (spread * random.standard_normal(10)).tolist()
    for n in range(5, 10):
        found = mean_interval(logs[:n])
        if (found["high"] - found["low"]) / 2 <= 0.02:
            return logs[:n]
    return logs


@pytest.mark.parametrize("spread", [0.002, 0.01, 0.05])
def test_identical_models_are_called_different_at_most_as_often_as_claimed(spread: float) -> None:
    """Processes that differ by ``spread``, stopped early when the interval is narrow enough."""
    random = np.random.default_rng(2)
    alarms = 0
    for _ in range(500):
        logs = stopped_early(spread, random)
        alarms += paired_ratio([[(math.exp(one), 1.0)] for one in logs])["p"] < 0.05
    assert alarms / 500 <= 0.07  # 5 %, and three standard errors of 500 repetitions


@pytest.mark.parametrize("spread", [0.005, 0.02, 0.04])
def test_early_stopping_barely_reduces_coverage(spread: float) -> None:
    """How often the interval contains the true value if its width decides when to stop."""
    random = np.random.default_rng(3)
    hits = 0
    for _ in range(1000):
        found = mean_interval(stopped_early(spread, random))
        hits += found["low"] <= 0 <= found["high"]
    assert hits / 1000 >= 0.92


def test_exponent_by_hand() -> None:
    assert growth_exponent([10, 20, 40], [5, 10, 20]) == pytest.approx(1)
    assert growth_exponent([10, 20, 40], [3, 12, 48]) == pytest.approx(2)
    # logarithms to base 2: x = 0, 1, 2; y = 0, 0, 3; slope = ((-1)·0 + 0·0 + 1·3) ÷ 2
    assert growth_exponent([1, 2, 4], [1, 1, 8]) == pytest.approx(1.5)
    assert growth_exponent([10], [5]) is None
    assert growth_exponent([10, 10], [5, 6]) is None
    assert growth_exponent([], []) is None
    assert growth_exponent([10, 20], [0, 6]) is None


@given(st.dictionaries(st.integers(1, 500), st.floats(1e-3, 1e9), min_size=2, max_size=8))
def test_exponent_is_the_slope_that_numpy_fits(figures: dict[int, float]) -> None:
    lengths, values = list(figures), list(figures.values())
    slope = np.polyfit(np.log(lengths), np.log(values), 1)[0]
    assert growth_exponent(lengths, values) == pytest.approx(slope, rel=1e-6, abs=1e-6)


@given(st.floats(1, 2000), st.floats(0.5, 1 - 1e-5))
def test_the_t_quantile_equals_scipys(df: float, share: float) -> None:
    expected = scipy.stats.t.isf(1 - share, df)
    assert t_quantile(df, share) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(st.floats(1, 1e6), st.floats(-50, 50))
def test_the_tail_of_t_equals_scipys(df: float, t: float) -> None:
    assert t_tail(df, t) == pytest.approx(scipy.stats.t.sf(t, df), rel=1e-7)


def test_the_t_distribution_at_its_ends() -> None:
    assert t_tail(3.5, 0.0) == 0.5
    assert t_tail(2.0, 1e300) == pytest.approx(0.0)
