"""The live display of a run: a bar for the whole run and one for its phase, and a line for each
running and each ended job.
"""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from seqbench.display.countdown import Countdown, rough
from seqbench.quantities import find
from seqbench.report.numbers import duration
from seqbench.report.terminal.style import WARNING
from seqbench.report.text import clean, counted
from seqbench.runner.context import Progress as Listener
from seqbench.runner.context import continuing
from seqbench.runner.forecast.time_left import TimeLeft, fraction

if TYPE_CHECKING:
    from rich.console import Console

    from seqbench.executors.base import Activity, Outcome
    from seqbench.runner.forecast.work import Work
    from seqbench.runner.resume.earlier import Resumed

PHASES = {
    "start": "starting workers (loading torch)",
    "probe": "timing a few training steps",
    "prepare": "preparing data",
    "match": "solving widths",
    "train": "training",
    "score": "metrics",
    "memory": "cost and memory",
    "doctor": "diagnosing the machine",
    "latency": "latency",
}

#: The title of the first bar while it is not known yet what has to be run.
STARTING = {"start": "starting", "probe": "estimating"}

WHOLE = "whole run"

#: Seconds between two estimates of the time left.
ESTIMATE_SECONDS = 1.0

#: Without a live display, seconds between two progress lines of the same job.
QUIET_SECONDS = 30.0

LONGEST_WARNING = 2000

STYLES = {"ok": "green", "skipped": "yellow", "diverged": "yellow"}


