"""How often tests over resamples of a dataset are wrong: false alarms and power.

    python benchmarks/resample_tests.py

A *false alarm* is a family of models with equal means in which any pair is called different, after
Holm's correction; 5 % are allowed. *Power* is the fraction of families of two different models that
are told apart.

- generated: the resamples are independent. A figure is the sum of an effect of the resample (half
  of it shared by all models), and the mean over the training seeds, which are drawn from the
  figures of real trainings (``data/seed_pools.json``), moved to the mean 0. All models of a family
  are drawn from one pool ("equal"), or alternately from two pools of a task ("unequal"). "Shared
  effect": a resample is harder or easier for all models alike, so that only seeds differ.
- split: the resamples split the same 500 sequences, drawn from a population in which both models
  are equally good. A real classifier (the nearest mean, with random errors that stand for the
  training seed) is trained and tested on each split. The two models see ten features each, of which
  they share five.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from seed_tests import ALPHA, POOLS, Task, holm, read_tasks, welch_with_floor

from seqbench.stats.welch import FLOOR

Array = NDArray[np.float64]

RESAMPLES, SEEDS = (3, 5, 10), (1, 3)

#: Spread of the effect of a resample that all models share, and usually of each model's own, as a
#: multiple of that of the seeds.
SHARED, OWN = 1.0, 1.0

#: Training and test sequences of the splits, and how far the better model is ahead for power.
SIZES, AHEAD = ((50, 450), (100, 400), (250, 250), (400, 100), (450, 50)), 0.1

#: p values of all pairs of each family: (families, models, resamples, seeds) → (families, pairs).
Test = Callable[[Array], Array]


def paired(figures: Array, overlap: float = 0.0, floor: float | None = None) -> Array:
    """The paired t test of the means over the seeds, as in :mod:`seqbench.stats.resamples`.

    Args:
        floor: the quantile of the variances of all pairs that a variance counts as at least.
    """
    means = figures.mean(-1)
    first, second = zip(*combinations(range(means.shape[1]), 2), strict=True)
    apart = means[:, list(first)] - means[:, list(second)]
    n = apart.shape[-1]
    variance = apart.var(-1, ddof=1)
    if floor is not None:
        variance = np.maximum(variance, np.quantile(variance, floor, axis=1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(apart.mean(-1)) / np.sqrt(variance * (1 / n + overlap))
    p: Array = 2 * stats.t.sf(t, n - 1)
    return np.where(np.isnan(p), 1.0, p)


def all_trials(figures: Array) -> Array:
    """Welch's test with the floor, as if every trial were a seed of its own: wrong."""
    return welch_with_floor(figures.reshape(*figures.shape[:2], -1))


TESTS: Mapping[str, Test] = {
    "Welch's t, all trials": all_trials,
    "Welch's t, resamples": lambda figures: welch_with_floor(figures.mean(-1)),
    "paired t": paired,
    "paired t, floor 1/2": lambda figures: paired(figures, floor=0.5),
    "paired t, floor (rule)": lambda figures: paired(figures, floor=FLOOR),
}


def alarms(p: Array) -> float:
    return float((holm(p) < ALPHA).any(-1).mean())


def generated(
    tasks: list[Task],
    size: tuple[int, int, int, int],
    random: np.random.Generator,
    *,
    equal: bool = True,
    own: float = OWN,
) -> Iterator[Array]:
    """Families with equal means, for each pool or each two pools of a task.

    Args:
        size: families, models, resamples, seeds.
    """
    families, models, resamples, _ = size
    for task in tasks:
        pools = list(task.pools.values())
        for both in [(one, one) for one in pools] if equal else combinations(pools, 2):
            spread = float(np.mean([pool.std() for pool in both]))
            shape = (families, 1, resamples, 1)
            drawn = [
                random.choice(both[row % 2] - both[row % 2].mean(), (families, 1, *size[2:]))
                + random.normal(0, own * spread, shape)
                for row in range(models)
            ]
            yield np.concatenate(drawn, axis=1) + random.normal(0, SHARED * spread, shape)


