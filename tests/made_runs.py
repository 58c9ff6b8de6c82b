"""Run folders for tests, written without running anything."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from suite_registry import REGISTRY

from seqbench.plan.cases import Case, Trial
from seqbench.plan.expand import make_plan
from seqbench.records import CaseRecord, Epoch, Measurement, Metrics, TrialRecord
from seqbench.store.run_folder import RunFolder
from seqbench.suite.validate import parse_suite

EPOCHS = 5

#: 1,002 trials.
MANY = f"""
    name: many
    datasets: [{{parity: {{length: 8}}}}]
    models: [{{lstm: {{hidden_size: {list(range(1, 335))}}}}}]
    train: {{epochs: 5}}
    seeds: 3
    devices: [cpu]
    """


def write_run(results: Path, text: str, **strange: Any) -> Path:
    """A run of a suite, as if every trial had succeeded. Figures are random, but always the same.

    Args:
        strange: keys of a trial's record that replace those of the first trial.
    """
    suite = parse_suite(text, registry=REGISTRY)
    plan = make_plan(suite, REGISTRY, allow_many=True).on({"cpu": ""})
    folder = RunFolder.create(results, plan.suite.name, text, plan.to_dict())
    draw = random.Random(0)
    for number, trial in enumerate(plan.trials):
        folder.write_trial(_trial(trial, draw, strange if number == 0 else {}))
    for case in plan.cases:
        folder.write_case(_case(case, draw))
    folder.write_environment(_environment())
    folder.set_state("finished", seconds=60.0, selection={})
    return folder.path


def _trial(trial: Trial, draw: random.Random, strange: dict[str, Any]) -> TrialRecord:
    value = 0.5 + draw.random() / 2
    metrics: Metrics = {
        "value": value, "last": value, "best": value, "best_epoch": EPOCHS, "validation": value,
        "train_loss": draw.random(), "steps": 100 * EPOCHS,
        "confusion": [[40, 10], [draw.randrange(1, 20), 30]], "recall": [0.8, 0.6],
        "classes": ["even", "odd"],
    }  # fmt: skip
    curve = tuple(
        Epoch(epoch=epoch, train_loss=1 / epoch, validation=value * epoch / EPOCHS,
              validation_loss=1 / epoch, seconds=2.0, steps=100 * epoch)
        for epoch in range(1, EPOCHS + 1)
    )  # fmt: skip
    found: dict[str, Any] = {
        "status": "ok", "metric": "accuracy", "metrics": metrics, "curve": curve,
        "started": "2000-01-01T00:00:00.000+00:00", "seconds": 1.0, "log": f"logs/{trial.id}.log",
    }  # fmt: skip
    return TrialRecord(trial.id, trial.case.id, trial.seed, **{**found, **strange})


def _case(case: Case, draw: random.Random) -> CaseRecord:
    time, size = 1e-4 * (1 + draw.random()), draw.randrange(1 << 20, 1 << 22)
    at = {"batch_size": 1, "length": 8, "threads": 1, "runtime": "eager"}
    timing = {
        "median_s": time, "low_s": 0.99 * time, "high_s": 1.01 * time, "p90_s": 1.2 * time,
        "p99_s": 2 * time, "n": 1000, "processes": 5, "spread": 0.1, "unstable": False,
        "steady": True, "precise": True,
    }  # fmt: skip
    memory = {
        "parameters": 1000, "buffers": 0, "activations": size - 1000, "working": size - 1000,
        "peaks": [size - 1000], "total": size, "low": size, "high": size, "lower_bound": False,
    }  # fmt: skip
    return CaseRecord(
        case.id,
        (
            Measurement("cost", "1", {}, {"parameters": 1000, "serialized_bytes": 4100}),
            Measurement("macs", "1", {"length": 8}, {"macs": draw.randrange(1000, 100000)}),
            Measurement("memory", "B", {"mode": "inference", "batch_size": 8, "length": 8}, memory),
            Measurement("latency", "s", at, timing),
        ),
    )


def _environment() -> dict[str, Any]:
    return {
        "seqbench": "0.1.0", "python": "3.11", "torch": "2.4", "cpu": "a CPU", "cores": 2,
        "system": "Linux", "devices": {"cpu": "a CPU"}, "variables": {},
    }  # fmt: skip
