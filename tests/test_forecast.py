"""The estimated time of a run: before it starts, and while it runs."""

from __future__ import annotations

import heapq
import io
import itertools
import json
import shutil
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from small_runs import TIMED_SUITE

from seqbench.cli.estimate import forecast_words
from seqbench.display.countdown import NEWS, Countdown, rough
from seqbench.display.progress import Display
from seqbench.executors.base import Job, Outcome
from seqbench.runner.forecast.before_run import Forecast
from seqbench.runner.forecast.contest_left import ContestLeft
from seqbench.runner.forecast.schedule import makespan
from seqbench.runner.forecast.time_left import TimeLeft
from seqbench.runner.forecast.work import PlannedContest, PlannedJob, Work


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def jobs_of(seconds: Sequence[float], *, known: bool) -> list[PlannedJob]:
    """One job for each duration, in a group of its own."""
    return [
        PlannedJob(f"job {number}", f"group {number}", one if known else None)
        for number, one in enumerate(seconds)
    ]


def as_job(planned: PlannedJob) -> Job:
    return Job(planned.id, planned.id, "", None, group=planned.group)


def simulated(
    planned: Sequence[PlannedJob], durations: Sequence[float], cores: int, left: TimeLeft
) -> list[tuple[float, float | None]]:
    """Carry out a phase of jobs in the order of their durations; returns the moment and the
    estimate after each event.
    """
    clock = left._clock
    assert isinstance(clock, Clock)
    waiting = sorted(zip(planned, durations, strict=True), key=lambda one: -one[1])
    running: list[tuple[float, str, PlannedJob, float]] = []
    seen = []
    left.begin("train", [as_job(job) for job in planned])
    while waiting or running:
        while waiting and len(running) < cores:
            job, seconds = waiting.pop(0)
            heapq.heappush(running, (clock.now + seconds, job.id, job, seconds))
            left.start(as_job(job))
        seen.append((clock.now, left.seconds()))
        clock.now, _, job, seconds = heapq.heappop(running)
        left.end(Outcome(as_job(job), "ok", seconds=seconds))
        seen.append((clock.now, left.seconds()))
    return seen


DURATIONS = st.lists(st.floats(0.1, 1000.0), min_size=1, max_size=12)


@given(DURATIONS, st.integers(1, 4))
def test_with_known_durations_the_estimate_is_exact_at_every_moment(
    durations: list[float], cores: int
) -> None:
    planned = jobs_of(durations, known=True)
    left = TimeLeft(Work({"train": planned}, [], cores), Clock())
    seen = simulated(planned, durations, cores, left)
    total = seen[-1][0]
    for at, estimate in seen:  # a job that is about to end is assumed to take a little longer
        assert estimate == pytest.approx(total - at, rel=1e-6, abs=0.11 * total)
    assert seen[0][1] == pytest.approx(total)
    assert seen[-1][1] == 0


@given(DURATIONS, st.integers(1, 4), st.floats(0.2, 5.0))
def test_with_wrong_or_unknown_durations_the_estimate_stays_sound(
    durations: list[float], cores: int, wrong: float
) -> None:
    for known in (True, False):
        planned = jobs_of([wrong * one for one in durations], known=known)
        left = TimeLeft(Work({"train": planned}, [], cores), Clock())
        seen = simulated(planned, durations, cores, left)
        assert all(estimate is None or estimate >= 0 for _, estimate in seen)
        assert seen[-1][1] == 0
        assert known is False or None not in [estimate for _, estimate in seen]


def test_jobs_of_a_group_tell_of_each_other() -> None:
    clock = Clock()
    planned = [PlannedJob(f"a{number}", "a") for number in range(4)]
    left = TimeLeft(Work({"train": planned}, [], 1), clock)
    jobs = [as_job(job) for job in planned]
    left.begin("train", jobs)
    left.start(jobs[0])
    assert left.seconds() is None
    for step in range(1, 6):  # half of the steps in 5 s
        clock.now = step
        left.receive(jobs[0], {"step": step, "steps": 10})
    assert left.seconds() == pytest.approx(5 + 3 * 10)
    clock.now = 12  # two seconds more for the test
    left.end(Outcome(jobs[0], "ok", seconds=12.0))
    assert left.seconds() == pytest.approx(3 * 12)
    left.start(jobs[1])
    left.end(Outcome(jobs[1], "failed", seconds=0.1))  # shows nothing of the others
    assert left.seconds() == pytest.approx(2 * 12)


