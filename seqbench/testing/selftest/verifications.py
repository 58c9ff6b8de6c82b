"""Verifications: each measures a known quantity with the real measuring code."""

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

#: Allowed errors, as fractions of the true value.
CLOCK_ERROR, MEMORY_ERROR = 0.01, 0.02

#: A 95 % interval misses the true value once in twenty times, too often for a selftest, so the true
#: value must lie in the 99.9 % interval.
CONFIDENCE = 0.999


@dataclass(frozen=True)
class Verification:
    """The result of one verification, as text.

    Args:
        name: what was measured.
        expected, measured, error: the true value, the measured one, and their difference.
        passed: whether the error is small enough.
        timed: whether a busy machine may be the cause of a failure.
    """

    name: str
    expected: str
    measured: str
    error: str
    passed: bool
    timed: bool = False


@dataclass(frozen=True)
class Effort:
    """Duration of the contests: seconds and processes per case."""

    budget: float
    processes: int


QUICK, FULL = Effort(2.0, 6), Effort(10.0, 10)

Group = Callable[[Rig, Registry, Effort], Iterator[Verification]]


def verify_clock(rig: Rig, registry: Registry, effort: Effort) -> Iterator[Verification]:
    """Models that busy-wait for a known time."""
    truth = {"busy-wait of 1 ms": 0.001, "busy-wait of 10 ms": 0.010}
    cases = {
        name: rig.subject(choice("Spinning", seconds=seconds)) for name, seconds in truth.items()
    }
    latencies, _ = rig.contest(cases, budget=effort.budget, processes=effort.processes)
    for name, seconds in truth.items():
        measured = latencies[name]["median_s"]
        error = measured / seconds - 1
        yield Verification(
            name,
            f"{1e3 * seconds:g} ms",
            f"{1e3 * measured:.4g} ms",
            f"{error:+.2%}",
            abs(error) <= CLOCK_ERROR,
            timed=True,
        )


def verify_verdicts(rig: Rig, registry: Registry, effort: Effort) -> Iterator[Verification]:
    """The same model under two names, and with added computation."""
    steps = {"model": 100, "the same model": 100, "5 % more steps": 105}
    if effort == FULL:
        steps["2 % more steps"] = 102
    cases = {name: rig.subject(choice("Elman", steps=n)) for name, n in steps.items()}
    _, pairs = rig.contest(cases, budget=effort.budget, processes=effort.processes)
    for name, more in list(steps.items())[1:]:
        pair = pairs["model", name]
        truth = steps["model"] / more
        verdict = "no difference" if truth == 1 else "better"
        yield Verification(
            f"model ÷ {name}",
            f"{_words(verdict)}, {truth:.3f}",
            f"{_words(pair.verdict)}, {pair.effect:.3f}",
            f"{pair.effect / truth - 1:+.2%}",
            pair.verdict == verdict and agrees(pair, truth),
            timed=True,
        )


def _words(verdict: str) -> str:
    return {"better": "faster", "worse": "slower"}.get(verdict, verdict)


def agrees(pair: Comparison, truth: float) -> bool:
    """Whether the true ratio lies in the measured one's interval, widened to ``CONFIDENCE``."""
    if pair.low is None or pair.high is None:
        return False
    from scipy.special import stdtrit

    wider = stdtrit(pair.n - 1, (1 + CONFIDENCE) / 2) / stdtrit(pair.n - 1, 0.975)
    half = math.log(pair.high / pair.low) / 2
    return bool(abs(math.log(pair.effect / truth)) <= wider * half)


def verify_memory(rig: Rig, registry: Registry, effort: Effort) -> Iterator[Verification]:
    """Models with a known peak of memory in use."""
    models: list[dict[str, Any]] = [
        {"mebibytes": size, "to_the_end": to_the_end}
        for size in (64, 512)
        for to_the_end in (True, False)
    ]
    models.append({"mebibytes": 64, "to_the_end": True, "blocks": 2048})
    for mode in MODES:
        for model in models:
            payload = MemoryPayload(rig.subject(choice("Allocating", **model)), mode, batch_size=1)
            (result,) = rig.run_jobs("seqbench.measure.memory:measure_memory", payload)
            (measured,) = result["measurements"]
            if measured["status"] != "ok":
                raise WorkerError(f"memory in {mode}: {measured['reason']}")
            error = measured["values"]["working"] / (model["mebibytes"] * MIB) - 1
            freed = "" if model["to_the_end"] else ", freed early"
            blocks = f", {model['blocks']:,} blocks" if "blocks" in model else ""
            yield Verification(
                f"peak in {mode}{freed}{blocks}",
                f"{model['mebibytes']} MiB",
                f"{measured['values']['working'] / MIB:.1f} MiB",
                f"{error:+.2%}",
                abs(error) <= MEMORY_ERROR,
            )


#: Gates of each recurrent model: each gate is one product with the state and one with the input.
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def verify_macs(rig: Rig, registry: Registry, effort: Effort) -> Iterator[Verification]:
    """Multiply-accumulates, compared with the formula."""
    variants: list[dict[str, Any]] = [{}, {"bidirectional": True}, {"num_layers": 2}]
    models = [(name, extra) for name in GATES for extra in variants]
    payloads = [
        CostPayload(rig.subject(shipped(registry, name, hidden_size=100, **extra)))
        for name, extra in models
    ]
    for (name, extra), result in zip(models, rig.run_jobs(COST, *payloads), strict=True):
        counts = [one for one in result["measurements"] if one["quantity"] == "macs"]
        expected = expected_macs(rig, name, **extra)
        measured = counts[0]["values"].get("macs", math.nan)
        what = " ".join([name, *(key if value is True else f"{value} layers"
                                 for key, value in extra.items())])  # fmt: skip
        yield Verification(
            f"multiply-accumulates, {what}", f"{expected:,}", f"{measured:,}",
            f"{measured - expected:+,}", measured == expected,
        )  # fmt: skip


def expected_macs(rig: Rig, name: str, *, bidirectional: bool = False, num_layers: int = 1) -> int:
    """gates · hidden · (input + hidden) per step, layer and direction, plus the readout."""
    task, hidden, directions = rig.task, 100, 2 if bidirectional else 1
    inputs = [task.input_size] + [hidden * directions] * (num_layers - 1)
    steps = task.length * directions
    layers = sum(steps * GATES[name] * hidden * (size + hidden) for size in inputs)
    return layers + hidden * directions * task.output_size


def verify_training(rig: Rig, registry: Registry, effort: Effort) -> Iterator[Verification]:
    """The same seed twice in parallel, and another seed."""
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
    rig.run_jobs("seqbench.training.job:train", *payloads)
    first, second, other = (_digest(rig.folder / one.weights) for one in payloads)
    yield Verification("training, the same seed twice", first, second, "", first == second)
    yield Verification("training, another seed", "different weights", other, "", first != other)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10]


def shipped(registry: Registry, name: str, **params: Any) -> Choice:
    """A built-in model, looked up as for a suite."""
    offer = registry.model(name)
    defaults = {key: param.default for key, param in offer.spec.parameters.items()}
    return Choice.of(offer, {**defaults, **params})


GROUPS: dict[str, Group] = {
    "multiply-accumulates": verify_macs,
    "training": verify_training,
    "memory": verify_memory,
    "clock": verify_clock,
    "verdicts": verify_verdicts,
}
