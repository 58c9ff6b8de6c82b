"""Which test can tell, from a few seeds, that one model is better: false alarms and power.

    python benchmarks/seed_tests.py
    python benchmarks/seed_tests.py --answers answers    # also: the test examples as a source

Families of models are drawn from real figures over seeds (``data/seed_pools.json``, written by
``seed_pools.py``), and all pairs of a family are tested, with Holm's correction. A *false alarm* is
a family of models with equal means in which any pair is called different. *Power* is the fraction
of pairs with different means that are called different, in the right direction.

- equal spreads: all models of a family are drawn from one pool;
- unequal spreads: they are drawn from different pools of one task, moved to the same mean.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

POOLS = Path(__file__).parent / "data" / "seed_pools.json"
ALPHA = 0.05
SEEDS = (2, 3, 4, 5, 6, 8, 10, 15, 20)
FAMILIES = {2: 1, 3: 3, 4: 6, 6: 15, 10: 45}
REPEATS = 2000
#: Sign-flip enumerates up to this many seeds; bootstrap draws so many samples.
EXACT, DRAWS = 12, 1000

#: p values, two-sided, of a difference of means: (…, n) and (…, n) → (…).
Test = Callable[[Array, Array], Array]


def welch(a: Array, b: Array) -> Array:
    """Welch's t test of two independent samples (Welch, 1947)."""
    n = a.shape[-1]
    va, vb = a.var(-1, ddof=1) / n, b.var(-1, ddof=1) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (a.mean(-1) - b.mean(-1)) / np.sqrt(va + vb)
        df = (va + vb) ** 2 / (va**2 + vb**2) * (n - 1)
        p = 2 * stats.t.sf(np.abs(t), df)
    return _same_is_one(p, a, b)


def paired_t(a: Array, b: Array) -> Array:
    """Student's t test of the differences at equal seeds."""
    d = a - b
    n = d.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = d.mean(-1) / np.sqrt(d.var(-1, ddof=1) / n)
        p = 2 * stats.t.sf(np.abs(t), n - 1)
    return _same_is_one(p, a, b)


def correlated_t(a: Array, b: Array, rho: float = 0.1) -> Array:
    """Bayesian correlated t test (Benavoli et al., 2017): twice the smaller posterior tail."""
    d = a - b
    n = d.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.sqrt((1 / n + rho / (1 - rho)) * d.var(-1, ddof=1))
        p = 2 * stats.t.sf(np.abs(d.mean(-1) / scale), n - 1)
    return _same_is_one(p, a, b)


def sign_flip(a: Array, b: Array) -> Array:
    """The paired permutation test that flips the signs of the differences."""
    d = a - b
    n = d.shape[-1]
    if n > EXACT:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(4096, n))
        signs[0] = 1.0
    else:
        bits = np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1
        signs = 1.0 - 2.0 * bits
    means = np.abs(d @ signs.T)
    p: Array = (means >= means[..., :1] - 1e-12).mean(-1)
    return p


def bootstrap(a: Array, b: Array) -> Array:
    """Percentile bootstrap of the difference of means (Efron, 1979)."""
    random, n = np.random.default_rng(0), a.shape[-1]
    below = np.zeros(a.shape[:-1])
    ties = np.zeros(a.shape[:-1])
    for _ in range(DRAWS):
        rows = random.integers(n, size=(2, n))
        d = a[..., rows[0]].mean(-1) - b[..., rows[1]].mean(-1)
        below += d < 0
        ties += d == 0
    share = (below + ties / 2) / DRAWS
    return 2 * np.minimum(share, 1 - share)


def _same_is_one(p: Array, a: Array, b: Array) -> Array:
    """p without any spread: 1 for equal means, 0 for different ones."""
    found: Array = np.where(np.isnan(p), np.where(a.mean(-1) == b.mean(-1), 1.0, 0.0), p)
    return found


def linked(test: Test, metric: str) -> Test:
    """A test on the scale on which effects add up: the logit of a share, the logarithm of an error.

    Shares of 0 and 1 are moved by half a test example.
    """

    def on_link(a: Array, b: Array) -> Array:
        return test(link(a, metric), link(b, metric))

    return on_link


def link(values: Array, metric: str) -> Array:
    if metric != "accuracy":
        return np.log(values)
    inside = np.clip(values, 0.5 / 2000, 1 - 0.5 / 2000)
    return np.log(inside / (1 - inside))


def tests_for(metric: str) -> dict[str, Test]:
    return {
        "sign-flip": sign_flip,
        "paired t": paired_t,
        "Welch's t": welch,
        "paired t, link": linked(paired_t, metric),
        "Welch's t, link": linked(welch, metric),
        "correlated t": correlated_t,
        "bootstrap": bootstrap,
    }


def holm(p: Array) -> Array:
    """Holm's correction over the last axis (Holm, 1979)."""
    order = np.argsort(p, axis=-1)
    ranked = np.take_along_axis(p, order, -1)
    factors = np.arange(p.shape[-1], 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(ranked * factors, axis=-1), 1.0)
    result = np.empty_like(p)
    np.put_along_axis(result, order, adjusted, -1)
    return result


def families(
    pools: list[Array], models: int, n: int, random: np.random.Generator, repeats: int
) -> Array:
    """Random families: (repeats, models, n). Each model's pool is drawn, too; without repetition
    within a model, as seeds are.
    """
    found = np.empty((repeats, models, n))
    for family in found:
        for row in range(models):
            pool = pools[random.integers(len(pools))]
            family[row] = random.choice(pool, n, replace=False)
    return found