def splits(
    size: tuple[int, int, int], sizes: tuple[int, int], random: np.random.Generator, ahead: float
) -> Array:
    """Accuracies of two models on resamples of the same sequences.

    Args:
        size: families, resamples, seeds.
        sizes: training and test sequences.
        ahead: by how much the features of the first model tell more.
    """
    families, resamples, seeds = size
    train, total = sizes[0], sum(sizes)
    strength = np.full(15, 0.25)
    strength[:5] += ahead
    own = (slice(0, 10), slice(5, 15))
    targets = random.choice([-1.0, 1.0], (families, total))
    inputs = targets[:, :, None] * strength + random.normal(size=(families, total, 15))
    found = np.empty((families, 2, resamples, seeds))
    for resample in range(resamples):
        order = random.random((families, total)).argsort(1)
        y = np.take_along_axis(targets, order, 1)
        x = np.take_along_axis(inputs, order[:, :, None], 1)
        means = (x[:, :train] * y[:, :train, None]).mean(1)
        for model, features in enumerate(own):
            right = means[:, None, features]
            noise = 0.5 * np.abs(right).mean(-1, keepdims=True)
            weights = right + noise * random.normal(size=(families, seeds, 10))
            answers = x[:, train:, features] @ weights.transpose(0, 2, 1)
            found[:, model, resample] = (answers * y[:, train:, None] > 0).mean(1)
    return found


def print_generated(tasks: list[Task], families: int) -> None:
    columns = [(k, n) for k in SEEDS for n in RESAMPLES]
    for equal, own in ((True, OWN), (False, OWN), (False, 0.0)):
        for models in (2, 4, 10):
            worst: dict[str, list[float]] = {name: [] for name in TESTS}
            for k, n in columns:
                random = np.random.default_rng([models, n, k])
                size = (families, models, n, k)
                drawn = list(generated(tasks, size, random, equal=equal, own=own))
                for name, test in TESTS.items():
                    worst[name].append(max(alarms(test(each)) for each in drawn))
            kind = f"{'equal' if equal else 'unequal'} spreads{'' if own else ', shared effect'}"
            print(f"\nfalse alarms, generated, {kind}, {models} models, worst pool (%)")
            _print(columns, worst)


def print_power(tasks: list[Task], families: int) -> None:
    columns = [(k, n) for k in SEEDS for n in RESAMPLES]
    found: dict[str, list[float]] = {name: [] for name in TESTS if name != "Welch's t, all trials"}
    for k, n in columns:
        random = np.random.default_rng([n, k])
        drawn = list(generated(tasks, (families, 3, n, k), random))
        for each in drawn:  # two spreads of its seeds
            each[:, 0] += 2 * each.std() / np.sqrt(1 + SHARED**2 + OWN**2)
        for name, shares in found.items():
            shares.append(
                float(np.mean([(holm(TESTS[name](one)) < ALPHA)[:, :2] for one in drawn]))
            )
    print("\npower, generated, 3 models of which one is better, mean over pools (%)")
    _print(columns, found)


def print_splits(families: int) -> None:
    columns = [(k, n) for k in SEEDS for n in RESAMPLES]
    for sizes in SIZES:
        overlap = sizes[1] / sizes[0]
        names = ("Welch's t, all trials", "paired t", "corrected (rule)", "power: paired t",
                 "power: corrected")  # fmt: skip
        rows: dict[str, list[float]] = {name: [] for name in names}
        for k, n in columns:
            random = np.random.default_rng([*sizes, n, k])
            size = (250, n, k)
            equal, better = (
                np.concatenate([splits(size, sizes, random, by) for _ in range(families // 250)])
                for by in (0.0, AHEAD)
            )
            tests = (all_trials, paired, lambda figures, o=overlap: paired(figures, o))
            shares = [*(alarms(test(equal)) for test in tests),
                      *(alarms(test(better)) for test in tests[1:])]  # fmt: skip
            for name, share in zip(names, shares, strict=True):
                rows[name].append(share)
        print(f"\nfalse alarms and power, split, {sizes[0]} training and {sizes[1]} test (%)")
        _print(columns, rows)


def _print(columns: list[tuple[int, int]], rows: Mapping[str, list[float]]) -> None:
    print(f"{'resamples × seeds':<24}" + "".join(f"{f'{n} × {k}':>8}" for k, n in columns))
    for name, shares in rows.items():
        print(f"{name:<24}" + "".join(f"{100 * share:>8.1f}" for share in shares), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--families", type=int, default=2000, help="a multiple of 250")
    options = parser.parse_args()
    tasks = read_tasks(POOLS)
    print_generated(tasks, options.families)
    print_power(tasks, options.families)
    print_splits(options.families)


if __name__ == "__main__":
    main()
