"""Creates the selftest's subjects and measures them with the real jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from seqbench.errors import WorkerError
from seqbench.executors.base import Job, Listener
from seqbench.executors.registry import make_executor
from seqbench.measure.latency.checkpoint import Checkpoint
from seqbench.measure.latency.contest import Contest, ContestCase, run_contest
from seqbench.measure.payloads import TimingPayload, TimingSettings, TrainedModel
from seqbench.plugins.choice import Choice
from seqbench.records import Comparison
from seqbench.training.data import open_splits, prepare_dataset
from seqbench.training.model import build_model
from seqbench.training.weights import save_weights
from seqbench.version import __version__
from seqbench.workers.context import Workspace
from seqbench.workers.conversation import Conversation

SUBJECTS = "seqbench.testing.selftest.known_models"
LIMIT = 120.0

#: How contests are timed, besides budget, processes and warm-up. The precision is never reached, so
#: the whole budget is used.
SETTINGS = TimingSettings(
    budget=10.0,
    batch_sizes=(1,),
    seq_lens=(),
    threads=(1,),
    runtimes=("eager",),
    processes=10,
    warm_up=0.1,
    precision=0.0,
    training_step=False,
)
TRAIN: Mapping[str, Any] = {
    "epochs": 1,
    "batch_size": 10,
    "optimizer": {"name": "sgd", "params": {"lr": 0.01}},
    "schedule": None,
    "clip_norm": None,
    "threads": 1,
}


def choice(build: str, **params: Any) -> Choice:
    """A model of :mod:`seqbench.testing.selftest.known_models`."""
    return Choice(build, params, f"{SUBJECTS}:{build}", "seqbench", __version__, kind="model")


class Rig:
    """Creates subjects in a folder, and runs jobs on them as a run would.

    Args:
        folder: for data, weights, samples and logs.
        device: the device that models run on.
    """

    def __init__(self, folder: Path, device: str = "cpu"):
        self.folder, self.device = folder, device
        self.workspace = Workspace(folder, folder)
        self.executor = make_executor()
        noise = Choice("noise", {}, f"{SUBJECTS}:noise", "seqbench", __version__)
        prepared = prepare_dataset(noise, cache=folder, data_dir=None, say=lambda text: None)
        self.data = str(prepared.relative_to(folder))
        self.task = open_splits(prepared).task
        self.subjects = 0

    def subject(self, model: Choice) -> TrainedModel:
        """A model with its initial weights, for the measuring jobs."""
        self.subjects += 1
        weights = f"{self.subjects}.safetensors"
        torch.manual_seed(0)
        save_weights(build_model(model, self.task), self.folder / weights)
        return TrainedModel(model, self.data, self.device, weights, TRAIN)

    def run_jobs(self, function: str, *payloads: Any) -> list[Any]:
        """Run jobs in parallel, each in its own process, and return their results.

        Args:
            function: ``"package.module:function"``.

        Raises:
            WorkerError: a job failed.
        """
        jobs = [
            Job(
                str(number),
                function,
                function,
                payload,
                log="logs/worker.log",
                device=self.device,
                limit=LIMIT,
            )
            for number, payload in enumerate(payloads)
        ]
        outcomes = self.executor.run(jobs, self.workspace, Listener())
        ordered = sorted(outcomes, key=lambda one: int(one.job.id))
        for outcome in ordered:
            if outcome.status != "ok":
                raise WorkerError(f"{function}: {outcome.status}: {outcome.reason}")
        return [outcome.result for outcome in ordered]

    def contest(
        self,
        subjects: Mapping[str, TrainedModel],
        *,
        budget: float,
        processes: int,
        warm_up: float = 0.1,
    ) -> tuple[dict[str, Mapping[str, Any]], dict[tuple[str, str], Comparison]]:
        """Time subjects interleaved.

        Args:
            subjects: by name.
            budget: seconds per subject. warm_up: seconds per process.

        Returns:
            the latency figures of each subject (see :func:`.latency_summary`), and the comparison
            of each pair, both by name.
        """
        settings = replace(SETTINGS, budget=budget, processes=processes, warm_up=warm_up)
        names = {f"case-{number}": name for number, name in enumerate(subjects)}
        contest = Contest(
            "selftest",
            "selftest",
            device=self.device,
            cases=tuple(ContestCase(case, name, (subjects[name],)) for case, name in names.items()),
            settings=settings,
            folder=self.folder,
            cores=self.executor.cores,
            limit=LIMIT,
            checkpoint=Checkpoint(),
        )
        result = run_contest(contest, self.open_worker, lambda message: None)
        latencies = {}
        for case, (latency, *_) in result.measurements.items():
            if latency.status != "ok":
                raise WorkerError(f"{names[case]}: {latency.status}: {latency.reason}")
            latencies[names[case]] = latency.values
        compared = {(names[one.a], names[one.b]): one for one in result.comparisons}
        return latencies, compared

    def open_worker(self, payload: TimingPayload, *, log: str) -> Conversation:
        """Open a timing worker."""
        function = "seqbench.measure.latency.sampler:answer_requests"
        job = Job("selftest", "selftest", function, payload, log=log, device=self.device)
        return self.executor.open(job, self.workspace)
