"""How far the estimated time of a run is from the time that it takes.

    python benchmarks/estimate.py                       # quick, and fashion made smaller
    python benchmarks/estimate.py --suite zoo --set seeds=1

Every suite is run three times into an empty folder of results: the first run knows no speeds
beforehand, the later ones those of the earlier ones. Every second, the time left is recorded as the
live display would show it. A dry run before each run estimates its total; another one after the
last run, with an empty folder of results, times a few training steps.

The error is that of the estimated total (elapsed and left) as a fraction of the true one, which is
also the error of the time left as a fraction of the true total; and, stricter, the error of the
time left as a fraction of the true time left. Medians are over the moments from a third of the run
on, the stricter one without the last 2 seconds. The dry run's error is that of its total; for the
last one against the median of the runs. "rises": the seconds by which the shown time went up, all
together.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from spending import show

from seqbench.display.countdown import Countdown
from seqbench.runner.context import Progress
from seqbench.runner.forecast.time_left import TimeLeft
from seqbench.runner.forecast.work import Work
from seqbench.runner.start import Request, start_run
from seqbench.suite.files import read_suite
from seqbench.suite.selection import Selection
from seqbench.suite.shipped import find_suite

#: Each suite with its overrides.
SUITES = {
    "quick": [],
    "fashion": ["train.epochs=1", "seeds=2", "measure.latency.budget=4s"],
}

#: The time left is not compared with a shorter true one than this, in seconds.
SHORTEST = 2.0


@dataclass
class Recorder:
    """Records, while a run is carried out, the estimated seconds left every second."""

    started: float = field(default_factory=time.monotonic)
    left: TimeLeft | None = None
    countdown: Countdown = field(default_factory=Countdown)
    moments: list[tuple[float, float | None]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def progress(self) -> Progress:
        return Progress(
            planned=self.planned,
            phase=lambda name, jobs: self.left.begin(name, jobs) if self.left else None,
            started=lambda job: self.left.start(job) if self.left else None,
            received=lambda job, message: self.left.receive(job, message) if self.left else None,
            ended=lambda outcome: self.left.end(outcome) if self.left else None,
        )

    def planned(self, work: Work) -> None:
        self.left = TimeLeft(work)

    def watch(self) -> None:
        while not self.over.wait(1.0):
            left = None if self.left is None else self.countdown.update(self.left.seconds())
            self.moments.append((time.monotonic() - self.started, left))


def main() -> None:
    chosen = _options()
    suites = {chosen.suite: chosen.set} if chosen.suite else SUITES
    rows, series = [], []
    for suite, overrides in suites.items():
        with TemporaryDirectory(prefix="estimate-") as name:
            for number in range(chosen.runs):
                row, moments = measured(suite, overrides, Path(name), chosen.data_dir)
                rows.append({"suite": suite, "run": number + 1, **row})
                series.append({"suite": suite, "run": number + 1, "moments": moments})
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            total = median(row["total s"] for row in rows if row["suite"] == suite)
            before = dry_run(suite, overrides, Path(name, "none"))
            rows.append({**dict.fromkeys(rows[-1], ""), "suite": suite, "run": "a few steps",
                         "total s": total, **_error(before, total)})  # fmt: skip
    show(rows, chosen.json)
    if chosen.moments:
        chosen.moments.write_text(json.dumps(series, indent=1) + "\n")


def measured(
    suite: str, overrides: Sequence[str], out: Path, data_dir: Path | None
) -> tuple[dict[str, Any], list[tuple[float, float | None]]]:
    """The errors of one dry run and one run, and the recorded moments."""
    before = dry_run(suite, overrides, out)
    recorder = Recorder()
    watching = threading.Thread(target=recorder.watch, daemon=True)
    watching.start()
    request = Request(read_suite(find_suite(suite)), Selection(overrides=list(overrides)))
    start_run(request, out=out, data_dir=data_dir, progress=recorder.progress())
    total = time.monotonic() - recorder.started
    recorder.over.set()
    watching.join()
    later = [(at, left) for at, left in recorder.moments if at >= total / 3]
    known = [(at, left) for at, left in later if left is not None]
    errors = [abs(at + left - total) / total for at, left in known]
    strict = [abs(at + left - total) / (total - at) for at, left in known if total - at > SHORTEST]
    row = {
        "total s": total,
        **_error(before, total),
        "error of total %": 100 * median(errors),
        "most %": 100 * max(errors),
        "error of time left %": 100 * median(strict),
        "without estimate %": 100 * (1 - len(known) / len(later)),
        "rises s": sum(_rises([left for _, left in recorder.moments if left is not None])),
    }
    return row, recorder.moments


def _error(before: float | None, total: float) -> dict[str, float | None]:
    """What a dry run estimated, and its error."""
    error = None if before is None else 100 * (before - total) / total
    return {"dry run s": before, "dry run error %": error}


def _rises(shown: Sequence[float]) -> list[float]:
    return [max(0.0, after - before) for before, after in itertools.pairwise(shown)]


def dry_run(suite: str, overrides: Sequence[str], out: Path) -> float | None:
    """The total that a dry run estimates."""
    sets = [word for override in overrides for word in ("--set", override)]
    command = [sys.executable, "-m", "seqbench", "run", suite, "--dry-run", "--json",
               "--out", str(out), *sets]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    seconds = json.loads(done.stdout)["estimate"]["seconds"]
    return None if seconds is None else float(seconds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", help="run only this one: a name or a file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--runs", type=int, default=3, help="of each suite, one after the other")
    parser.add_argument("--data-dir", type=Path, help="folder that already has the datasets")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    parser.add_argument("--moments", type=Path, help="write every recorded estimate here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
