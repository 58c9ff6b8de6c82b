"""Contests on a GPU with a known result, and the rate of training steps.

    python benchmarks/gpu.py --out DIRECTORY --seconds 200

A contest times the same model twice and the model with 5 % more steps, interleaved, as a run does.
Each is appended to ``gpu.jsonl`` in DIRECTORY as soon as it is known, so that an interrupted script
resumes and later figures are added to earlier ones; ``gpu-contests.md`` sums them up. ``--device
cpu`` tries the script where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from usual_script import BATCH, MODELS, Classifier

from seqbench import Task
from seqbench.devices.registry import device_for, use_full_precision
from seqbench.testing.selftest.rig import Rig, choice
from seqbench.training.job import start_training_process
from seqbench.training.loop import train_model
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Split

TASK = Task("features", 28, "label", 10, 28)
SAME, MORE = "the same model", "5 % more steps"
#: By contest: Elman's steps, those of the same model, and of the one with more.
STEPS = {"model": 100, SAME: 100, MORE: 105}
SEQUENCES = 6_000


def main() -> None:
    options = _options()
    end = time.monotonic() + options.seconds
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "gpu.jsonl"
    name = _name(options.device)
    with TemporaryDirectory() as folder:
        rig = Rig(Path(folder), options.device)
        while time.monotonic() < end:
            started = time.monotonic()
            for row in contest(rig, options.budget, options.processes):
                _append(kept, {"kind": "contest", "on": name, **row})
            if time.monotonic() + (time.monotonic() - started) > end:
                break
    for row in rates(options.device):
        _append(kept, {"kind": "rate", "on": name, **row})
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    text = report(rows)
    (options.out / "gpu-contests.md").write_text(text)
    print(text)


def contest(rig: Rig, budget: float, processes: int) -> Iterator[dict[str, Any]]:
    """One contest: a row for each pair with a known ratio."""
    cases = {name: rig.subject(choice("Elman", steps=steps)) for name, steps in STEPS.items()}
    latencies, pairs = rig.contest(cases, budget=budget, processes=processes)
    for name in (SAME, MORE):
        pair = pairs["model", name]
        yield {
            "pair": name, "verdict": pair.verdict, "ratio": pair.effect,
            "low": pair.low, "high": pair.high, "median_s": latencies["model"]["median_s"],
        }  # fmt: skip


def rates(name: str) -> Iterator[dict[str, Any]]:
    """Training steps per second of each model: bare steps, and seqbench's loop."""
    kind = device_for(name)
    device = kind.torch_device(name)
    start_training_process(kind)
    use_full_precision()
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(SEQUENCES, 28, 28, generator=draw)
    y = torch.randint(0, 10, (SEQUENCES,), generator=draw)
    splits = PreparedSplits(TASK, Split(TASK, x, y), Split(TASK, x[:BATCH], y[:BATCH]))
    settings = {
        "epochs": 1, "batch_size": BATCH, "optimizer": {"name": "sgd", "params": {"lr": 0.01}},
        "schedule": None, "clip_norm": None,
    }  # fmt: skip
    steps = SEQUENCES // BATCH
    for model in MODELS:
        ours, theirs = [], []
        for number in range(4):
            network = Classifier(model).to(device)
            kind.synchronize(device)
            clock = time.perf_counter()
            bare(network, x[:BATCH].to(device), y[:BATCH].to(device), steps)
            kind.synchronize(device)
            middle = time.perf_counter()
            train_model(Classifier(model).to(device), splits, settings, device=device, seed=0)
            kind.synchronize(device)
            if number:  # the first is a warm-up
                theirs.append(steps / (middle - clock))
                ours.append(steps / (time.perf_counter() - middle))
        yield {"model": model, "bare": median(theirs), "seqbench": median(ours)}


def bare(model: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int) -> None:
    """Steps of plain SGD on one batch."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def report(rows: Sequence[Mapping[str, Any]]) -> str:
    """All rows, of this and earlier calls, as Markdown."""
    lines = []
    for card in sorted({row["on"] for row in rows}):
        own = [row for row in rows if row["on"] == card]
        lines += [f"### {card}", ""]
        for pair, expected in ((SAME, "no difference"), (MORE, "better")):
            found = [row for row in own if row.get("pair") == pair]
            if not found:
                continue
            right = sum(row["verdict"] == expected for row in found)
            ratios = sorted(row["ratio"] for row in found)
            lines.append(
                f"- model ÷ {pair}: {right} of {len(found)} {expected}; ratios "
                f"{ratios[0]:.4f} to {ratios[-1]:.4f}, median {median(ratios):.4f}"
            )
        lines += ["", "| model | bare steps/s | seqbench steps/s | ratio |", "|---|---:|---:|---:|"]
        for row in own:
            if row["kind"] == "rate":
                ratio = row["seqbench"] / row["bare"]
                lines.append(
                    f"| {row['model']} | {row['bare']:.0f} | {row['seqbench']:.0f} | {ratio:.2f} |"
                )
        lines.append("")
    return "\n".join(lines)


def _name(device: str) -> str:
    found: str = device_for(device).available().get(device_for(device).full_name(device), device)
    return f"{found}, torch {torch.__version__}"


def _append(path: Path, row: Mapping[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--seconds", type=float, default=75.0)
    parser.add_argument("--budget", type=float, default=3.0, help="seconds per model and contest")
    parser.add_argument("--processes", type=int, default=6)
    return parser.parse_args()


if __name__ == "__main__":
    main()
