"""Contests between models whose ratio is known, through the real measuring path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seqbench import __version__
from seqbench.measure import turns
from seqbench.records import Choice, Comparison

SUBJECTS = "seqbench.selftest.subjects"

#: What a contest is told beside budget, processes and warm-up. Nothing is as precise as is asked
#: for here: the whole budget is used.
SETTINGS: Mapping[str, Any] = {
    "batch_sizes": [1],
    "seq_lens": [],
    "threads": [1],
    "runtimes": ["eager"],
    "precision": 0.0,
    "training_step": False,
}


def choice(build: str, **params: Any) -> Choice:
    """One of the models in :mod:`seqbench.selftest.subjects`."""
    return Choice(build, params, f"{SUBJECTS}:{build}", "seqbench", __version__, kind="model")


def subjects(folder: Path, models: Mapping[str, Choice]) -> dict[str, dict[str, Any]]:
    """Each model, by its name, with weights and data in ``folder``, as a contest takes it."""
    import torch
    from safetensors.torch import save_model

    from seqbench import data
    from seqbench.models import build

    noise = Choice("noise", {}, f"{SUBJECTS}:noise", "seqbench", __version__)
    path = data.prepare(noise, cache=folder, data_dir=None, say=lambda text: None)
    task = data.open_splits(path).task
    found = {}
    for number, (name, model) in enumerate(models.items()):
        torch.manual_seed(0)
        weights = folder / f"{number}.safetensors"
        save_model(build(model, task), str(weights))
        found[name] = {
            "id": f"{number}-{model.name}",
            "label": name,
            "model": asdict(model),
            "data": str(path),
            "device": "cpu",
            "weights": [str(weights)],
            "train": {},
        }
    return found


def contest(
    cases: Mapping[str, Mapping[str, Any]],
    folder: Path,
    *,
    budget: float,
    processes: int,
    warm_up: float,
    cores: int,
) -> tuple[dict[str, dict[str, Any]], dict[tuple[str, str], Comparison]]:
    """Lets the cases of :func:`subjects` take turns.

    Returns:
        for each case its latency (as :func:`seqbench.stats.latency`), and for each pair how the
        two compare, both by name.
    """
    timing = {"budget": budget, "processes": processes, "warm_up": warm_up}
    job = {
        "cases": list(cases.values()),
        "settings": {**SETTINGS, **timing},
        "folder": str(folder),
        "cores": cores,
        "limit": 60.0,
    }
    result = turns.measure(job, lambda message: None)
    names = {case["id"]: name for name, case in cases.items()}
    latencies = {names[case]: found[0]["values"] for case, found in result["cases"].items()}
    compared = [Comparison(**one) for one in result["comparisons"]]
    return latencies, {(names[one.a], names[one.b]): one for one in compared}