class Display:
    """A live display on a terminal, plain lines elsewhere. Use as a context manager."""

    def __init__(self, console: Console):
        self.console = console
        self.name = ""
        self.clock = time.monotonic()
        self.whole: TaskID | None = None
        self.overall: TaskID | None = None
        self.lines: dict[str, TaskID] = {}
        self.said: dict[str, str] = {}
        self.fractions: dict[str, float] = {}
        self.clocks: dict[str, float] = {}
        self.printed: dict[str, float] = {}
        self.left: TimeLeft | None = None
        self.countdown = Countdown()
        self.estimated = 0.0
        self.shown: float | None = None
        self.live = _Live(
            TextColumn("{task.description}", markup=False, table_column=_description(console)),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}", markup=False),
            before=self._tick,
            console=console,
            transient=True,
            refresh_per_second=2,  # it takes CPU time, also while models are timed
            disable=not console.is_terminal,
        )

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
        text = Text.assemble(("warning:", WARNING), " ", clean(message, LONGEST_WARNING))
        self.console.print(text, soft_wrap=not self.console.is_terminal)

    def _advised(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._warned(line)

    def progress(self) -> Listener:
        """The callbacks for the runner."""
        return Listener(
            advised=self._advised,
            started=self._started,
            received=self._received,
            planned=self._planned,
            phase=self._phase,
            ended=self._ended,
        )

    def resumed(self, resumed: Resumed) -> None:
        """Print how much of a resumed run is already done."""
        self._print(str(resumed))

    def _planned(self, work: Work) -> None:
        self.left = TimeLeft(work)
        if self.whole is not None:
            self.live.update(self.whole, description=WHOLE)

    def _phase(self, name: str, jobs: Sequence[Activity]) -> None:
        self.name = name
        if self.left is not None:
            self.left.begin(name, jobs)
        if self.whole is None:
            self.whole = self.live.add_task(STARTING.get(name, WHOLE), total=None, state="")
        elif name in STARTING:
            self.live.update(self.whole, description=STARTING[name])
        if name == "start":
            self._print(PHASES[name])
            return
        if self.overall is not None:
            self.live.remove_task(self.overall)
        for job in list(self.lines):
            self._remove_line(job)
        self.fractions = dict.fromkeys((job.id for job in jobs), 0.0)
        self.overall = self.live.add_task(PHASES[name], total=len(jobs), state="")
        if name not in ("memory", "score", "doctor", "probe"):
            self._print(f"{PHASES[name]}: {_what(name, jobs)}")

    def _started(self, job: Activity) -> None:
        if job.id not in self.fractions:
            return
        if self.left is not None:
            self.left.start(job)
        self.clocks[job.id] = self.printed[job.id] = time.monotonic()
        self.said[job.id] = ""
        self._remove_line(job.id)  # of an earlier attempt
        # Without a total the bar pulses, until the job reports how far it is.
        self.lines[job.id] = self.live.add_task(f"  {clean(job.title)}", total=None, state="")

    def _remove_line(self, job: str) -> None:
        line = self.lines.pop(job, None)
        if line is not None:
            self.live.remove_task(line)

    def _received(self, job: Activity, message: Mapping[str, Any]) -> None:
        if self.left is not None:
            self.left.receive(job, message)
        if "say" in message and self.name == "prepare":
            self._print(f"  {message['say']}")
        if "continued" in message:
            self._write(Text(f"  {clean(continuing(job, message))}"))
        if "out" in message:
            self._print_end(message["status"], f"{message['out']}: {message['reason']}")
        if job.id not in self.lines:
            return
        said = message.get("say", "")
        done = fraction(message)
        if done is not None:
            self.fractions[job.id] = done
            self.live.update(self.lines[job.id], completed=done, total=1)
            self._advance()
            said = _said(message)
        if said:
            self.said[job.id] = clean(said)
            self._print_now_and_then(job)

    def _print_now_and_then(self, job: Activity) -> None:
        now = time.monotonic()
        if not self.console.is_terminal and now - self.printed[job.id] >= QUIET_SECONDS:
            self.printed[job.id] = now
            self._estimate(now)
            left = "" if self.shown is None else f"  (whole run: about {rough(self.shown)} left)"
            self._print(f"  {job.title}: {self.said[job.id]}{left}")

    def _ended(self, outcome: Outcome) -> None:
        job = outcome.job
        if self.left is not None:
            self.left.end(outcome)
        line = self.lines.pop(job.id, None)
        if line is not None:
            self.live.remove_task(line)
        self.fractions[job.id] = 1.0
        self._advance()
        if self.name in ("train", "prepare", "match") or outcome.status != "ok":
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
        self.live.update(self.overall, completed=done, state=f"{ended}/{total}")

    def _tick(self) -> None:
        """Update what changes by itself: clocks and the time left. Called before every refresh, by
        the thread that refreshes.
        """
        now = time.monotonic()
        self._estimate(now)
        for job, line in list(self.lines.items()):
            words = (self.said[job], duration(now - self.clocks[job]))
            with contextlib.suppress(KeyError):  # it has just ended
                self.live.update(line, state="  ".join(filter(None, words)))
        if self.whole is None:
            return
        spent = now - self.clock
        if self.shown is None:
            self.live.update(self.whole, state=duration(spent))
        else:
            state = f"{duration(spent)}, about {rough(self.shown)} left"
            total = spent + max(self.shown, 1.0)
            self.live.update(self.whole, completed=spent, total=total, state=state)

    def _estimate(self, now: float) -> None:
        if self.left is not None and now - self.estimated >= ESTIMATE_SECONDS:
            self.estimated = now
            self.shown = self.countdown.update(self.left.seconds())

    def _print(self, text: str) -> None:
        self._write(Text(clean(text)), soft_wrap=not self.console.is_terminal)

    def _write(self, line: Text, *, soft_wrap: bool = True) -> None:
        """Print above the bars."""
        self.console.print(line, soft_wrap=soft_wrap)


class _Live(Progress):
    """Bars that are brought up to date before they are drawn, also while no job reports anything.

    Args:
        before: called before every refresh.
    """

    def __init__(self, *columns: ProgressColumn, before: Callable[[], None], **options: Any):
        self._before = before
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        """See :meth:`rich.progress.Progress.get_renderables`."""
        self._before()
        return super().get_renderables()


def _description(console: Console) -> Column:
    """Long titles are cut, so that there is room for the bar and the time left."""
    return Column(no_wrap=True, overflow="ellipsis", max_width=max(20, console.width - 55))


def _what(phase: str, jobs: Sequence[Activity]) -> str:
    if phase == "train":
        return counted(len(jobs), "trial")
    return ", ".join(job.title for job in jobs)


def _said(message: Mapping[str, Any]) -> str:
    """How far a job is."""
    if message.get("total_bytes"):
        return f"{message['bytes'] / 1e6:.0f} of {message['total_bytes'] / 1e6:.0f} MB"
    if message.get("by") == "steps":
        done = f"step {message['step']:,}/{message['steps']:,}"
        return f"{done}  loss {message['train_loss']:.3f}"
    if "epoch" in message:
        return f"epoch {message['epoch']}/{message['epochs']}  loss {message['train_loss']:.3f}"
    if "steps" in message:
        return f"process {message['step'] + 1} of {message['steps']}: timing"
    return ""


def _result(outcome: Outcome) -> str:
    took = duration(outcome.seconds)
    if outcome.status != "ok":
        return f"{outcome.reason} ({took})"
    if best := outcome.result.get("best"):
        return f"width {best['width']:,} gives {best['value']:,} ({took})"
    if "metric" not in outcome.result:
        return took
    name, value = outcome.result["metric"], outcome.result["metrics"]["value"]
    about = find(name, {name: outcome.result.get("metric_about") or {}})
    unit = "" if about.unit == "1" else f" {about.unit}"
    figure = f"{100 * value:.2f} %" if about.share else f"{value:.4g}{unit}"
    return f"{name} {figure} ({took})"
