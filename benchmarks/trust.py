"""How often verdicts on latency are right: false alarms, and planted differences detected.

    python benchmarks/trust.py run --out quiet.jsonl
    python benchmarks/trust.py run --out loaded.jsonl --load
    python benchmarks/trust.py report quiet.jsonl loaded.jsonl

Each repetition is a whole contest through the real measuring path: a model, the same model under
another name, and the same model with 2 % and with 5 % more work. Only pairs with the first model
are evaluated, each as in a contest of two. In one repetition out of five the same models are then
timed in the usual way: one after the other, one process each, for as long as each was timed in the
contest, with a t test on the pooled calls.

``--load`` keeps one core busy, on and off, from beginning to end.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

from seqbench.measure.latency.comparisons import compare_cases
from seqbench.measure.latency.figures import Samples
from seqbench.measure.payloads import TimingPayload, TrainedModel
from seqbench.stats.holm import ALPHA
from seqbench.stats.intervals import quantile
from seqbench.testing.selftest.rig import SETTINGS, Rig, choice

STEPS = {"model": 100, "the same": 100, "2 % more": 102, "5 % more": 105}
TRUTH = {name: STEPS["model"] / steps for name, steps in STEPS.items() if name != "model"}
NAIVE_EVERY = 5

#: Seconds that an answer may take.
WAIT_S = 600.0


def main() -> None:
    options = _options()
    if options.command == "report":
        report(options.files)
        return
    if options.load:
        multiprocessing.get_context("spawn").Process(target=disturb, daemon=True).start()
    with TemporaryDirectory() as name, options.out.open("a") as out:
        rig = Rig(Path(name))
        cases = {name: rig.subject(choice("Elman", steps=steps)) for name, steps in STEPS.items()}
        for number in range(options.repeats):
            clock = time.monotonic()
            line: dict[str, Any] = {"loaded": options.load, "budget_s": options.budget}
            line["turns"] = in_turns(rig, cases, options)
            line["seconds"] = time.monotonic() - clock
            if number % NAIVE_EVERY == 0:
                line["naive"] = one_after_the_other(rig, cases, options)
            print(json.dumps(line), file=out, flush=True)
            print(number + 1, json.dumps(line["turns"]), flush=True)


def in_turns(
    rig: Rig, cases: Mapping[str, TrainedModel], options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Ratio, interval and verdict of each pair with the first model."""
    rig.contest(cases, budget=options.budget, processes=options.processes, warm_up=options.warm_up)
    ids = {name: f"case-{number}" for number, name in enumerate(cases)}
    return {name: _pair(rig.folder, ids["model"], ids[name]) for name in TRUTH}


def _pair(folder: Path, a: str, b: str) -> dict[str, Any]:
    """As in a contest of two, derived again from the raw samples."""
    timed = {case: Samples.read(folder / "samples" / f"{case}.json.gz") for case in (a, b)}
    found = compare_cases(timed, dict.fromkeys(timed, ""))[0]
    verdict = found.verdict
    return {"ratio": found.effect, "low": found.low, "high": found.high, "verdict": verdict}


def one_after_the_other(
    rig: Rig, cases: Mapping[str, TrainedModel], options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Ratio of means and verdict of a t test on pooled calls, as most benchmarks do it."""
    pooled = {name: _calls(case, rig, options) for name, case in cases.items()}
    return {name: _t_test(pooled["model"], pooled[name]) for name in TRUTH}


def _t_test(a: Sequence[int], b: Sequence[int]) -> dict[str, Any]:
    from scipy.stats import ttest_ind

    ratio, p = mean(a) / mean(b), float(ttest_ind(a, b).pvalue)
    verdict = "no difference" if p > ALPHA else "better" if ratio < 1 else "worse"
    return {"ratio": ratio, "verdict": verdict}


def _calls(subject: TrainedModel, rig: Rig, options: argparse.Namespace) -> list[int]:
    worker = rig.open_worker(TimingPayload(subject, SETTINGS), log="logs/naive.log")
    try:
        worker.receive(WAIT_S)
        worker.send({"warm_up": 10 * options.warm_up})
        calls = worker.receive(WAIT_S)["reply"]["ready"][0]["calls"]
        times: list[int] = []
        while sum(times) < options.budget * 1e9:
            worker.send({"cell": 0, "calls": calls})
            times += worker.receive(WAIT_S)["reply"]["ns"][1:]
        return times
    finally:
        worker.kill()


def disturb() -> None:
    """Keeps one core busy, on and off, for as long as the script lives.

    It also stops if the script is killed: otherwise it would load the machine of the next one.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # it runs in a process of its own
    while parent.is_alive():
        until = time.monotonic() + random.uniform(0.05, 2.0)
        while time.monotonic() < until:
            pass
        time.sleep(random.uniform(0.05, 2.0))


def report(files: Sequence[Path]) -> None:
    """Prints one Markdown table of all files, and how long the contests took."""
    took = []
    print("| machine | way | pair | called different | ratio, 5 % to 95 % | truth in interval |")
    print("|---|---|---|---:|---:|---:|")
    for file in files:
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        if len({(line["budget_s"], line["loaded"]) for line in lines}) != 1:
            raise SystemExit(f"{file} mixes repetitions that were run with different settings")
        for row in _rows(lines):
            print("|", " | ".join(row), "|")
        seconds = median(line["seconds"] for line in lines)
        each = f"{len(lines)} contests of {len(STEPS)} cases, {lines[0]['budget_s']:g} s for each"
        took.append(f"{file.name}: {each}; {seconds:.1f} s per contest, start-up included")
    print("", *took, sep="\n")


def _rows(lines: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    machine = "one core loaded, on and off" if lines[0]["loaded"] else "quiet"
    for way, words in (("turns", "interleaved"), ("naive", "one after the other, t test")):
        having = [line[way] for line in lines if way in line]
        for name, truth in TRUTH.items():
            found = [one[name] for one in having]
            if not found:
                continue
            right = ("better", "worse") if truth == 1 else ("better",)
            called = sum(one["verdict"] in right for one in found)
            ratios = sorted(one["ratio"] for one in found)
            ends = [quantile(ratios, share) for share in (0.05, 0.95)]
            inside = [one["low"] <= truth <= one["high"] for one in found if "low" in one]
            yield (
                machine, words, name, f"{called} of {len(found)}",
                f"{ends[0]:.3f} – {ends[1]:.3f}",
                f"{sum(inside)} of {len(inside)}" if inside else "–",
            )  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--repeats", type=int, default=100)
    run.add_argument("--budget", type=float, default=2.0, help="seconds for each case")
    run.add_argument("--processes", type=int, default=8)
    run.add_argument("--warm-up", type=float, default=0.1)
    run.add_argument("--load", action="store_true")
    commands.add_parser("report").add_argument("files", type=Path, nargs="+")
    return parser.parse_args()


if __name__ == "__main__":
    main()
