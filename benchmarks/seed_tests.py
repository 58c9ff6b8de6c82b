"""Which test can tell, from a few seeds, that one model is better: false alarms and power.

    python benchmarks/seed_tests.py
    python benchmarks/seed_tests.py --answers answers    # also: the test examples as a source

Families of models are drawn from real figures over seeds (``data/seed_pools.json``, written by
``seed_pools.py``), and all pairs of a family are tested, with Holm's correction. A *false alarm* is
a family of models with equal means in which any pair is called different. *Power* is the fraction
of pairs with different means that are called different, in the right direction.

- equal spreads: all models of a family are drawn from one pool;
- unequal spreads: they are drawn from two pools of one task, in turn, each tilted to the mean
  halfway between them: figures are drawn with probabilities proportional to exp(k · figure), which
  moves the mean but keeps every figure real. Pairs of pools that would have to be tilted so far
  that fewer than ``LEAST_FIGURES`` of their 200 figures carry the weight are omitted;
- moved: the same, but with pools moved to the same mean by adding a constant. Such figures are not
  real (an accuracy may exceed 1), but their spreads differ more;
- a minority: three models from the pool with the largest spread among nine others with different
  means and small spreads; only differences among the three are false alarms.

Errors are tested on the logarithmic scale (also tilted there), except by the tests marked "raw".
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from seqbench.stats.welch import FLOOR, difference, samples_of

Array = NDArray[np.float64]

POOLS = Path(__file__).parent / "data" / "seed_pools.json"
ALPHA = 0.05
SEEDS = (2, 3, 4, 5, 6, 8, 10, 15, 20)
FAMILIES = {2: 1, 3: 3, 4: 6, 5: 10, 6: 15, 10: 45}
REPEATS = 2000
#: Sign-flip enumerates up to this many seeds; bootstrap draws so many samples.
EXACT, DRAWS = 12, 1000

#: Effective number of figures (Kish) that a tilted pool must keep.
LEAST_FIGURES = 60

#: p values of all pairs of each family, two-sided: (families, models, seeds) → (families, pairs).
Test = Callable[[Array], Array]


@dataclass(frozen=True)
class Task:
    """The pools of one task, by model; ``is_error``: a positive figure of which less is better."""

    name: str
    is_error: bool
    pools: Mapping[str, Array]


def welch(drawn: Array, floor: bool = False) -> Array:
    """Welch's t test (Welch, 1947).

    Args:
        floor: whether a variance counts as at least the ``FLOOR`` quantile of its family's.
    """
    n = drawn.shape[-1]
    variances = drawn.var(-1, ddof=1)
    if floor:
        variances = np.maximum(variances, np.quantile(variances, FLOOR, axis=1, keepdims=True))
    (a, b), (va, vb) = _pairs(drawn.mean(-1)), _pairs(variances / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (a - b) / np.sqrt(va + vb)
        df = (va + vb) ** 2 / (va**2 + vb**2) * (n - 1)
        p = 2 * stats.t.sf(np.abs(t), df)
    return _without_spread(p, a, b)


def welch_with_floor(drawn: Array) -> Array:
    """The rule of seqbench (:mod:`seqbench.stats.welch`)."""
    return welch(drawn, floor=True)


def pooled_t(drawn: Array) -> Array:
    """Student's t test with the variance of all models of the family."""
    count, n = drawn.shape[1:]
    variance = drawn.var(-1, ddof=1).mean(1, keepdims=True)
    a, b = _pairs(drawn.mean(-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(a - b) / np.sqrt(2 * variance / n), count * (n - 1))
    return _without_spread(p, a, b)


def paired_t(drawn: Array, rho: float = 0.0) -> Array:
    """Student's t test of the differences at equal seeds.

    With ``rho``, the variance is that of the Bayesian correlated t test (Benavoli et al., 2017),
    and p is twice the smaller posterior tail.
    """
    d = np.subtract(*_pairs(drawn))
    n = d.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.sqrt((1 / n + rho / (1 - rho)) * d.var(-1, ddof=1))
        p = 2 * stats.t.sf(np.abs(d.mean(-1) / scale), n - 1)
    return _without_spread(p, d.mean(-1), np.zeros(1))


def correlated_t(drawn: Array) -> Array:
    return paired_t(drawn, rho=0.1)


def sign_flip(drawn: Array) -> Array:
    """The paired permutation test that flips the signs of the differences."""
    d = np.subtract(*_pairs(drawn))
    n = d.shape[-1]
    if n > EXACT:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(4096, n))
        signs[0] = 1.0
    else:
        bits = np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1
        signs = 1.0 - 2.0 * bits
    found = np.empty(d.shape[:-1])
    for part in range(0, len(d), 100):  # all at once would not fit into memory
        means = np.abs(d[part : part + 100] @ signs.T)
        found[part : part + 100] = (means >= means[..., :1] - 1e-12).mean(-1)
    return found


