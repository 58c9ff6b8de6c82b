"""Pairwise comparisons, tested against results computed by hand or by scipy."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import sys
from dataclasses import replace
from statistics import mean, stdev

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from conftest import ROOT
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seqbench.quantities import find
from seqbench.records import Comparison
from seqbench.stats.holm import holm
from seqbench.stats.letters import letter_display
from seqbench.stats.power import seeds_needed, t_test_power
from seqbench.stats.welch import Difference, Sample, difference, difference_at, samples_of
from seqbench.store.format_1 import from_format_1
from seqbench.summary.margins import with_margins
from seqbench.summary.metric_pairs import compare_over_seeds

#: Steps of a thousandth, so that ties are exact and rounding is as with accuracies.
figures = st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=2, max_size=9)
ps = st.lists(st.floats(0, 1), max_size=12)


# ----------------------------------------------------------------------------------- Welch's test


def compared(a: list[float], b: list[float]) -> Difference:
    """Two models alone, each with its own variance."""
    samples = [Sample(mean(one), stdev(one) ** 2, len(one)) for one in (a, b)]
    return difference(*samples)


@given(figures, figures)
@settings(deadline=None)
def test_welchs_test_equals_scipys(a: list[float], b: list[float]) -> None:
    found = compared(a, b)
    assume(found.error > 1e-9)
    expected = scipy.stats.ttest_ind(a, b, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    interval = expected.confidence_interval()
    assert found.interval == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)


def test_welchs_test_by_hand() -> None:
    # Means 2 and 5; variances 1 and 4, each of three: 1/3 + 4/3 = 5/3.
    found = compared([1, 2, 3], [3, 5, 7])
    assert found.effect == -3
    assert found.error == pytest.approx(math.sqrt(5 / 3))
    # (5/3)² ÷ ((1/3)² / 2 + (4/3)² / 2) = 25/9 ÷ 17/18
    assert found.df == pytest.approx(50 / 17)
    # A new pair: variance 1 + 4, and that of the means; below 0 with the probability of t.
    assert found.above == pytest.approx(scipy.stats.t.cdf(-3 / math.sqrt(5 + 5 / 3), 50 / 17))


@given(figures, figures)
def test_p_is_below_5_percent_exactly_where_its_interval_excludes_0(
    a: list[float], b: list[float]
) -> None:
    found = compared(a, b)
    low, high = found.interval
    assume(min(abs(low), abs(high)) > 1e-12 or found.error == 0)
    assert (found.p < 0.05) == (not low <= 0 <= high)
    turned = compared(b, a)
    assert turned.p == found.p
    assert turned.above == pytest.approx(1 - found.above)
    assert (found.above > 0.5) == (found.effect > 0) or abs(found.effect) < 1e-12


def test_without_any_spread_equal_means_are_equal_and_others_are_not() -> None:
    same, apart = compared([0.5] * 3, [0.5] * 3), compared([0.9] * 3, [0.5] * 3)
    assert (same.p, same.interval, same.above) == (1.0, (0.0, 0.0), 0.5)
    assert (apart.p, apart.above) == (0.0, 1.0)
    assert apart.interval == (apart.effect, apart.effect)
    assert (same.p_within(0.01), apart.p_within(0.01)) == (0.0, 1.0)


def test_a_small_spread_counts_as_that_of_most() -> None:
    some = [[0.5, 0.5, 0.5], [0.4, 0.5, 0.6], [0.3, 0.5, 0.7], [0.2, 0.5, 0.8]]
    # Variances 0, 0.01, 0.04 and 0.09; two thirds of the way from the first to the last: 0.04.
    assert [one.variance for one in samples_of(some)] == pytest.approx([0.04] * 3 + [0.09])
    assert [one.mean for one in samples_of(some)] == pytest.approx([0.5] * 4)
    assert samples_of([]) == []


@given(figures, figures, st.floats(0.001, 0.2))
def test_two_one_sided_tests_equal_scipys(a: list[float], b: list[float], margin: float) -> None:
    found = compared(a, b)
    assume(found.error > 1e-9)
    below, above = (
        scipy.stats.t.sf((margin + sign * found.effect) / found.error, found.df) for sign in (1, -1)
    )
    assert found.p_within(margin) == pytest.approx(max(below, above), rel=1e-6)


# --------------------------------------------------------------------------- Holm's correction


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.04; none may decrease.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(ps)
def test_holm_lies_between_nothing_and_bonferroni(given_: list[float]) -> None:
    found = holm(given_)
    for p, corrected in zip(given_, found, strict=True):
        assert p <= corrected <= min(1.0, len(given_) * p)
    order = sorted(range(len(given_)), key=lambda i: given_[i])
    assert [found[i] for i in order] == sorted(found)


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=8))
def test_holm_rejects_what_stepping_down_rejects(given_: list[float]) -> None:
    """The procedure as Holm describes it: the smallest first, until one is too large."""
    rejected = set()
    order = sorted(range(len(given_)), key=lambda i: given_[i])
    for rank, index in enumerate(order):
        if given_[index] * (len(given_) - rank) > 0.05:
            break
        rejected.add(index)
    assert {i for i, p in enumerate(holm(given_)) if p <= 0.05} == rejected


# ----------------------------------------------------------------------------------- the letters


@pytest.mark.parametrize(
    ("different", "order", "expected"),
    [
        ([], [0, 1, 2], ["a", "a", "a"]),
        ([(0, 1), (0, 2), (1, 2)], [2, 0, 1], ["b", "c", "a"]),
        # The best and the worst differ; the middle one differs from neither.
        ([(0, 2)], [0, 1, 2], ["a", "ab", "b"]),
        ([(0, 2), (0, 3), (1, 3)], [0, 1, 2, 3], ["a", "ab", "bc", "c"]),
        # With a gap: the first and the last do not differ, the second differs from both.
        ([(0, 1), (1, 3)], [0, 1, 2, 3], ["a", "b", "ab", "a"]),
    ],
)
def test_letters_by_hand(
    different: list[tuple[int, int]], order: list[int], expected: list[str]
) -> None:
    assert letter_display(len(expected), different, order) == expected


@st.composite
def differing(draw: st.DrawFn) -> tuple[int, set[tuple[int, int]], list[int]]:
    n = draw(st.integers(1, 8))
    pairs = list(itertools.combinations(range(n), 2))
    different = draw(st.sets(st.sampled_from(pairs))) if pairs else set()
    return n, different, draw(st.permutations(range(n)))


@given(differing())
def test_a_letter_is_shared_exactly_by_items_that_do_not_differ(
    case: tuple[int, set[tuple[int, int]], list[int]],
) -> None:
    n, different, order = case
    found = letter_display(n, different, order)
    for one, other in itertools.combinations(range(n), 2):
        assert bool(set(found[one]) & set(found[other])) == ((one, other) not in different)
    assert found[order[0]].startswith("a")
    turned = {(b, a) for a, b in different}
    assert letter_display(n, turned, order) == found


def test_sixty_cases_that_all_differ_have_no_letters_rather_than_wrong_ones() -> None:
    chain = set(itertools.combinations(range(60), 2))
    assert letter_display(60, chain, range(60)) == [""] * 60
    assert letter_display(52, set(itertools.combinations(range(52), 2)), range(52))[51] == "Z"


# -------------------------------------------------------------------------------- seeds and power


def test_power_equals_the_tables_of_cohen() -> None:
    # Two-sided, 5 %: 34 pairs for an effect of 0.5 and 80 % power; 199 for 0.2 (G*Power 3.1).
    paired = {n: t_test_power(0.5 * math.sqrt(n), n - 1) for n in (33, 34)}
    assert paired[33] < 0.8 <= paired[34]
    # Two groups of 64 for an effect of 0.5 (Cohen 1988, table 2.4.1).
    groups = {n: t_test_power(0.5 * math.sqrt(n / 2), 2 * n - 2) for n in (63, 64)}
    assert groups[63] < 0.8 <= groups[64]


@given(st.floats(0.05, 3), st.floats(2, 60), st.sampled_from([0.05, 0.01, 0.001]))
@settings(max_examples=50, deadline=None)
def test_power_equals_the_integral_over_the_spread(effect: float, df: float, alpha: float) -> None:
    """A t value is (Z + shift) ÷ S, with S = √(χ² / df): the power for known S, averaged."""
    shift = effect * math.sqrt(df + 1)
    critical = scipy.stats.t.ppf(1 - alpha / 2, df)
    spreads = np.linspace(1e-6, 8 if df < 5 else 3, 40_001)
    density = scipy.stats.chi(df).pdf(spreads * math.sqrt(df)) * math.sqrt(df)
    normal = scipy.stats.norm
    found = normal.sf(critical * spreads - shift) + normal.cdf(-critical * spreads - shift)
    expected = scipy.integrate.trapezoid(found * density, spreads)
    assert t_test_power(shift, df, alpha) == pytest.approx(expected, abs=1e-4)


def test_an_effect_of_any_size_has_a_power() -> None:
    for shift in (1e-9, 1.0, 1e3, 1e9, 1e300):
        for df in (1.0, 2.5, 10, 1000):
            assert 0 <= t_test_power(shift, df, 0.05 / 1770) <= 1


def test_seeds_needed_by_hand() -> None:
    # An effect of 0.5 standard deviations needs 64 in each group; a large one the fewest, 3.
    unit = Sample(0.0, 1.0, 3)
    assert seeds_needed(unit, Sample(0.5, 1.0, 3)) == 64
    assert seeds_needed(unit, Sample(50.0, 1.0, 3)) == 3
    assert (seeds_needed(unit, Sample(0.5, 1.0, 3), 0.05 / 6) or 0) > 64
    assert seeds_needed(Sample(0.5, 0.0, 3), Sample(0.4, 0.0, 3)) == 3  # no spread at all


def test_no_number_of_seeds_is_promised_without_an_effect_or_a_spread() -> None:
    unit = Sample(0.0, 1.0, 3)
    assert seeds_needed(unit, unit) is None
    assert seeds_needed(unit, Sample(0.001, 1.0, 3)) is None
    assert seeds_needed(unit, Sample(2.0, 1.0, 2)) is None


@given(st.floats(0.01, 4), st.floats(0.01, 4), st.sampled_from([0.05, 0.01]))
@settings(deadline=None)
def test_the_seeds_needed_are_the_fewest(effect: float, variance: float, alpha: float) -> None:
    a, b = Sample(0.0, 1.0, 5), Sample(effect, variance, 5)
    needed = seeds_needed(a, b, alpha)
    if needed is None:
        return
    found = {n: difference_at(a, b, n) for n in (needed, needed - 1)}
    power = {n: t_test_power(one.effect / one.error, one.df, alpha) for n, one in found.items()}
    assert power[needed] >= 0.8
    assert needed == 3 or power[needed - 1] < 0.8


# ---------------------------------------------------------------------------------- pairs of cases


ACCURACY, MSE = find("accuracy"), find("mse")


def test_a_clear_difference_gets_a_verdict_in_the_direction_of_the_metric() -> None:
    some = {"good": [0.90, 0.91, 0.92], "bad": [0.80, 0.82, 0.84]}
    (found,) = compare_over_seeds(some, ACCURACY)
    # Variances 0.0001 and 0.0004; two thirds of the way, 0.0003, replaces the smaller one.
    one, other = 0.0003 / 3, 0.0004 / 3
    df = (one + other) ** 2 / (one**2 / 2 + other**2 / 2)
    half = scipy.stats.t.ppf(0.975, df) * math.sqrt(one + other)
    assert found.effect == pytest.approx(0.09)
    assert found.df == pytest.approx(df)
    assert (found.low, found.high) == pytest.approx((0.09 - half, 0.09 + half))
    assert found.p == found.p_corrected
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(0.09 / math.sqrt(one + other), df))
    assert (found.a, found.b, found.scale, found.n) == ("good", "bad", "difference", 3)
    assert found.verdict == "better"
    assert found.beats is not None
    assert 0.9 < found.beats < 1
    error = compare_over_seeds(some, MSE)[0]
    assert (error.verdict, error.scale) == ("worse", "ratio")


def test_errors_are_compared_by_their_ratio() -> None:
    some = {"a": [0.001, 0.002, 0.004], "b": [0.1, 0.2, 0.4]}
    (found,) = compare_over_seeds(some, MSE)
    expected = scipy.stats.ttest_ind(np.log(some["a"]), np.log(some["b"]), equal_var=False)
    interval = expected.confidence_interval()
    assert found.effect == pytest.approx(0.01)
    assert (found.low, found.high) == pytest.approx(np.exp([interval.low, interval.high]))
    assert found.p == pytest.approx(expected.pvalue)
    assert found.verdict == "better"
    assert found.beats is not None
    assert found.beats > 0.95
    some["b"][0] = 0.0  # no logarithm
    assert compare_over_seeds(some, MSE)[0].scale == "difference"


def test_no_verdict_contradicts_the_means_in_the_table() -> None:
    # Typically a tenth of the error, but one seed in eight failed: the mean is worse.
    some = {"a": [0.001] * 3 + [0.0011] * 4 + [0.09], "b": [0.01, 0.011, 0.012, 0.01] * 2}
    (found,) = compare_over_seeds(some, MSE)
    assert found.effect < 1
    assert mean(some["a"]) > mean(some["b"])
    assert found.p is not None
    assert found.p < 0.05
    assert found.verdict == "no difference"


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_give_no_verdict(seeds: int) -> None:
    some = {"a": [0.9] * seeds, "b": [0.1] * seeds, "c": [0.5, 0.6, 0.7], "d": [0.1, 0.2, 0.3]}
    found = {(one.a, one.b): one for one in compare_over_seeds(some, ACCURACY)}
    few = found["a", "b"]
    assert (few.verdict, few.p, few.p_corrected, few.low) == ("too few seeds", None, None, None)
    assert few.effect == pytest.approx(0.8)
    assert (few.needed, few.n) == (3, seeds)
    assert found["a", "c"].verdict == "too few seeds"
    assert found["c", "d"].verdict == "better"
    assert found["c", "d"].p == found["c", "d"].p_corrected  # the only pair that was tested


def test_p_is_corrected_for_the_pairs_that_were_tested() -> None:
    some = {"a": [0.90, 0.91, 0.92], "b": [0.80, 0.82, 0.84], "c": [0.79, 0.81, 0.86]}
    found = compare_over_seeds(some, ACCURACY)
    ps = [one.p for one in found if one.p is not None]
    assert [one.p_corrected for one in found] == holm(ps)
    undecided = found[-1]
    assert undecided.verdict == "no difference"
    # The largest p is not multiplied: alone it would have to be below 5 %.
    a, b = samples_of(list(some.values()))[1:]
    assert undecided.needed == seeds_needed(a, b, 0.05)


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_equal_cases_are_called_different_as_rarely_as_promised(seeds: int) -> None:
    random = np.random.default_rng(5)
    alarms = 0
    for _ in range(300):
        draws = random.normal(0.87, 0.01, size=(3, seeds))
        some = {str(k): list(row) for k, row in enumerate(draws)}
        alarms += any(one.verdict != "no difference" for one in compare_over_seeds(some, ACCURACY))
    assert alarms / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


# ----------------------------------------------------------------------------------------- margins


CASES = [{"id": name, "dataset": "d", "dataset_params": {}, "device": "cpu"} for name in "abc"]


def timed(a: str, b: str, effect: float, half: float, n: int = 10) -> Comparison:
    """A comparison of timings; ``half``: half-width of the interval of the logarithm."""
    return Comparison(
        "latency", a, b, scale="ratio", effect=effect, low=effect * math.exp(-half),
        high=effect * math.exp(half), p=0.001, p_corrected=0.003, df=n - 1, verdict="better", n=n,
        settings={"batch_size": 1},
    )  # fmt: skip


def test_without_a_margin_nothing_is_equivalent() -> None:
    same = {"a": [0.5, 0.5001, 0.5002], "b": [0.5, 0.5001, 0.5002]}
    found = compare_over_seeds(same, ACCURACY)
    assert with_margins(found, CASES, {}) == found
    assert found[0].verdict == "no difference"


def test_two_cases_are_equivalent_within_a_margin() -> None:
    some = {"a": [0.5, 0.501, 0.502], "b": [0.5, 0.501, 0.503], "c": [0.7, 0.701, 0.702]}
    found = with_margins(
        compare_over_seeds(some, ACCURACY), CASES, {"accuracy": {"difference": 0.01}}
    )
    assert [one.verdict for one in found] == ["equivalent", "worse", "worse"]
    assert {one.margin for one in found} == {0.01}
    samples = samples_of(list(some.values()))
    ps = [
        difference(samples[a], samples[b]).p_within(0.01)
        for a, b in itertools.combinations(range(3), 2)
    ]
    assert [one.p_equivalent for one in found] == pytest.approx(holm(ps))
    narrow = with_margins(
        compare_over_seeds(some, ACCURACY), CASES, {"accuracy": {"difference": 0.001}}
    )
    assert narrow[0].verdict == "no difference"


def test_a_difference_that_is_real_but_irrelevant_is_equivalent() -> None:
    found = with_margins([timed("a", "b", 0.99, 0.005)], CASES, {"latency": {"ratio": 1.03}})
    assert found[0].verdict == "equivalent"
    error = 0.005 / scipy.stats.t.ppf(0.975, 9)
    expected = scipy.stats.t.sf((math.log(1.03) - abs(math.log(0.99))) / error, 9)
    assert found[0].p_equivalent == pytest.approx(expected)
    found = with_margins([timed("a", "b", 0.95, 0.005)], CASES, {"latency": {"ratio": 1.03}})
    assert found[0].verdict == "better"
    assert found[0].margin == 1.03


@given(st.floats(0.5, 2), st.floats(0.001, 0.3), st.integers(2, 20))
def test_comparisons_of_format_1_get_back_their_own_p(effect: float, half: float, n: int) -> None:
    """Runs of format 1 stored only the corrected p of timings."""
    old = replace(timed("a", "b", effect, half, n), p=0.5, p_corrected=None, df=None)
    new = from_format_1(old)
    assert (new.p_corrected, new.df) == (0.5, n - 1)
    error = half / scipy.stats.t.ppf(0.975, n - 1)
    excess = max(0.0, abs(math.log(effect)) - math.log(1.005))
    assert new.p == pytest.approx(2 * scipy.stats.t.sf(excess / error, n - 1), rel=1e-6)


def test_the_script_that_chose_the_rule_tests_the_rule() -> None:
    path = ROOT / "benchmarks" / "seed_tests.py"
    spec = importlib.util.spec_from_file_location("seed_tests", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["seed_tests"] = script
    spec.loader.exec_module(script)
    drawn = np.random.default_rng(1).normal(0.5, [[[0.1], [0.001], [0.05], [0.2]]], (20, 4, 3))
    expected = script.holm(script.welch_with_floor(drawn))
    for family, ps in zip(drawn, expected, strict=True):
        some = {str(number): list(row) for number, row in enumerate(family)}
        found = [one.p_corrected for one in compare_over_seeds(some, ACCURACY)]
        assert found == pytest.approx(list(ps))


@given(
    st.floats(0.1, 0.9),
    st.integers(3, 12),
    st.integers(3, 12),
    st.sampled_from(["accuracy", "mse"]),
)
def test_equal_constants_are_equal_whatever_their_number(
    value: float, n: int, m: int, name: str
) -> None:
    (found,) = compare_over_seeds({"a": [value] * n, "b": [value] * m}, find(name))
    assert (found.p, found.verdict, found.beats) == (1.0, "no difference", 0.5)


@pytest.mark.parametrize("values", [[1e-300, 1e-200, 1e-10], [1e300, 1e308, 1.0], [1e154] * 3])
def test_extreme_figures_can_be_compared(values: list[float]) -> None:
    (found,) = compare_over_seeds({"a": values, "b": [1.0, 2.0, 3.0]}, MSE)
    assert found.p is not None
    json.dumps(vars(found), default=str, allow_nan=False)
