"""Adding an executor takes one class and one line in the registry."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from seqbench.errors import UsageError, reason_of
from seqbench.executors import registry
from seqbench.executors.base import Job, Listener, Outcome, utc_now
from seqbench.executors.registry import make_executor
from seqbench.plugins.loading import import_object
from seqbench.runner.start import Request, start_run
from seqbench.suite.files import read_suite
from seqbench.suite.selection import Selection
from seqbench.workers.context import JobContext, Workspace
from seqbench.workers.messages import payload_from_json, payload_to_json

SUITE = """
    name: door
    datasets: [{parity: {length: 6, train_size: 40, validation_size: 20, test_size: 20}}]
    models: [{rnn: {hidden_size: 4}}, {gru: {hidden_size: 4}}]
    train: {epochs: 1, batch_size: 20}
    seeds: 2
    measure:
      memory: {batch_size: 4}
      latency: {budget: 200ms, warm_up: 20ms, batch_sizes: [1], processes: 2}
    """


class _Silent:
    """A channel to a runner that ignores messages."""

    def send(self, message: Any) -> None:
        json.dumps(message)


class Elsewhere:
    """Calls jobs one after the other, with payloads sent as JSON, like another machine."""

    def __init__(self, cores: int | None = None):
        self._local = make_executor("local", cores=cores)
        self.cores, self.memory = self._local.cores, self._local.memory
        self.ran: list[str] = []

    def run(
        self, jobs: Sequence[Job], workspace: Workspace, listener: Listener
    ) -> Iterator[Outcome]:
        for job in jobs:
            listener.started(job)
            self.ran.append(job.function)
            function = import_object(job.function)
            sent = json.loads(json.dumps(payload_to_json(job.payload)))
            context = JobContext(workspace.absolute(), _Silent())  # type: ignore[arg-type]
            try:
                result = function(payload_from_json(function, sent), context)
                answer = json.loads(json.dumps(result))
                yield Outcome(job, "ok", result=answer, started=utc_now(), seconds=0.1)
            except Exception as error:
                yield Outcome(job, "failed", reason_of(error), started=utc_now())

    def open(self, job: Job, workspace: Workspace) -> Any:
        self.ran.append(job.function)
        return self._local.open(job, workspace)


def weights(run: Path) -> dict[str, str]:
    trials = [json.loads(path.read_text()) for path in (run / "trials").glob("*.json")]
    return {trial["id"]: trial["weights_sha256"] for trial in trials}


@pytest.mark.slow
def test_an_executor_is_one_class_and_one_line(
    monkeypatch: pytest.MonkeyPatch, write_suite: Callable[[str], Path], tmp_path: Path
) -> None:
    monkeypatch.setattr(
        registry, "EXECUTORS", {**registry.EXECUTORS, "elsewhere": f"{__name__}:Elsewhere"}
    )
    monkeypatch.setenv("SEQBENCH_CACHE", str(tmp_path / "cache"))  # nothing is prepared yet
    request = Request(read_suite(write_suite(SUITE)), Selection())
    executor = make_executor("elsewhere", cores=1)
    remote = start_run(request, out=tmp_path / "remote", executor=executor)
    local = start_run(request, out=tmp_path / "local", executor=make_executor(cores=1))
    assert remote.ok
    assert local.ok
    assert weights(remote.path) == weights(local.path)
    assert isinstance(executor, Elsewhere)
    assert {name.rpartition(":")[2] for name in executor.ran} == {
        "describe", "prepare", "train", "measure_cost", "measure_memory", "examine",
        "answer_requests",
    }  # fmt: skip
    for case in remote.document["cases"]:
        assert case["latency"][0]["median_s"] > 0


def test_an_unknown_executor_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown executor 'cloud'; available: local"):
        make_executor("cloud")


@pytest.mark.slow
def test_payloads_name_no_path_of_this_machine(
    write_suite: Callable[[str], Path], tmp_path: Path
) -> None:
    class Watching(Elsewhere):
        def run(self, jobs: Any, workspace: Any, listener: Any) -> Iterator[Outcome]:
            sent.extend(json.dumps(payload_to_json(job.payload)) for job in jobs)
            yield from super().run(jobs, workspace, listener)

        def open(self, job: Job, workspace: Workspace) -> Any:
            sent.append(json.dumps(payload_to_json(job.payload)))
            return super().open(job, workspace)

    sent: list[str] = []
    start_run(
        Request(read_suite(write_suite(SUITE)), Selection()),
        out=tmp_path / "out",
        executor=Watching(1),
    )
    assert len(sent) > 8
    for text in sent:
        assert str(tmp_path) not in text
        assert ': "/' not in text


@pytest.mark.slow
def test_jobs_limits_parallel_jobs(
    seqbench_cli: Callable[..., Any], write_suite: Callable[[str], Path], tmp_path: Path
) -> None:
    suite = write_suite(SUITE.partition("    measure")[0])
    done = seqbench_cli("run", suite, "--jobs", 1, "--json")
    assert done.returncode == 0, done.stderr
    run = tmp_path / json.loads(done.stdout)["run"]
    trials = [json.loads(path.read_text()) for path in (run / "trials").glob("*.json")]
    spans = sorted((datetime.fromisoformat(t["started"]).timestamp(), t["seconds"]) for t in trials)
    assert len(spans) == 4
    for (start, seconds), (following, _) in itertools.pairwise(spans):
        assert start + seconds <= following + 0.05


def test_jobs_are_never_more_than_there_are_cores() -> None:
    assert make_executor(cores=10_000).cores == make_executor().cores


def test_jobs_below_one_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one CPU core"):
        make_executor(cores=0)


@pytest.mark.slow
def test_threads_all_does_not_depend_on_jobs(
    seqbench_cli: Callable[..., Any], write_suite: Callable[[str], Path]
) -> None:
    """A run that is resumed with other --jobs keeps what was timed."""
    text = SUITE.replace("seeds: 2", "seeds: 1").replace("batch_sizes", "threads: all, batch_sizes")
    suite = write_suite(text)
    assert seqbench_cli("run", suite, "--jobs", 1).returncode == 0
    again = seqbench_cli("run", suite, "--resume", "--dry-run").stdout
    assert "latency: nothing would be timed" in again
    assert "0 of 6 would be measured" in again
