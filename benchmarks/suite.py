"""A whole suite by seqbench, the usual script and Lightning: time, accuracy, share of GEMM.

    python benchmarks/suite.py --data DIRECTORY --epochs 5 --seeds 3 --rounds 2 --json suite.json

``--data`` is torchvision's folder of datasets; seqbench finds its own (SEQBENCH_DATA). Every way is
a separate program, timed from start to end; they are interleaved, and each round starts with the
next one. Ways: the usual script, Lightning (if it is installed), seqbench in fp32, and seqbench
with bf16 for the LSTMs.

The share of GEMM: multiply-accumulates of the trainings (forward, and twice as many backward; no
evaluation) over the time of the whole program, against a large fp32 matrix product on all cores,
measured before and after.

The bound is what no order of the trials could undercut with steps of this speed: one-thread bare
steps (bare_steps.py), in as many processes at once as there are cores, times the number of steps,
divided by the number of cores.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
SIZE = 4096
TRAINING_IMAGES, BATCH = 60_000, 100
USUAL, LIGHTNING, FP32, BF16 = "usual script", "Lightning", "seqbench fp32", "seqbench bf16"
SCRIPTS = {USUAL: "usual_script.py", LIGHTNING: "lightning_script.py"}

SUITE = """
name: four
datasets: [fashion_mnist: {{view: rows, validation: 0}}]
models:
  - lstm: {{hidden_size: 100, num_layers: 2}}
    label: LSTM-2
    train: {{precision: {precision}}}
  - lstm: {{hidden_size: 100, num_layers: 1}}
    label: LSTM-1
    train: {{precision: {precision}, optimizer: {{sgd: {{momentum: 0.9}}}}}}
  - rnn: {{hidden_size: 100, num_layers: 2, nonlinearity: relu}}
    label: RNN-2
  - rnn: {{hidden_size: 100, num_layers: 1, nonlinearity: relu}}
    label: RNN-1
train: {{epochs: {epochs}, batch_size: 100, optimizer: {{sgd: {{lr: 1e-2}}}}}}
seeds: {seeds}
devices: [cpu]
measure: [accuracy]
"""


def main() -> None:
    options = _options()
    ways = [USUAL, LIGHTNING, FP32, BF16]
    if importlib.util.find_spec("lightning") is None:
        ways.remove(LIGHTNING)
    runs: list[dict[str, Any]] = []
    bounds: list[float] = []
    for number in range(options.rounds):
        bounds.append(bound(options))
        print(f"{number + 1} bound: {bounds[-1]:.1f} s", file=sys.stderr, flush=True)
        first = number % len(ways)
        for way in ways[first:] + ways[:first]:
            runs.append(one(way, options))
            print(f"{number + 1} {way}: {runs[-1]['seconds']:.1f} s", file=sys.stderr, flush=True)
    report(runs)
    print(f"Bare steps alone, on all cores: {median(bounds):.1f} s")
    if options.json:
        options.json.write_text(json.dumps({"runs": runs, "bounds": bounds}, indent=1) + "\n")


def one(way: str, options: argparse.Namespace) -> dict[str, Any]:
    """One run: seconds, accuracies by model, rate of GEMM about it, load before it."""
    load, before = os.getloadavg()[0], gemm_rate()
    with TemporaryDirectory() as name:
        started = time.perf_counter()
        if way in SCRIPTS:
            found = {"accuracy": _script(way, options, name)}
        else:
            found = _seqbench("bf16" if way == BF16 else "fp32", options, Path(name))
        seconds = time.perf_counter() - started
    rate = mean([before, gemm_rate()])
    return {"way": way, "seconds": seconds, "gemm": rate, "load": load, **found}


def _script(way: str, options: argparse.Namespace, folder: str) -> Any:
    command = [
        sys.executable, str(HERE / SCRIPTS[way]), "--data", str(options.data.absolute()),
        "--epochs", str(options.epochs), "--seeds", str(options.seeds),
    ]  # fmt: skip
    if way == USUAL and options.normalize:
        command.append("--normalize")
    return json.loads(_output(command, cwd=folder).splitlines()[-1])


def _seqbench(precision: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    suite = folder / "four.yaml"
    text = SUITE.format(precision=precision, epochs=options.epochs, seeds=options.seeds)
    suite.write_text(text)
    command = [sys.executable, "-m", "seqbench", "run", "--json", "--out", str(folder), str(suite)]
    document = json.loads(_output(command))
    accuracies: dict[str, list[float]] = {}
    for trial in document["trials"]:
        accuracies.setdefault(trial["label"], []).append(trial["metrics"]["last"])
    forward = sum(case["macs"] for case in document["cases"])
    work = 3 * forward * TRAINING_IMAGES * options.epochs * options.seeds
    return {"accuracy": accuracies, "multiply_accumulates": work}


def _output(command: Sequence[str], **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, **options)
    if done.returncode:
        raise SystemExit(done.stderr.decode(errors="replace"))
    output: str = done.stdout.decode()
    return output


def bound(options: argparse.Namespace) -> float:
    """Seconds of the bare steps of all trainings, spread evenly over the cores."""
    cores = len(os.sched_getaffinity(0))
    command = [sys.executable, str(HERE / "bare_steps.py")]
    programs = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(cores)]
    found = [json.loads(program.communicate()[0].splitlines()[-1]) for program in programs]
    steps = TRAINING_IMAGES / BATCH * options.epochs * options.seeds
    step = sum(mean(one[model] for one in found) for model in found[0])
    return float(step * steps / cores)


def gemm_rate() -> float:
    """Multiply-accumulates a second of torch.mm in fp32 on all cores: the median of five."""
    import torch

    a, b = torch.rand(SIZE, SIZE), torch.rand(SIZE, SIZE)
    times = []
    for _ in range(6):
        started = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - started)
    return float(SIZE**3 / median(times[1:]))


def report(runs: Sequence[Mapping[str, Any]]) -> None:
    """Prints medians, speedups of seqbench, shares of GEMM, and accuracies."""
    by_way: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        by_way.setdefault(run["way"], []).append(run)
    seconds = {way: median(run["seconds"] for run in some) for way, some in by_way.items()}
    models = list(runs[0]["accuracy"])
    print("| way | seconds | fp32 speedup | bf16 speedup | of GEMM |", end="")
    print(*(f" {model}, % |" for model in models), sep="")
    print("|---|---:|---:|---:|---:|" + "---:|" * len(models))
    for way, some in by_way.items():
        speedups = [f"{seconds[way] / seconds[ours]:.2f}" for ours in (FP32, BF16)]
        shares = [run["multiply_accumulates"] / run["seconds"] / run["gemm"]
                  for run in some if "multiply_accumulates" in run]  # fmt: skip
        share = f"{100 * median(shares):.0f} %" if shares and way == FP32 else "–"
        accuracies = [" ".join(f"{100 * a:.1f}" for a in some[0]["accuracy"][m]) for m in models]
        print("|", " | ".join([way, f"{seconds[way]:.1f}", *speedups, share, *accuracies]), "|")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="torchvision's folder of datasets")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--normalize", action="store_true", help="in the usual script")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
