"""The order in which jobs start, and which runner they belong to."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import runner_environment

from seqbench.executors.base import Job, Outcome
from seqbench.executors.order import Queue
from seqbench.workers import orphans
from seqbench.workers.process import _WORKERS_FOLDER


def job(name: str) -> Job:
    return Job(name, name, "nothing:nothing", None, group=name[0])


def names(queue: Queue) -> list[str]:
    return [one.id for one in queue.jobs]


def test_a_fork_of_a_runner_is_a_separate_runner(tmp_path: Path) -> None:
    """Otherwise it would kill the workers of the other runner."""
    folder, mark = _WORKERS_FOLDER.path(), orphans.mark()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: _WORKERS_FOLDER.path(), range(8))) == {folder}
    child = os.fork()
    if child == 0:
        lines = _WORKERS_FOLDER.path(), orphans.mark()
        (tmp_path / "child").write_text("\n".join(lines))
        os._exit(0)
    os.waitpid(child, 0)
    other_folder, other_mark = (tmp_path / "child").read_text().splitlines()
    assert other_folder != folder
    assert other_mark != mark
    deadline = time.monotonic() + 10
    while Path(other_folder).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert Path(folder).exists()


def test_cases_alternate_and_the_longest_jobs_go_first() -> None:
    queue = Queue([job(name) for name in ("a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1")])
    assert names(queue) == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2"]
    for number, seconds in enumerate((1.0, 9.0)):  # a0, then b0; the duration of c is unknown
        queue.learn(Outcome(queue.jobs.pop(0), "ok", seconds=seconds))
        assert names(queue)[0] == ["b0", "c0"][number]
    assert names(queue) == ["c0", "b1", "a1", "c1", "b2", "a2"]
    queue.learn(Outcome(queue.jobs.pop(0), "timeout", seconds=99.0))
    assert names(queue) == ["b1", "a1", "c1", "b2", "a2"]


@pytest.mark.slow
def test_a_fork_without_a_runner_prints_nothing(tmp_path: Path) -> None:
    script = """
        import os
        from multiprocessing import forkserver
        from seqbench.workers import process
        from seqbench.workers.variables import worker_variables

        process._context()
        with process._SERVER.lock:
            process._SERVER.start(worker_variables())
        status, to_child = forkserver.connect_to_new_process([])
        os.close(to_child)
        forkserver.read_signed(status)  # process id
        print("exit code", forkserver.read_signed(status))
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True,
        env=runner_environment(tmp_path), timeout=60,
    )  # fmt: skip
    assert "exit code 1" in done.stdout
    assert done.stderr == ""
