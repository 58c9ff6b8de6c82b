"""What one sees while a suite runs: an overall bar, one line per running job, one per ended one."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from seqbench.quantities import find
from seqbench.report.numbers import duration
from seqbench.report.text import clean
from seqbench.runner.context import Progress as Listener
from seqbench.runner.context import count

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
    "doctor": "checking the machine",
    "latency": "latency",
}

#: Where there is no live display, a job that takes long says how far it is once in so many seconds.
QUIET_SECONDS = 30.0

LONGEST_WARNING = 2000

STYLES = {"ok": "green", "skipped": "yellow", "diverged": "yellow"}


class Display:
    """A live display on a terminal, plain lines elsewhere. Use as a context manager."""

    def __init__(self, console: Console):
        self.console = console
        self.live = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}", markup=False),
            console=console,
            transient=True,
            refresh_per_second=4,  # it costs time, also while others are timed
            disable=not console.is_terminal,
        )
        self.name = ""
        self.overall: TaskID | None = None
        self.lines: dict[str, TaskID] = {}
        self.shares: dict[str, float] = {}
        self.clocks: dict[str, float] = {}
        self.said: dict[str, float] = {}
        self.groups: dict[str, str] = {}
        self.took: dict[str, float] = {}

    def __enter__(self) -> Display:
        self.live.start()
        self.before = warnings.showwarning
        warnings.showwarning = self._warned  # type: ignore[assignment]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.stop()
        warnings.showwarning = self.before

    def _warned(self, message: Warning | str, *more: object) -> None:
        """Above the bars, which would wipe out what is printed among them."""
        text = Text("warning: ", "bold yellow")
        text.append(clean(message, LONGEST_WARNING), "not bold default")
        self.console.print(text, soft_wrap=not self.console.is_terminal)

    def progress(self) -> Listener:
        """What the runner calls."""
        return Listener(
            started=self._started, told=self._told, phase=self._phase, ended=self._ended
        )

    def resumed(self, resumed: Resumed) -> None:
        """What an earlier attempt at the run has left."""
        self._say(str(resumed))

    def _phase(self, name: str, jobs: Sequence[Activity]) -> None:
        self.name = name
        if name == "start":
            self._say(PHASES[name])
            return
        if self.overall is not None:
            self.live.remove_task(self.overall)
        self.shares = dict.fromkeys((job.id for job in jobs), 0.0)
        self.groups = {job.id: job.group for job in jobs}
        self.took = {}
        self.overall = self.live.add_task(PHASES[name], total=len(jobs), state="")
        if name not in ("memory", "score", "doctor"):
            self._say(f"{PHASES[name]}: {_what(name, jobs)}")

    def _started(self, job: Activity) -> None:
        if job.id not in self.shares:
            return
        self.clocks[job.id] = self.said[job.id] = time.monotonic()
        self.lines[job.id] = self.live.add_task(f"  {clean(job.title)}", total=1, state="")

    def _told(self, job: Activity, message: Mapping[str, Any]) -> None:
        if "say" in message and self.name == "prepare":
            self._say(f"  {message['say']}")
        if "out" in message:
            self._say_end(message["status"], f"{message['out']}: {message['reason']}")
        if job.id not in self.lines:
            return
        state = message.get("say", "")
        if message.get("total_bytes"):
            self.shares[job.id] = message["bytes"] / message["total_bytes"]
            state = f"{message['bytes'] / 1e6:.0f} of {message['total_bytes'] / 1e6:.0f} MB"
        elif message.get("steps"):
            self.shares[job.id] = message["step"] / message["steps"]
            left = _left(self.clocks[job.id], self.shares[job.id])
            state = f"{_epoch(message)}{left}"
        if state:
            share = self.shares[job.id]
            self.live.update(self.lines[job.id], completed=share, state=clean(state))
            self._advance()
            self._say_at_times(job, state)

    def _say_at_times(self, job: Activity, state: str) -> None:
        now = time.monotonic()
        if not self.console.is_terminal and now - self.said[job.id] >= QUIET_SECONDS:
            self.said[job.id] = now
            self._say(f"  {job.title}: {state.strip()}")

    def _ended(self, outcome: Outcome) -> None:
        job = outcome.job
        line = self.lines.pop(job.id, None)
        if line is not None:
            self.live.remove_task(line)
        self.shares[job.id] = 1.0
        self.took[job.id] = outcome.seconds
        self._advance()
        if self.name in ("train", "prepare") or outcome.status != "ok":
            self._say_end(outcome.status, f"{job.title}: {_result(outcome)}")

    def _say_end(self, status: str, what: str) -> None:
        text = Text(f"{status} ", style=STYLES.get(status, "red"))
        text.append(clean(what), style="default")
        live = self.console.is_terminal
        lines = text.wrap(self.console, self.console.width - 4) if live else [text]
        for number, line in enumerate(lines):
            self.console.print(Text("    " if number else "  ") + line, soft_wrap=True)

    def _advance(self) -> None:
        if self.overall is None:
            return
        done, total = sum(self.shares.values()), len(self.shares)
        ended = sum(share == 1.0 for share in self.shares.values())
        state = f"{ended}/{total}{self._time_left()}"
        self.live.update(self.overall, completed=done, state=state)

    def _time_left(self) -> str:
        """By what the jobs of each group took so far; nothing until every group has begun."""
        known: dict[str, list[float]] = {}
        for job, clock in self.clocks.items():
            if job in self.shares and job not in self.took and self.shares[job] > 0.05:
                spent = time.monotonic() - clock
                known.setdefault(self.groups[job], []).append(spent / self.shares[job])
        for job, seconds in self.took.items():
            known.setdefault(self.groups[job], []).append(seconds)
        if not set(self.groups.values()) <= known.keys():
            return ""
        work = sum(
            (1 - share) * sum(known[self.groups[job]]) / len(known[self.groups[job]])
            for job, share in self.shares.items()
        )
        return f"  {duration(work / max(1, len(self.lines)))} left"

    def _say(self, text: str) -> None:
        self.console.print(Text(clean(text)), soft_wrap=not self.console.is_terminal)


def _what(phase: str, jobs: Sequence[Activity]) -> str:
    if phase == "train":
        return count(jobs, "trial")
    return ", ".join(job.title for job in jobs)


def _epoch(message: Mapping[str, Any]) -> str:
    if "epoch" not in message:
        return ""
    return f"epoch {message['epoch']}/{message['epochs']}  loss {message['train_loss']:.3f}"


def _left(clock: float, share: float) -> str:
    """Time left, once enough has passed to tell: what is done took as long as the rest will."""
    spent = time.monotonic() - clock
    if share < 0.02 or spent < 1.0:
        return ""
    return f"  {duration(spent * (1 - share) / share)} left"


def _result(outcome: Outcome) -> str:
    took = duration(outcome.seconds)
    if outcome.status != "ok":
        return f"{outcome.reason} ({took})"
    if "metric" not in outcome.result:
        return took
    name, value = outcome.result["metric"], outcome.result["metrics"]["value"]
    figure = f"{100 * value:.2f} %" if find(name).share else f"{value:.4g}"
    return f"{name} {figure} ({took})"
