"""The checks: each measures, by the real path, something whose truth is known beforehand."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqbench.errors import WorkerError
from seqbench.measure.payloads import MODES, CostPayload, MemoryPayload
from seqbench.plugins.choice import Choice
from seqbench.plugins.registry import Registry
from seqbench.records import Comparison
from seqbench.testing.selftest.rig import TRAIN, Rig, choice
from seqbench.training.job import TrainPayload

MIB = 2**20

COST = "seqbench.measure.cost:measure_cost"

#: Errors that are allowed, as a share of the truth.
CLOCK_ERROR, MEMORY_ERROR = 0.01, 0.02

#: An interval of 95 % misses the truth once in twenty, and a self-test that fails as often is of no
#: use: the truth must lie in that of 99.9 %.
CONFIDENCE = 0.999


@dataclass(frozen=True)
class Verification:
    """What came of one check; texts for people.

    Args:
        name: what was measured.
        expected, measured, error: the truth, what was found, how far apart they are.
        passed: whether that is near enough.
        timed: whether a busy machine may be why it is not.
    """

    name: str
    expected: str
    measured: str
    error: str
    passed: bool
    timed: bool = False


@dataclass(frozen=True)
class Effort:
    """How long the contests last: seconds for each case, and processes for each."""

    budget: float
    processes: int


QUICK, FULL = Effort(2.0, 6), Effort(10.0, 10)

Group = Callable[[Rig, Registry, Effort], Iterator[Verification]]


def clock_checks(rig: Rig, registry: Registry, effort: Effort) -> Iterator[Verification]:
    """Models that spin for a known time."""
    truth = {"spins for 1 ms": 0.001, "spins for 10 ms": 0.010}
    cases = {
        name: rig.subject(choice("Spinning", seconds=seconds)) for name, seconds in truth.items()
    }
    latencies, _ = rig.contest(cases, budget=effort.budget, processes=effort.processes)
    for name, seconds in truth.items():
        found = latencies[name]["median_s"]
        error = found / seconds - 1
        yield Verification(
            name, f"{1e3 * seconds:g} ms", f"{1e3 * found:.4g} ms", f"{error:+.2%}",
            abs(error) <= CLOCK_ERROR, timed=True,
        )  # fmt: skip


def verdict_checks(rig: Rig, registry: Registry, effort: Effort) -> Iterator[Verification]:
    """The same model under two names, and with planted work."""
    steps = {"model": 100, "the same model": 100, "5 % more work": 105}
    if effort == FULL:
        steps["2 % more work"] = 102
    cases = {name: rig.subject(choice("Elman", steps=n)) for name, n in steps.items()}
    _, pairs = rig.contest(cases, budget=effort.budget, processes=effort.processes)
    for name, more in list(steps.items())[1:]:
        found = pairs["model", name]
        truth = steps["model"] / more
        verdict = "no difference" if truth == 1 else "better"
        yield Verification(
            f"model ÷ {name}",
            f"{_words(verdict)}, {truth:.3f}",
            f"{_words(found.verdict)}, {found.effect:.3f}",
            f"{found.effect / truth - 1:+.2%}",
            found.verdict == verdict and holds(found, truth),
            timed=True,
        )


def _words(verdict: str) -> str:
    return {"better": "faster", "worse": "slower"}.get(verdict, verdict)


def holds(found: Comparison, truth: float) -> bool:
    """Whether the truth lies in the interval of a ratio, made as wide as ``CONFIDENCE`` asks."""
    if found.low is None or found.high is None:
        return False
    from scipy.special import stdtrit

    wider = stdtrit(found.n - 1, (1 + CONFIDENCE) / 2) / stdtrit(found.n - 1, 0.975)
    half = math.log(found.high / found.low) / 2
    return bool(abs(math.log(found.effect / truth)) <= wider * half)


def memory_checks(rig: Rig, registry: Registry, effort: Effort) -> Iterator[Verification]:
    """Models that have a known number of bytes in use at their peak."""
    for mode in MODES:
        for size in (64, 512):
            for to_the_end in (True, False):
                model = choice("Allocating", mebibytes=size, to_the_end=to_the_end)
                payload = MemoryPayload(rig.subject(model), mode, batch_size=1)
                (result,) = rig.run("seqbench.measure.memory:measure_memory", payload)
                (measured,) = result["measurements"]
                if measured["status"] != "ok":
                    raise WorkerError(f"memory in {mode}: {measured['reason']}")
                error = measured["values"]["working"] / (size * MIB) - 1
                freed = "" if to_the_end else ", freed early"
                yield Verification(
                    f"peak in {mode}{freed}",
                    f"{size} MiB",
                    f"{measured['values']['working'] / MIB:.1f} MiB",
                    f"{error:+.2%}",
                    abs(error) <= MEMORY_ERROR,
                )


#: Gates of each recurrent model: each is a product of the state and one of the input.
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def macs_checks(rig: Rig, registry: Registry, effort: Effort) -> Iterator[Verification]:
    """Multiply-accumulates, worked out by hand."""
    variants: list[dict[str, Any]] = [{}, {"bidirectional": True}, {"num_layers": 2}]
    asked = [(name, extra) for name in GATES for extra in variants]
    payloads = [
        CostPayload(rig.subject(shipped(registry, name, hidden_size=100, **extra)))
        for name, extra in asked
    ]
    for (name, extra), result in zip(asked, rig.run(COST, *payloads), strict=True):
        found = [one for one in result["measurements"] if one["quantity"] == "macs"]
        expected = expected_macs(rig, name, **extra)
        measured = found[0]["values"].get("macs", math.nan)
        what = " ".join([name, *(key if value is True else f"{value} layers"
                                 for key, value in extra.items())])  # fmt: skip
        yield Verification(
            f"multiply-accumulates, {what}", f"{expected:,}", f"{measured:,}",
            f"{measured - expected:+,}", measured == expected,
        )  # fmt: skip


def expected_macs(rig: Rig, name: str, *, bidirectional: bool = False, num_layers: int = 1) -> int:
    """gates · hidden · (input + hidden) for each step, layer and direction, and the readout."""
    task, hidden, directions = rig.task, 100, 2 if bidirectional else 1
    inputs = [task.input_size] + [hidden * directions] * (num_layers - 1)
    steps = task.length * directions
    layers = sum(steps * GATES[name] * hidden * (size + hidden) for size in inputs)
    return layers + hidden * directions * task.output_size


def training_checks(rig: Rig, registry: Registry, effort: Effort) -> Iterator[Verification]:
    """The same seed twice, side by side, and another seed."""
    model = shipped(registry, "lstm", hidden_size=32)
    payloads = [
        TrainPayload(
            model=model,
            data=rig.data,
            train={**TRAIN, "epochs": 3},
            device=rig.device,
            seed=seed,
            weights=f"trained-{number}.safetensors",
        )
        for number, seed in enumerate((0, 0, 1))
    ]
    rig.run("seqbench.training.job:train", *payloads)
    first, again, other = (_digest(rig.folder / one.weights) for one in payloads)
    yield Verification("training, the same seed again", first, again, "", first == again)
    yield Verification("training, another seed", "other weights", other, "", first != other)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10]


def shipped(registry: Registry, name: str, **params: Any) -> Choice:
    """A model that comes with seqbench, found as a suite would find it."""
    offer = registry.model(name)
    defaults = {key: param.default for key, param in offer.spec.parameters.items()}
    return Choice(
        name, {**defaults, **params}, offer.spec.build, offer.origin.distribution,
        offer.origin.version, kind=offer.spec.kind,
    )  # fmt: skip


GROUPS: dict[str, Group] = {
    "multiply-accumulates": macs_checks,
    "training": training_checks,
    "memory": memory_checks,
    "clock": clock_checks,
    "verdicts": verdict_checks,
}
