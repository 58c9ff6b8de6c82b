"""Pairwise comparisons, tested against results computed by hand or by scipy."""

from __future__ import annotations

import itertools
import math
from statistics import mean, stdev

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from seqbench.stats import paired
from seqbench.stats.letters import letter_display
from seqbench.stats.paired import DRAWS, holm, least_p, sign_flip
from seqbench.stats.power import seeds_needed, t_test_power
from seqbench.summary.metric_pairs import paired_comparisons

#: Steps of a thousandth, so that ties are exact and rounding is as with accuracies.
differences = st.lists(st.integers(-300, 300).map(lambda n: n / 1000), min_size=1, max_size=9)
ps = st.lists(st.floats(0, 1), max_size=12)


# ------------------------------------------------------------------------------ the sign-flip test


def test_the_sign_flip_test_by_hand() -> None:
    # Of the 8 sums ±1 ±2 ±3, the two that are 6 away from 0 are as far as 1 + 2 + 3.
    assert sign_flip([1, 2, 3]) == 2 / 8
    # 1 + 2 - 1 = 2: as far are ±4 (2 sums) and ±2 (4 sums); the two that are 0 are not.
    assert sign_flip([1, 2, -1]) == 6 / 8
    assert sign_flip([0.5]) == 1.0
    assert sign_flip([0.0, 0.0, 0.0]) == 1.0
    assert sign_flip([]) == 1.0


def test_sums_that_differ_by_rounding_are_ties() -> None:
    # 0.1 + 0.2 - 0.3 is 5.6e-17 in binary, and 0 in truth: every flip is as far.
    assert sign_flip([0.1, 0.2, -0.3]) == 1.0
    assert sign_flip([0.3, 0.1, 0.2]) == sign_flip([0.1, 0.2, 0.3]) == 0.25