def test_known_durations_are_corrected_by_the_pace_of_this_run() -> None:
    clock = Clock()
    planned = [PlannedJob("a", "a", 10.0), PlannedJob("b", "b", 20.0)]
    left = TimeLeft(Work({"train": planned}, [], 1), clock)
    left.begin("train", [as_job(job) for job in planned])
    left.start(as_job(planned[1]))
    clock.now = 40
    left.end(Outcome(as_job(planned[1]), "ok", seconds=40.0))  # twice as long as expected
    assert left.seconds() == pytest.approx(20)


def test_a_job_without_news_is_never_expected_to_end_at_once() -> None:
    clock = Clock()
    planned = [PlannedJob("a", "a", 10.0)]
    left = TimeLeft(Work({"prepare": planned}, [], 1), clock)
    left.begin("prepare", [as_job(planned[0])])
    left.start(as_job(planned[0]))
    seen = []
    for clock.now in (0.0, 5.0, 20.0, 100.0):
        seen.append(left.seconds())
    assert seen == pytest.approx([10, 5, 2, 10])


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 3)), max_size=15), st.integers(1, 3))
def test_jobs_together_take_at_least_their_share_of_the_cores(
    given_jobs: list[tuple[float, int]], cores: int
) -> None:
    timed = [
        (PlannedJob(str(number), "", cores=min(wanted, cores)), seconds)
        for number, (seconds, wanted) in enumerate(given_jobs)
    ]
    took = makespan([], timed, cores)
    least = sum(job.cores * seconds for job, seconds in timed) / cores
    assert least - 1e-6 <= took <= sum(seconds for _, seconds in timed) + 1e-6


def test_a_device_runs_one_job_at_a_time() -> None:
    on_device = [(PlannedJob(f"d{n}", "", device="cuda:0"), 5.0) for n in range(3)]
    on_cores = [(PlannedJob(f"c{n}", ""), 4.0) for n in range(3)]
    assert makespan([], [*on_device, *on_cores], 2) == 15
    assert makespan([(PlannedJob("r", "", device="cuda:0"), 1.0)], on_device[:1], 2) == 6
    assert makespan([], [(PlannedJob("wide", "", cores=8), 3.0)], 2) == 3


CONTEST = PlannedContest(
    "latency-cpu", 4, load=2.0, warm_up=1.0, timed=4.0, processes=10, likely=10, precision=0.02
)


@pytest.mark.parametrize("done", [0, 4, 5, 7, 10])
def test_a_contest_that_is_further_than_expected_has_no_negative_time(done: int) -> None:
    left = ContestLeft(replace(CONTEST, likely=5, done=done))
    assert left.seconds(0.0) >= 0
    left.start(0.0)
    assert left.seconds(1.0) >= 0


def test_a_contest_is_learned_from_its_processes() -> None:
    left = ContestLeft(CONTEST)
    assert left.seconds(0.0) == pytest.approx(10 * 7)
    assert left.seconds(0.0, load=1.0) == pytest.approx(10 * 9)
    left.start(0.0)
    assert left.seconds(1.0) == pytest.approx(69)
    assert left.seconds(10.0) == pytest.approx(1 + 4 + 9 * 7)  # loading takes longer than expected
    left.step(0, 11.0)
    assert left.seconds(11.0) == pytest.approx(4 + 9 * 15)
    left.step(1, 23.0)
    assert left.seconds(23.0) == pytest.approx(4 + 8 * 12)
    assert left.seconds(25.0) == pytest.approx(2 + 8 * 12)
    assert left.seconds(60.0) == pytest.approx(4 + 7 * 12)  # at least what is still to come


def test_a_contest_that_is_precise_ends_early() -> None:
    left = ContestLeft(CONTEST)
    left.start(0.0)
    for done in range(2):
        left.step(done, 7.0 * done + 3)
    left.precise_to(0.001, 2)
    left.step(2, 17.0)
    assert left.seconds(17.0) == pytest.approx(4 + 2 * 7)  # five processes at least
    left.precise_to(0.5, 3)
    assert left.seconds(17.0) == pytest.approx(4 + 7 * 7)
    left.precise_to(float("inf"), 1)  # says nothing
    assert left.seconds(17.0) == pytest.approx(4 + 7 * 7)


@given(st.lists(st.floats(-1.0, 1.0), min_size=5, max_size=60))
def test_the_shown_time_does_not_jump(noise: list[float]) -> None:
    clock, total = Clock(), 100.0
    countdown = Countdown(clock)
    shown = []
    for second, jitter in enumerate(noise):
        clock.now = float(second)
        shown.append(countdown.update((total - second) * (1 + 0.05 * jitter)) or 0.0)
    for before, after in itertools.pairwise(shown):
        assert before - 4 < after <= before  # it only falls, by little