def bootstrap(drawn: Array) -> Array:
    """Percentile bootstrap of the difference of means (Efron, 1979)."""
    random, n = np.random.default_rng(0), drawn.shape[-1]
    below: Any = 0.0
    for _ in range(DRAWS):
        rows = random.integers(n, size=(drawn.shape[1], n))
        means = np.take_along_axis(drawn, rows[None], -1).mean(-1)
        d = np.subtract(*_pairs(means))
        below = below + (d < 0) + (d == 0) / 2
    share: Array = below / DRAWS
    return 2 * np.minimum(share, 1 - share)


def logit(test: Test) -> Test:
    """A test of shares on the logit scale; 0 and 1 are moved by half a test example."""

    def on_logit(drawn: Array) -> Array:
        inside = np.clip(drawn, 0.5 / 2000, 1 - 0.5 / 2000)
        return test(np.log(inside / (1 - inside)))

    return on_logit


def raw(test: Test) -> Test:
    """A test of errors themselves, given their logarithms."""
    return lambda drawn: test(np.exp(drawn))


TESTS: Mapping[str, Test] = {
    "sign-flip": sign_flip,
    "paired t": paired_t,
    "Welch's t": welch,
    "Welch's t, floor": welch_with_floor,
    "pooled t": pooled_t,
    "correlated t": correlated_t,
    "bootstrap": bootstrap,
}


def tests_for(task: Task) -> dict[str, Test]:
    """The tests of a task. Errors are given as logarithms, shares as they are."""
    other = (lambda test: raw(test)) if task.is_error else logit
    more = {"Welch's t, other scale": other(welch), "W. t, floor, other": other(welch_with_floor)}
    return {**TESTS, **more}


def _pairs(values: Array) -> tuple[Array, Array]:
    """The first and the second of all pairs of models, along the second axis."""
    first, second = zip(*combinations(range(values.shape[1]), 2), strict=True)
    return values[:, list(first)], values[:, list(second)]


def _without_spread(p: Array, a: Array, b: Array) -> Array:
    """p without any spread: 1 for equal means, 0 for different ones."""
    found: Array = np.where(np.isnan(p), np.where(a == b, 1.0, 0.0), p)
    return found


def holm(p: Array) -> Array:
    """Holm's correction over the last axis (Holm, 1979)."""
    order = np.argsort(p, axis=-1)
    ranked = np.take_along_axis(p, order, -1)
    factors = np.arange(p.shape[-1], 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(ranked * factors, axis=-1), 1.0)
    result = np.empty_like(p)
    np.put_along_axis(result, order, adjusted, -1)
    return result


def draw(pool: Array, size: tuple[int, int], random: np.random.Generator) -> Array:
    """Rows of figures, each row without repetition, as seeds are."""
    count, n = size
    keys = random.random((count, len(pool)))
    return pool[np.argpartition(keys, n, axis=1)[:, :n]]


def tilted(pool: Array, mean: float) -> Array | None:
    """Probabilities with which the pool's figures have this mean; None if too few carry them."""
    scaled = (pool - pool.mean()) / pool.std()

    def weights(k: float) -> Array:
        found = np.exp(k * scaled - (k * scaled).max())
        shares: Array = found / found.sum()
        return shares

    if not pool.min() < mean < pool.max():
        return None
    try:
        k = optimize.brentq(lambda k: float(weights(k) @ pool) - mean, -60, 60)
    except ValueError:
        return None
    found = weights(float(k))
    return found if 1 / (found**2).sum() >= LEAST_FIGURES else None