@given(differences)
def test_the_sign_flip_test_is_the_share_of_all_flips(given_: list[float]) -> None:
    whole = [round(1000 * one) for one in given_]  # integers have no rounding
    sums = [
        abs(sum(sign * one for sign, one in zip(signs, whole, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(whole))
    ]
    expected = sum(one >= abs(sum(whole)) for one in sums) / len(sums)
    assert sign_flip(given_) == expected


@given(differences.filter(lambda some: len(some) > 1))
@settings(max_examples=30, deadline=None)
def test_the_sign_flip_test_equals_scipys(given_: list[float]) -> None:
    whole = np.array([1000 * one for one in given_]).round()
    found = scipy.stats.permutation_test(
        (whole,), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip(given_) == pytest.approx(found.pvalue)


@given(differences, st.randoms(use_true_random=False))
def test_signs_and_order_do_not_matter(given_: list[float], random: object) -> None:
    p = sign_flip(given_)
    assert sign_flip([-one for one in given_]) == p
    assert sign_flip(sorted(given_)) == p
    assert least_p(len(given_)) <= p <= 1


def test_many_differences_are_sampled_and_agree_with_all_flips(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = list(np.random.default_rng(3).normal(0.5, 1.0, size=14))
    exact = sign_flip(some)
    monkeypatch.setattr(paired, "EXACT", 13)
    sampled = sign_flip(some)
    assert sampled == sign_flip(some)
    assert sampled == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / DRAWS))
    assert sign_flip([1.0] * 40) == least_p(40) == 1 / 100_000


def test_the_smallest_p_is_reached_if_all_have_the_same_sign() -> None:
    for n in range(1, 12):
        assert sign_flip([0.01 * k for k in range(1, n + 1)]) == least_p(n)


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
    assert t_test_power(0.5, 33) < 0.8 <= t_test_power(0.5, 34)
    assert t_test_power(0.2, 198) < 0.8 <= t_test_power(0.2, 199)


@given(st.floats(0.05, 3), st.integers(3, 60), st.sampled_from([0.05, 0.01, 0.001]))
@settings(max_examples=50, deadline=None)
def test_power_equals_the_integral_over_the_spread(effect: float, n: int, alpha: float) -> None:
    """A t value is (Z + shift) ÷ S, with S = √(χ² / df): the power for known S, averaged."""
    df, shift = n - 1, effect * math.sqrt(n)
    critical = scipy.stats.t.ppf(1 - alpha / 2, df)
    spreads = np.linspace(1e-6, 8 if df < 5 else 3, 40_001)
    density = scipy.stats.chi(df).pdf(spreads * math.sqrt(df)) * math.sqrt(df)
    normal = scipy.stats.norm
    found = normal.sf(critical * spreads - shift) + normal.cdf(-critical * spreads - shift)
    expected = scipy.integrate.trapezoid(found * density, spreads)
    assert t_test_power(effect, n, alpha) == pytest.approx(expected, abs=1e-4)


def test_an_effect_of_any_size_has_a_power() -> None:
    for effect in (1e-9, 1.0, 1e3, 1e9, 1e300):
        for n in (2, 10, 1000):
            assert 0 <= t_test_power(effect, n, 0.05 / 1770) <= 1


def test_seeds_needed_by_hand() -> None:
    # The sign-flip test needs 6 differences for 2 / 2⁶ ≤ 5 %, and 8 for 5 % ÷ 6 pairs.
    assert seeds_needed([1.0, 1.1, 0.9]) == 6
    assert seeds_needed([1.0, 1.1, 0.9], 0.05 / 6) == 8
    assert seeds_needed([1.0, 1.0, 1.0]) == 6  # no spread at all
    assert seeds_needed([1.0, 1.1]) is None
    half = [0.5 + sign for sign in (1, -1, 1, -1)]
    scale = stdev(half) * 0.5  # mean ÷ standard deviation of 0.5 needs 34
    assert seeds_needed([one - 0.5 + scale for one in half]) == 34


@pytest.mark.parametrize("some", [[0.3], [1.0, -1.0], [0.0, 0.0], [10.001, -10.0]])
def test_no_number_of_seeds_is_promised_without_an_effect(some: list[float]) -> None:
    assert seeds_needed(some) is None


@given(differences.filter(lambda some: len(some) > 1), st.sampled_from([0.05, 0.01]))
def test_the_seeds_needed_are_the_fewest(some: list[float], alpha: float) -> None:
    needed = seeds_needed(some, alpha)
    if needed is None or stdev(some) == 0:
        return
    effect = abs(mean(some)) / stdev(some)
    assert least_p(needed) <= alpha
    assert t_test_power(effect, needed, alpha) >= 0.8
    fewer = needed - 1
    assert least_p(fewer) > alpha or t_test_power(effect, fewer, alpha) < 0.8


# ---------------------------------------------------------------------------------- pairs of cases


def by_seed(*figures: float) -> dict[int, float]:
    return dict(enumerate(figures))


def test_a_clear_difference_gets_a_verdict_in_the_direction_of_the_metric() -> None:
    figures = {
        "good": by_seed(*(0.90 + 0.001 * n for n in range(6))),
        "bad": by_seed(*(0.80 + 0.002 * n for n in range(6))),
    }
    (found,) = paired_comparisons(figures, "accuracy", higher_is_better=True)
    # Differences 0.1 - 0.001 n: mean 0.0975, s = 0.00187083; t(0.975, 5) = 2.570582.
    assert found.effect == pytest.approx(0.0975)
    half = 2.570582 * 0.00187083 / math.sqrt(6)
    assert (found.low, found.high) == pytest.approx((0.0975 - half, 0.0975 + half), abs=1e-7)
    assert (found.a, found.b, found.scale, found.n) == ("good", "bad", "difference", 6)
    assert found.p == 2 / 2**6
    assert found.verdict == "better"
    (found,) = paired_comparisons(figures, "mse", higher_is_better=False)
    assert found.verdict == "worse"


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_few_seeds_give_no_verdict_however_large_the_difference(seeds: int) -> None:
    figures = {"a": by_seed(*[0.9] * seeds), "b": by_seed(*[0.1] * seeds)}
    (found,) = paired_comparisons(figures, "accuracy", higher_is_better=True)
    assert found.verdict == "too few seeds"
    assert found.needed == (None if seeds == 1 else 6)


def test_more_pairs_need_more_seeds() -> None:
    figures = {str(k): by_seed(*(k + 0.01 * (k + 1) * n for n in range(6))) for k in range(4)}
    found = paired_comparisons(figures, "accuracy", higher_is_better=True)
    assert {one.verdict for one in found} == {"too few seeds"}  # 6 pairs: 6 · 2 / 2⁶ > 5 %
    assert {one.needed for one in found} == {8}
    figures = {str(k): by_seed(*(k + 0.01 * (k + 1) * n for n in range(8))) for k in range(4)}
    found = paired_comparisons(figures, "accuracy", higher_is_better=True)
    assert {one.verdict for one in found} == {"worse"}
    assert {one.p for one in found} == {6 * 2 / 2**8}


def test_only_common_seeds_are_compared() -> None:
    figures = {"a": {0: 0.5, 1: 0.6, 2: 0.7}, "b": {1: 0.5, 2: 0.5, 3: 0.9}, "c": {7: 0.5}}
    (found,) = paired_comparisons(figures, "accuracy", higher_is_better=True)
    assert (found.a, found.b, found.n) == ("a", "b", 2)
    assert found.effect == pytest.approx(0.15)


def test_equal_cases_are_called_different_as_rarely_as_promised() -> None:
    random = np.random.default_rng(5)
    alarms = 0
    for _ in range(300):
        draws = random.normal(0.87, 0.01, size=(3, 8))
        figures = {str(k): by_seed(*row) for k, row in enumerate(draws)}
        found = paired_comparisons(figures, "accuracy", higher_is_better=True)
        assert "too few seeds" not in {one.verdict for one in found}
        alarms += any(one.verdict != "no difference" for one in found)
    assert alarms / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
