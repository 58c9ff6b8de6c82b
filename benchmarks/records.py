"""What many recorded trials cost: to plan, to scan for a resume, to show, to add one more.

    python benchmarks/records.py --models 20 --datasets 50 --seeds 10

Writes that many records with weights, without training anything. Each command is compared with the
least it could do, reading every record as JSON.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from spending import PYTHON, in_turns, options, show

from seqbench.plan.cases import Trial
from seqbench.plan.expand import Plan
from seqbench.plan.of_suite import plan_suite
from seqbench.plugins.discovery import load_plugins
from seqbench.records import Epoch, Metrics, TrialRecord
from seqbench.store.files import sha256_of, stamp
from seqbench.store.run_folder import RunFolder
from seqbench.suite.files import read_suite
from seqbench.suite.selection import Selection

CLASSES, EPOCHS = 10, 20
READ = """
import json, pathlib, sys
for path in pathlib.Path(sys.argv[1]).glob("trials/*.json"): json.loads(path.read_bytes())
"""
#: What a resume does before anything is run, torch and the machine aside.
SCAN = """
import gc, pathlib, sys
gc.set_threshold(50_000)  # as the command line does
from seqbench.plugins.discovery import load_plugins
from seqbench.runner.resume.decide_trials import decide
from seqbench.plan.of_suite import plan_suite
from seqbench.store.run_folder import RunFolder
from seqbench.suite.files import read_suite
from seqbench.suite.selection import Selection
suite, folder = map(pathlib.Path, sys.argv[1:])
plan = plan_suite(read_suite(suite), Selection(allow_many=True), load_plugins())
kept = sum(d.record is not None for d in decide(plan, RunFolder(folder), retry_failed=False))
assert kept == len(plan.trials)
"""


def main() -> None:
    parser = options(__doc__, models=20, datasets=50, seeds=10, weights_kib=256, rounds=3, near=100)
    chosen = parser.parse_args()
    with TemporaryDirectory(dir=Path.cwd(), prefix="records-") as name:
        place = Path(name)
        suite = place / "many.yaml"
        suite.write_text(_suite(chosen.models, chosen.datasets, chosen.seeds))
        plan = plan_suite(read_suite(suite), Selection(allow_many=True), load_plugins())
        folder = RunFolder.create(place, plan.suite.name, suite.read_text(), plan.to_dict())
        seconds = list(_written(plan, folder, chosen.weights_kib * 1024))
        folder.set_state("finished", seconds=0.0, selection={})
        few, many = median(seconds[: chosen.near]), median(seconds[-chosen.near :])
        print(f"{len(seconds)} trials; one more record: {few * 1e3:.2f} ms at first, "
              f"{many * 1e3:.2f} ms at last, × {many / few:.2f}")  # fmt: skip
        seqbench, out = [PYTHON, "-m", "seqbench"], ["--out", str(place)]
        commands = {
            "read as JSON": [PYTHON, "-c", READ, str(folder.path)],
            "plan (validate)": [*seqbench, "validate", "--yes", str(suite)],
            "resume scan": [PYTHON, "-c", SCAN, str(suite), str(folder.path)],
            "run --dry-run --resume, torch too": [
                *seqbench, "run", "--yes", "--dry-run",
                "--resume", str(folder.path), *out, str(suite)
            ],
            "table (show)": [*seqbench, "show", *out],
            "show --format json": [*seqbench, "show", "--format", "json", *out],
        }  # fmt: skip
        found = in_turns(commands, chosen.rounds)
    base = found["read as JSON"]
    rows = [
        {
            "command": name,
            "trials": len(seconds),
            "wall s": one.wall,
            "cpu s": one.cpu,
            "× reading": one.cpu / base.cpu,
            "peak MB": one.peak / 1e6,
        }
        for name, one in found.items()
    ]
    show([{**row, "one more, last ÷ first": many / few} for row in rows], chosen.json)


def _suite(models: int, datasets: int, seeds: int) -> str:
    sizes, lengths = list(range(1, models + 1)), list(range(2, datasets + 2))
    return (
        f"name: many\ndatasets: [{{parity: {{length: {lengths}}}}}]\n"
        f"models: [{{lstm: {{hidden_size: {sizes}}}}}]\ntrain: {{epochs: {EPOCHS}}}\n"
        f"seeds: {seeds}\ndevices: [cpu]\n"
    )


def _written(plan: Plan, folder: RunFolder, size: int) -> Iterator[float]:
    """Writes a record and weights for each trial; yields the seconds that each record took."""
    draw = random.Random(0)
    (folder.path / "weights").mkdir()
    for number, trial in enumerate(plan.trials):
        weights = folder.path / "weights" / f"{trial.id}.safetensors"
        weights.write_bytes(draw.randbytes(size))
        record = _record(trial, weights, draw)
        clock = time.perf_counter()
        folder.write_trial(record)
        yield time.perf_counter() - clock
        if sys.stderr.isatty() and number % 500 == 0:
            print(f"\r{number}", end="", file=sys.stderr, flush=True)
    os.sync()  # so that later commands do not wait for it


def _record(trial: Trial, weights: Path, draw: random.Random) -> TrialRecord:
    """Like that of a classification with ``CLASSES`` classes."""
    metrics: Metrics = {
        "value": draw.random(),
        "last": draw.random(),
        "best": draw.random(),
        "best_epoch": draw.randrange(EPOCHS),
        "validation": draw.random(),
        "train_loss": draw.random(),
        "steps": 1000,
        "confusion": [[draw.randrange(1000) for _ in range(CLASSES)] for _ in range(CLASSES)],
        "recall": [draw.random() for _ in range(CLASSES)],
        "classes": [f"class {number}" for number in range(CLASSES)],
    }
    curve = tuple(
        Epoch(epoch=epoch, train_loss=draw.random(), validation=draw.random(),
              seconds=draw.random(), steps=50 * epoch)
        for epoch in range(1, EPOCHS + 1)
    )  # fmt: skip
    return TrialRecord(
        trial.id, trial.case.id, trial.seed, "ok", metric="accuracy", metrics=metrics, curve=curve,
        started="2000-01-01T00:00:00.000+00:00", seconds=1.0, log=f"logs/{trial.id}.log",
        weights=f"weights/{trial.id}.safetensors", weights_sha256=sha256_of(weights),
        weights_stamp=stamp(weights),
    )  # fmt: skip


if __name__ == "__main__":
    main()