def equal_families(task: Task) -> Iterator[Callable[..., Array]]:
    """Functions that draw families from one pool, for each pool."""
    for pool in task.pools.values():
        yield lambda models, n, repeats, random, pool=pool: np.stack(
            [draw(pool, (repeats, n), random) for _ in range(models)], axis=1
        )


def unequal_families(task: Task) -> Iterator[Callable[..., Array]]:
    """Functions that draw families from two pools with the same mean, for each two pools."""
    for a, b in combinations(task.pools.values(), 2):
        middle = (a.mean() + b.mean()) / 2
        weights = [tilted(pool, middle) for pool in (a, b)]
        if all(each is not None for each in weights):
            yield lambda models, n, repeats, random, both=(a, b), w=weights: np.stack(
                [random.choice(both[row % 2], (repeats, n), p=w[row % 2]) for row in range(models)],
                axis=1,
            )


def moved_families(task: Task) -> Iterator[Callable[..., Array]]:
    """Functions that draw families from two pools moved to the same mean, for each two pools."""
    for both in combinations([pool - pool.mean() for pool in task.pools.values()], 2):
        yield lambda models, n, repeats, random, both=both: np.stack(
            [draw(both[row % 2], (repeats, n), random) for row in range(models)], axis=1
        )


def minority(tasks: list[Task], n: int, repeats: int) -> dict[str, float]:
    """For each test how often any of three equal models with a large spread are called different,
    in a family with nine others that differ and have small spreads.
    """
    shares = [pool for task in tasks if not task.is_error for pool in task.pools.values()]
    shares.sort(key=lambda pool: float(pool.std()))
    random = np.random.default_rng(n)
    drawn = [draw(shares[-1], (repeats, n), random) for _ in range(3)]
    drawn += [draw(shares[row % 3], (repeats, n), random) + row / 4 for row in range(9)]
    first, second = np.triu_indices(12, 1)
    equal = (first < 3) & (second < 3)
    return {
        name: float((holm(test(np.stack(drawn, axis=1))) < ALPHA)[:, equal].any(-1).mean())
        for name, test in TESTS.items()
        if name != "bootstrap"
    }


def false_alarms(
    family: Callable[..., Array], task: Task, models: int, n: int, repeats: int
) -> dict[str, float]:
    """For each test the fraction of families with any false alarm."""
    drawn = family(models, n, repeats, np.random.default_rng([models, n]))
    return {
        name: float((holm(test(drawn)) < ALPHA).any(-1).mean())
        for name, test in tests_for(task).items()
        if not (name == "bootstrap" and models > 4)  # slow, and far off with fewer models
    }


def power(task: Task, n: int, repeats: int) -> dict[str, list[float]]:
    """For each test how often each pair of models is found, in a family of all of them."""
    random = np.random.default_rng(n)
    drawn = np.stack([draw(pool, (repeats, n), random) for pool in task.pools.values()], axis=1)
    a, b = _pairs(np.array([[pool.mean() for pool in task.pools.values()]]))
    ours, theirs = _pairs(drawn.mean(-1))
    right = np.sign(ours - theirs) == np.sign(a - b)
    return {
        name: [float(share) for share in ((holm(test(drawn)) < ALPHA) & right).mean(0)]
        for name, test in tests_for(task).items()
    }


def read_tasks(path: Path) -> list[Task]:
    """The pools by task, errors as logarithms. Pools without any spread are left out."""
    found: dict[str, Task] = {}
    for name, pool in json.loads(path.read_text()).items():
        model, _, task = name.partition(" on ")
        is_error = pool["metric"] != "accuracy"
        figures = np.log(pool["figures"]) if is_error else np.array(pool["figures"])
        if figures.std() > 0:
            pools = found.setdefault(task, Task(task, is_error, {})).pools
            assert isinstance(pools, dict)
            pools[model] = figures
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pools", type=Path, default=POOLS)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--only", nargs="+", choices=("equal", "unequal", "moved"))
    options = parser.parse_args()
    tasks = read_tasks(options.pools)
    kinds = {"equal": equal_families, "unequal": unequal_families, "moved": moved_families}
    for kind, families in kinds.items():
        if options.only and kind not in options.only:
            continue
        for models, pairs in FAMILIES.items():
            worst: dict[str, dict[int, float]] = {}
            for task in tasks:
                for family in families(task):
                    for n in SEEDS:
                        repeats = options.repeats if models < 10 else options.repeats // 2
                        for name, share in false_alarms(family, task, models, n, repeats).items():
                            at = worst.setdefault(name, {})
                            at[n] = max(at.get(n, 0.0), share)
            print(f"\nfalse alarms, {kind} spreads, {pairs} pairs, worst pool (%)", flush=True)
            _print(worst)
    print("\nfalse alarms among three unstable models of twelve (%)")
    shares = {n: minority(tasks, n, options.repeats) for n in SEEDS}
    _print({name: {n: shares[n][name] for n in SEEDS} for name in shares[SEEDS[0]]})
    if options.only:
        return
    print_power(tasks, options.repeats)
    print_chances(tasks, options.repeats)
    if options.answers is not None:
        print_examples(options.answers, options.repeats)


