"""The live display of a run: an overall bar and a line for each running and each ended job."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from seqbench.quantities import find
from seqbench.report.numbers import duration
from seqbench.report.text import clean, counted
from seqbench.runner.context import Progress as Listener

if TYPE_CHECKING:
    from rich.console import Console

    from seqbench.executors.base import Activity, Outcome
    from seqbench.runner.resume.earlier import Resumed

PHASES = {
    "start": "starting workers (loading torch)",
    "prepare": "preparing data",
    "train": "training",
    "score": "metrics",
    "memory": "cost and memory",
    "doctor": "diagnosing the machine",
    "latency": "latency",
}

#: Without a live display, seconds between two progress lines of the same job.
QUIET_SECONDS = 30.0

LONGEST_WARNING = 2000

STYLES = {"ok": "green", "skipped": "yellow", "diverged": "yellow"}


class Display:
    """A live display on a terminal, plain lines elsewhere. Use as a context manager."""

    def __init__(self, console: Console):
        self.console = console
        self.live = Progress(
            TextColumn("{task.description}", markup=False, table_column=_description(console)),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}", markup=False),
            console=console,
            transient=True,
            refresh_per_second=4,  # it takes CPU time, also while models are timed
            disable=not console.is_terminal,
        )
        self.name = ""
        self.overall: TaskID | None = None
        self.lines: dict[str, TaskID] = {}
        self.fractions: dict[str, float] = {}
        self.clocks: dict[str, float] = {}
        self.printed: dict[str, float] = {}
        self.groups: dict[str, str] = {}
        self.took: dict[str, float] = {}

    def __enter__(self) -> Display:
        self.live.start()
        self.before = warnings.showwarning
        # Runs in several threads would not restore it in reverse order.
        if threading.current_thread() is threading.main_thread():
            warnings.showwarning = self._warned  # type: ignore[assignment]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.stop()
        if threading.current_thread() is threading.main_thread():
            warnings.showwarning = self.before

    def _warned(self, message: Warning | str, *more: object) -> None:
        """Print above the bars, which would overwrite it otherwise."""
        text = Text("warning: ", "bold yellow")
        text.append(clean(message, LONGEST_WARNING), "not bold default")
        self.console.print(text, soft_wrap=not self.console.is_terminal)

    def progress(self) -> Listener:
        """The callbacks for the runner."""
        return Listener(
            started=self._started, received=self._received, phase=self._phase, ended=self._ended
        )

    def resumed(self, resumed: Resumed) -> None:
        """Print how much of a resumed run is already done."""
        self._print(str(resumed))

    def _phase(self, name: str, jobs: Sequence[Activity]) -> None:
        self.name = name
        if name == "start":
            self._print(PHASES[name])
            return
        if self.overall is not None:
            self.live.remove_task(self.overall)
        self.fractions = dict.fromkeys((job.id for job in jobs), 0.0)
        self.groups = {job.id: job.group for job in jobs}
        self.took = {}
        self.overall = self.live.add_task(PHASES[name], total=len(jobs), state="")
        if name not in ("memory", "score", "doctor"):
            self._print(f"{PHASES[name]}: {_what(name, jobs)}")

    def _started(self, job: Activity) -> None:
        if job.id not in self.fractions:
            return
        self.clocks[job.id] = self.printed[job.id] = time.monotonic()
        self.lines[job.id] = self.live.add_task(f"  {clean(job.title)}", total=1, state="")

    def _received(self, job: Activity, message: Mapping[str, Any]) -> None:
        if "say" in message and self.name == "prepare":
            self._print(f"  {message['say']}")
        if "out" in message:
            self._print_end(message["status"], f"{message['out']}: {message['reason']}")
        if job.id not in self.lines:
            return
        state = message.get("say", "")
        if message.get("total_bytes"):
            self.fractions[job.id] = message["bytes"] / message["total_bytes"]
            state = f"{message['bytes'] / 1e6:.0f} of {message['total_bytes'] / 1e6:.0f} MB"
        elif message.get("steps"):
            self.fractions[job.id] = message["step"] / message["steps"]
            left = _left(self.clocks[job.id], self.fractions[job.id])
            state = f"{_epoch(message)}{left}"
        if state:
            fraction = self.fractions[job.id]
            self.live.update(self.lines[job.id], completed=fraction, state=clean(state))
            self._advance()
            self._print_now_and_then(job, state)

    def _print_now_and_then(self, job: Activity, state: str) -> None:
        now = time.monotonic()
        if not self.console.is_terminal and now - self.printed[job.id] >= QUIET_SECONDS:
            self.printed[job.id] = now
            self._print(f"  {job.title}: {state.strip()}")

    def _ended(self, outcome: Outcome) -> None:
        job = outcome.job
        line = self.lines.pop(job.id, None)
        if line is not None:
            self.live.remove_task(line)
        self.fractions[job.id] = 1.0
        self.took[job.id] = outcome.seconds
        self._advance()
        if self.name in ("train", "prepare") or outcome.status != "ok":
            self._print_end(outcome.status, f"{job.title}: {_result(outcome)}")

    def _print_end(self, status: str, what: str) -> None:
        text = Text(f"{status} ", style=STYLES.get(status, "red"))
        text.append(clean(what), style="default")
        live = self.console.is_terminal
        lines = text.wrap(self.console, self.console.width - 4) if live else [text]
        for number, line in enumerate(lines):
            self._write(Text("    " if number else "  ") + line)

    def _advance(self) -> None:
        if self.overall is None:
            return
        done, total = sum(self.fractions.values()), len(self.fractions)
        ended = sum(fraction == 1.0 for fraction in self.fractions.values())
        state = f"{ended}/{total}{self._time_left()}"
        self.live.update(self.overall, completed=done, state=state)

    def _time_left(self) -> str:
        """Estimate from the time of each group's jobs so far; "" until every group has started."""
        known: dict[str, list[float]] = {}
        for job, clock in self.clocks.items():
            if job in self.fractions and job not in self.took and self.fractions[job] > 0.05:
                spent = time.monotonic() - clock
                known.setdefault(self.groups[job], []).append(spent / self.fractions[job])
        for job, took in self.took.items():
            known.setdefault(self.groups[job], []).append(took)
        if not set(self.groups.values()) <= known.keys():
            return ""
        seconds = sum(
            (1 - fraction) * sum(known[self.groups[job]]) / len(known[self.groups[job]])
            for job, fraction in self.fractions.items()
        )
        return f"  {duration(seconds / max(1, len(self.lines)))} left"

    def _print(self, text: str) -> None:
        self._write(Text(clean(text)), soft_wrap=not self.console.is_terminal)

    def _write(self, line: Text, *, soft_wrap: bool = True) -> None:
        """Print above the bars."""
        self.console.print(line, soft_wrap=soft_wrap)