def corrected(drawn: Array, test: Test) -> Array:
    """Corrected p values of all pairs: (repeats, pairs)."""
    first, second = (
        list(each) for each in zip(*combinations(range(drawn.shape[1]), 2), strict=True)
    )
    return holm(test(drawn[:, first], drawn[:, second]))


def moved(pools: list[Array], metric: str) -> list[Array]:
    """Pools moved to their common mean; without those that would leave the range of the metric."""
    center = float(np.mean([pool.mean() for pool in pools]))
    kept = [pool - pool.mean() + center for pool in pools]
    low, high = (0.0, 1.0) if metric == "accuracy" else (0.0, np.inf)
    return [pool for pool in kept if pool.min() > low and pool.max() < high]


def false_alarms(
    pools: list[Array], metric: str, models: int, n: int, repeats: int
) -> Iterator[tuple[str, float]]:
    """For each test the fraction of families with any false alarm."""
    drawn = families(pools, models, n, np.random.default_rng([models, n]), repeats)
    for name, test in tests_for(metric).items():
        yield name, float((corrected(drawn, test) < ALPHA).any(-1).mean())


def power(
    pools: Mapping[str, Array], metric: str, n: int, repeats: int
) -> Iterator[tuple[str, str, float]]:
    """For each pair of pools in a family of all, and each test: how often it is found."""
    random = np.random.default_rng(n)
    drawn = np.stack(
        [
            np.stack([random.choice(pool, n, replace=False) for _ in range(repeats)])
            for pool in pools.values()
        ],
        axis=1,
    )
    names = list(combinations(pools, 2))
    means = {name: pool.mean() for name, pool in pools.items()}
    for name, test in tests_for(metric).items():
        found = corrected(drawn, test) < ALPHA
        for number, (a, b) in enumerate(names):
            i, j = list(pools).index(a), list(pools).index(b)
            right = np.sign(drawn[:, i].mean(-1) - drawn[:, j].mean(-1)) == np.sign(
                means[a] - means[b]
            )
            yield name, f"{a} – {b}", float((found[:, number] & right).mean())


def tasks_of(pools: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Array]]]:
    """The metric and the pools by model, for each task. Pools without any spread are left out."""
    found: dict[str, tuple[str, dict[str, Array]]] = {}
    for name, pool in pools.items():
        model, _, task = name.partition(" on ")
        figures = np.array(pool["figures"])
        if figures.std() > 0:
            found.setdefault(task, (pool["metric"], {}))[1][model] = figures
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pools", type=Path, default=POOLS)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    tasks = tasks_of(json.loads(options.pools.read_text()))
    print_false_alarms(tasks, options.repeats)
    print_power(tasks, options.repeats)
    if options.answers is not None:
        print_examples(options.answers, options.repeats)


def print_false_alarms(tasks: Mapping[str, Any], repeats: int) -> None:
    """The worst pool, for each test and number of seeds, and family of models."""
    for kind in ("equal", "unequal"):
        for models, pairs in FAMILIES.items():
            worst: dict[str, dict[int, float]] = {}
            for metric, pools in tasks.values():
                every = list(pools.values())
                groups = [[pool] for pool in every] if kind == "equal" else [moved(every, metric)]
                for group in (group for group in groups if len(group) > (kind == "unequal")):
                    for n in SEEDS:
                        for name, share in false_alarms(group, metric, models, n, repeats):
                            at = worst.setdefault(name, {})
                            at[n] = max(at.get(n, 0.0), share)
            print(f"\nfalse alarms, {kind} spreads, {pairs} pairs, worst pool (%)")
            _print(worst)


def print_power(tasks: Mapping[str, Any], repeats: int) -> None:
    """The mean over all pairs of different models of a task."""
    total: dict[str, dict[int, list[float]]] = {}
    for metric, pools in tasks.values():
        for n in SEEDS:
            for name, _, share in power(pools, metric, n, repeats):
                total.setdefault(name, {}).setdefault(n, []).append(share)
    print("\npower, mean over pairs (%)")
    _print({name: {n: float(np.mean(v)) for n, v in at.items()} for name, at in total.items()})


def print_examples(folder: Path, repeats: int) -> None:
    """False alarms about all test examples, if 500 of them are the test split."""
    import torch

    rows: dict[str, dict[str, Array]] = {}
    for path in sorted(folder.glob("*.pt")):
        model, _, task = path.stem.partition(" on ")
        rows.setdefault(task, {})[model] = torch.load(path).double().numpy()
    worst: dict[str, dict[int, float]] = {}
    random = np.random.default_rng(0)
    for answers in rows.values():
        for a, b in combinations(answers.values(), 2):
            few = [random.choice(a.shape[1], 500, replace=False) for _ in range(40)]
            for n in SEEDS:
                drawn = []
                for examples in few:
                    for _ in range(max(1, repeats // 40)):
                        pair = [
                            one[random.choice(len(one), n, replace=False)][:, examples].mean(1)
                            - one.mean()
                            for one in (a, b)
                        ]
                        drawn.append(pair)
                for name, test in {"Welch's t": welch, "paired t": paired_t}.items():
                    share = float((corrected(np.array(drawn), test) < ALPHA).mean())
                    at = worst.setdefault(name, {})
                    at[n] = max(at.get(n, 0.0), share)
    print("\nfalse alarms about examples that were not in the test split, worst pair (%)")
    _print(worst)


def _print(table: Mapping[str, Mapping[int, float]]) -> None:
    print(f"{'seeds':<18}" + "".join(f"{n:>7}" for n in SEEDS))
    for name, at in table.items():
        print(f"{name:<18}" + "".join(f"{100 * at[n]:>7.1f}" for n in SEEDS))


if __name__ == "__main__":
    main()
