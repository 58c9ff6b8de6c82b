"""What a separate process costs a trial: a tiny training here, in a fork, in a fresh Python.

    python benchmarks/process.py --rounds 20

``here``: called in this process. ``executor``: through LocalExecutor, its record written, as in a
run. ``fresh``: in an interpreter started for it, which loads torch first. All are interleaved.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from spending import options, show

from seqbench.executors.base import Job, Listener
from seqbench.executors.local import LocalExecutor
from seqbench.plan.of_suite import plan_suite
from seqbench.plugins.discovery import load_plugins
from seqbench.records import TrialRecord
from seqbench.store.run_folder import RunFolder
from seqbench.suite.files import read_suite
from seqbench.suite.selection import Selection
from seqbench.training.data import prepare_dataset
from seqbench.training.job import TrainPayload, train
from seqbench.workers.context import JobContext, Workspace

SUITE = """
name: tiny
datasets: [{parity: {length: 2, train_size: 20, validation_size: 0, test_size: 20}}]
models: [{rnn: {hidden_size: 2}}]
train: {epochs: 1, batch_size: 20}
"""
QUIET = Listener()


def main() -> None:
    parser = options(__doc__, rounds=20, fresh_rounds=3)
    chosen = parser.parse_args()
    with TemporaryDirectory(prefix="process-") as name:
        place = Path(name)
        suite = place / "tiny.yaml"
        suite.write_text(SUITE)
        plan = plan_suite(read_suite(suite), Selection(devices=("cpu",)), load_plugins())
        case = plan.cases[0]
        folder = RunFolder.create(place, "tiny", SUITE, plan.to_dict())
        prepared = prepare_dataset(case.dataset, cache=place, data_dir=None, say=lambda text: None)
        payload = TrainPayload(
            model=case.model, data=str(prepared.relative_to(place)), train=case.train,
            device="cpu", seed=0, weights="weights/tiny.safetensors",
        )  # fmt: skip
        workspace = Workspace(folder.path, place)
        ways: dict[str, Callable[[], None]] = {
            "here": lambda: here(payload, workspace),
            "executor": lambda: in_executor(payload, workspace, folder),
            "fresh": lambda: in_fresh_python(payload, workspace),
        }
        times = _times(ways, chosen.rounds, chosen.fresh_rounds)
    own = median(times["here"])
    rows = [
        {
            "way": way,
            "median ms": 1e3 * median(found),
            "most ms": 1e3 * max(found),
            "beyond its own work ms": 1e3 * (median(found) - own),
            "× here": median(found) / own,
        }
        for way, found in times.items()
    ]
    processes = len(list(Path("/proc").glob("[0-9]*")))  # each is examined when a worker ends
    show([{**row, "processes about": processes} for row in rows], chosen.json)


def _times(
    ways: Mapping[str, Callable[[], None]], rounds: int, fresh_rounds: int
) -> dict[str, list[float]]:
    """Seconds of each way, without the first round, which loads torch and starts the server."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, call in ways.items():
            if way == "fresh" and number > fresh_rounds:
                continue
            clock = time.perf_counter()
            call()
            times[way].append(time.perf_counter() - clock)
    return {way: found[1:] for way, found in times.items()}


def here(payload: TrainPayload, workspace: Workspace) -> None:
    import torch

    torch.set_num_threads(1)  # as in a worker
    train(payload, _Silent(workspace, channel=None))  # type: ignore[arg-type]


class _Silent(JobContext):
    def send(self, message: Mapping[str, Any]) -> None:
        """Nobody listens."""


def in_executor(payload: TrainPayload, workspace: Workspace, folder: RunFolder) -> None:
    job = Job("tiny", "tiny", "seqbench.training.job:train", payload, log="logs/tiny.log")
    for outcome in EXECUTOR.run([job], workspace, QUIET):
        if outcome.status != "ok":
            raise SystemExit(outcome.reason)
        folder.write_trial(TrialRecord("tiny", "tiny", 0, "ok", metrics=outcome.result["metrics"]))


def in_fresh_python(payload: TrainPayload, workspace: Workspace) -> None:
    process = get_context("spawn").Process(target=here, args=(payload, workspace))
    process.start()
    process.join()
    if process.exitcode:
        raise subprocess.CalledProcessError(process.exitcode, "fresh")


if __name__ == "__main__":
    EXECUTOR = LocalExecutor(cores=1)
    main()