def test_the_shown_time_follows_news_and_reaches_zero() -> None:
    clock = Clock()
    countdown = Countdown(clock)
    assert countdown.update(None) is None
    assert countdown.update(10.0) == 10
    shown: list[float] = []
    for clock.now in range(1, 30):
        shown.append(countdown.update(100.0 - clock.now) or 0.0)
    assert shown[-1] == pytest.approx(71, rel=NEWS)
    for clock.now in range(30, 110):
        shown.append(countdown.update(max(0.0, 100.0 - clock.now)) or 0.0)
    assert shown[-1] == 0
    assert min(shown) == 0


def test_times_are_shown_no_finer_than_they_are_known() -> None:
    assert [rough(seconds) for seconds in (0, 3.2, 42, 100, 700, 4000, 7200)] == [
        "1 s", "3 s", "40 s", "1 min 30 s", "12 min", "1 h 5 min", "2 h",
    ]  # fmt: skip


def test_the_words_name_the_basis_and_what_is_unknown() -> None:
    parts = {"training": 180.0, "measuring": 45.0}
    found = Forecast(227.5, parts, "trials of earlier runs on this machine", at_most=True)
    assert forecast_words(found) == (
        "whole run: about 4 min (training 3 min, measuring 45 s), less if latency is precise "
        "earlier, based on trials of earlier runs on this machine"
    )
    unknown = Forecast(None, {"training": None, "measuring": 45.0}, reasons=["no data"])
    assert forecast_words(unknown) == "whole run: n/a (no data); measuring about 45 s"


def test_the_display_moves_while_nothing_is_reported() -> None:
    file = io.StringIO()
    job = Job("data", "slow data", "", None)
    with Display(Console(file=file, force_terminal=True, width=100)) as display:
        listener = display.progress()
        listener.phase("start", ())
        assert listener.planned is not None
        listener.planned(Work({"prepare": [PlannedJob("data", "", 30.0)]}, [], 1))
        listener.phase("prepare", [job])
        listener.started(job)
        time.sleep(1.7)
    frames = [frame for frame in file.getvalue().split("whole run") if "slow data" in frame]
    clocks = {second for second in ("0 s", "1 s", "2 s") for frame in frames if second in frame}
    assert len(clocks) >= 2
    assert any("about 30 s left" in frame or "about 25 s left" in frame for frame in frames)


@pytest.fixture
def timed_suite(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(textwrap.dedent(TIMED_SUITE))
    return path


def test_a_dry_run_says_how_long_the_run_takes_and_how_it_knows(
    timed: Path, timed_suite: Path, tmp_path: Path, seqbench_cli: Callable[..., Any]
) -> None:
    def dry_run(*more: object) -> dict[str, Any]:
        done = seqbench_cli("run", timed_suite, "--dry-run", "--json", *more)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)["estimate"]
        return found

    probed = dry_run()  # the data are prepared, since ``timed`` has run
    assert probed["basis"] == "a few training steps of each case"
    assert not (tmp_path / "results").exists()
    shutil.copytree(timed, tmp_path / "results" / "small" / timed.name)
    known = dry_run()
    assert known["basis"] == "trials of earlier runs on this machine"
    took = json.loads((timed / "run.json").read_text())["seconds"]
    for found in (probed, known):
        assert took / 3 < found["seconds"] < 3 * took  # other tests may run at the same time
        assert found["parts"].keys() == {"training", "measuring"}
    absent = dry_run("--device", "cuda:63")
    assert absent["seconds"] is None
    assert absent["reasons"][0].startswith("this machine has no device 'cuda:63'; available: ")
    longer = dry_run("--set", "train.epochs=300")  # another case, but as fast for each epoch
    assert longer["basis"] == known["basis"]
    assert longer["parts"]["training"] > 5 * known["parts"]["training"]


def test_without_data_and_earlier_runs_the_time_is_not_available(
    timed_suite: Path, seqbench_cli: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("SEQBENCH_CACHE", str(tmp_path / "cache"))
    text = " ".join(seqbench_cli("run", timed_suite, "--dry-run").stdout.split())
    why = "n/a (parity is not prepared yet, so no training step can be timed); measuring about "
    assert f"whole run: {why}" in text
    assert not (tmp_path / "cache").exists()