def print_power(tasks: list[Task], repeats: int) -> None:
    """The mean over the pairs of all tasks, and over those of each task."""
    total: dict[str, dict[int, list[float]]] = {}
    for task in tasks:
        own: dict[str, dict[int, float]] = {}
        for n in SEEDS:
            for name, shares in power(task, n, repeats).items():
                own.setdefault(name, {})[n] = float(np.mean(shares))
                total.setdefault(name, {}).setdefault(n, []).extend(shares)
        print(f"\npower, {task.name}, mean over pairs (%)")
        _print(own)
    print("\npower, mean over pairs (%)")
    _print({name: {n: float(np.mean(v)) for n, v in at.items()} for name, at in total.items()})


def print_chances(tasks: list[Task], repeats: int) -> None:
    """Whether a model beats another at a new seed as often as was predicted from ``n`` seeds."""
    print("\nbeats: predicted probability, and how often it came true (%), by number of seeds")
    edges = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
    print(f"{'seeds':<8}" + "".join(f"{f'{a:g}-{b:g}':>12}" for a, b in pairwise(edges)))
    for n in (3, 5, 10):
        random = np.random.default_rng(n)
        found = [one for task in tasks for one in _chances(task, n, repeats, random)]
        predicted, true = (np.concatenate(each) for each in zip(*found, strict=True))
        predicted, true = (
            np.maximum(predicted, 1 - predicted),
            np.where(predicted < 0.5, 1 - true, true),
        )
        cells = []
        for low, high in pairwise(edges):
            inside = (predicted >= low) & (predicted < high + (high == 1.0))
            cells.append(f"{100 * predicted[inside].mean():.0f}: {100 * true[inside].mean():.0f}")
        print(f"{n:<8}" + "".join(f"{cell:>12}" for cell in cells))


def _chances(
    task: Task, n: int, repeats: int, random: np.random.Generator
) -> Iterator[tuple[Array, Array]]:
    """For each two models: predicted probabilities, and whether a new figure was above (ties 0.5).

    All models of the task are one family.
    """
    drawn = np.stack([draw(pool, (repeats, n + 1), random) for pool in task.pools.values()], axis=1)
    seen, new = drawn[..., :n], drawn[..., n]
    for a, b in combinations(range(drawn.shape[1]), 2):
        predicted = np.empty(repeats)
        for number, family in enumerate(seen):
            samples = samples_of([list(row) for row in family])
            predicted[number] = difference(samples[a], samples[b]).above
        yield predicted, (new[:, a] > new[:, b]) + (new[:, a] == new[:, b]) / 2


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
                drawn = [
                    [
                        one[random.choice(len(one), n, replace=False)][:, examples].mean(1)
                        - one.mean()
                        for one in (a, b)
                    ]
                    for examples in few
                    for _ in range(max(1, repeats // 40))
                ]
                for name in ("paired t", "Welch's t", "Welch's t, floor"):
                    share = float((TESTS[name](np.array(drawn)) < ALPHA).mean())
                    at = worst.setdefault(name, {})
                    at[n] = max(at.get(n, 0.0), share)
    print("\nfalse alarms about examples that were not in the test split, worst pair (%)")
    _print(worst)


def _print(table: Mapping[str, Mapping[int, float]]) -> None:
    print(f"{'seeds':<24}" + "".join(f"{n:>7}" for n in SEEDS))
    for name, at in table.items():
        print(f"{name:<24}" + "".join(f"{100 * at[n]:>7.1f}" for n in SEEDS))


if __name__ == "__main__":
    main()