def _description(console: Console) -> Column:
    """Long titles are cut, so that there is room for the bar and the time left."""
    return Column(no_wrap=True, overflow="ellipsis", max_width=max(20, console.width - 55))


def _what(phase: str, jobs: Sequence[Activity]) -> str:
    if phase == "train":
        return counted(len(jobs), "trial")
    return ", ".join(job.title for job in jobs)


def _epoch(message: Mapping[str, Any]) -> str:
    if "epoch" not in message:
        return ""
    return f"epoch {message['epoch']}/{message['epochs']}  loss {message['train_loss']:.3f}"


def _left(clock: float, fraction: float) -> str:
    """Time left at the speed so far; "" until there is enough to estimate it from."""
    spent = time.monotonic() - clock
    if fraction < 0.02 or spent < 1.0:
        return ""
    return f"  {duration(spent * (1 - fraction) / fraction)} left"


def _result(outcome: Outcome) -> str:
    took = duration(outcome.seconds)
    if outcome.status != "ok":
        return f"{outcome.reason} ({took})"
    if "metric" not in outcome.result:
        return took
    name, value = outcome.result["metric"], outcome.result["metrics"]["value"]
    figure = f"{100 * value:.2f} %" if find(name).share else f"{value:.4g}"
    return f"{name} {figure} ({took})"
