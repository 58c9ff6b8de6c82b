"""Where the self-test gets its subjects from, and how it measures them: by the real path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_model

from seqbench import __version__
from seqbench.errors import WorkerError
from seqbench.executors.base import Job, Listener
from seqbench.executors.local import LocalExecutor
from seqbench.plugins.choice import Choice
from seqbench.records import Comparison
from seqbench.training.data import open_splits, prepare_dataset
from seqbench.training.model import build_model

SUBJECTS = "seqbench.testing.selftest.subjects"

LIMIT = 120.0

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

TRAIN: Mapping[str, Any] = {
    "epochs": 1,
    "batch_size": 10,
    "optimizer": {"name": "sgd", "params": {"lr": 0.01}},
    "schedule": None,
    "clip_norm": None,
    "threads": 1,
}


def choice(build: str, **params: Any) -> Choice:
    """One of the models in :mod:`seqbench.testing.selftest.subjects`."""
    return Choice(build, params, f"{SUBJECTS}:{build}", "seqbench", __version__, kind="model")


class Rig:
    """Makes subjects in a folder, and runs single jobs on them as a run would.

    Args:
        folder: takes data, weights, samples and logs.
        device: where models run.
    """

    def __init__(self, folder: Path, device: str = "cpu"):
        self.folder, self.device = folder, device
        self.executor = LocalExecutor()
        noise = Choice("noise", {}, f"{SUBJECTS}:noise", "seqbench", __version__)
        self.data = prepare_dataset(noise, cache=folder, data_dir=None, say=lambda text: None)
        self.task = open_splits(self.data).task
        self.made = 0

    def subject(self, name: str, model: Choice) -> dict[str, Any]:
        """A model with its first weights, as the measuring jobs take it."""
        self.made += 1
        weights = self.folder / f"{self.made}.safetensors"
        torch.manual_seed(0)
        save_model(build_model(model, self.task), str(weights))
        return {
            "id": f"{self.made}-{model.name}",
            "label": name,
            "model": asdict(model),
            "data": str(self.data),
            "device": self.device,
            "weights": str(weights),
            "train": TRAIN,
        }

    def run(self, kind: str, *payloads: Mapping[str, Any], threads: int = 1) -> list[Any]:
        """The results of jobs of one kind, run side by side, each in a process of its own.

        Raises:
            WorkerError: one of them did not end well.
        """
        jobs = [
            Job(str(number), kind, kind, payload, self.log, self.device, "", threads, LIMIT)
            for number, payload in enumerate(payloads)
        ]
        outcomes = sorted(self.executor.run(jobs, Listener()), key=lambda one: int(one.job.id))
        for outcome in outcomes:
            if outcome.status != "ok":
                raise WorkerError(f"{kind}: {outcome.status}: {outcome.reason}")
        return [outcome.result for outcome in outcomes]

    @property
    def log(self) -> Path:
        return self.folder / "logs" / "worker.log"

    def contest(
        self,
        cases: Mapping[str, Mapping[str, Any]],
        *,
        budget: float,
        processes: int,
        warm_up: float = 0.1,
    ) -> tuple[dict[str, Mapping[str, Any]], dict[tuple[str, str], Comparison]]:
        """Lets subjects take turns.

        Args:
            cases: by name.
            budget: seconds for each. warm_up: seconds for each process.

        Returns:
            for each case the figures of its latency (see :func:`.latency_summary`), and for
            each pair how the two compare, both by name.
        """
        timing = {"budget": budget, "processes": processes, "warm_up": warm_up}
        job = {
            "cases": [{**case, "weights": [case["weights"]]} for case in cases.values()],
            "settings": {**SETTINGS, **timing},
            "folder": str(self.folder),
            "cores": self.executor.cores,
            "limit": LIMIT,
        }
        (result,) = self.run("latency", job)
        names = {case["id"]: name for name, case in cases.items()}
        latencies = {}
        for case, (latency, *_) in result["cases"].items():
            if latency["status"] != "ok":
                raise WorkerError(f"{names[case]}: {latency['status']}: {latency['reason']}")
            latencies[names[case]] = latency["values"]
        compared = [Comparison(**one) for one in result["comparisons"]]
        return latencies, {(names[one.a], names[one.b]): one for one in compared}
