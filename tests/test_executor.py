"""In which order jobs start, and whose they are."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conftest import runner_environment

from seqbench.executors.base import Job, Outcome
from seqbench.executors.order import Queue
from seqbench.workers import orphans
from seqbench.workers.process import _PLACE


def job(name: str) -> Job:
    return Job(name, name, "nothing:nothing", None, group=name[0])


def names(queue: Queue) -> list[str]:
    return [one.id for one in queue.jobs]


def test_a_fork_of_a_runner_is_a_runner_of_its_own(tmp_path: Path) -> None:
    """Or else it would end the other's workers."""
    place, mark = _PLACE.folder(), orphans.mark()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: _PLACE.folder(), range(8))) == {place}
    child = os.fork()
    if child == 0:
        told = _PLACE.folder(), orphans.mark()
        (tmp_path / "told").write_text("\n".join(told))
        os._exit(0)
    os.waitpid(child, 0)
    other_place, other_mark = (tmp_path / "told").read_text().splitlines()
    assert other_place != place
    assert other_mark != mark
    deadline = time.monotonic() + 10
    while Path(other_place).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert Path(place).exists()


def test_every_case_has_its_turn_and_the_longest_go_first() -> None:
    queue = Queue([job(name) for name in ("a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1")])
    assert names(queue) == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2"]
    for number, seconds in enumerate((1.0, 9.0)):  # a0, then b0; of c nothing is known so far
        queue.heed(Outcome(queue.jobs.pop(0), "ok", seconds=seconds))
        assert names(queue)[0] == ["b0", "c0"][number]
    assert names(queue) == ["c0", "b1", "a1", "c1", "b2", "a2"]
    queue.heed(Outcome(queue.jobs.pop(0), "timeout", seconds=99.0))
    assert names(queue) == ["b1", "a1", "c1", "b2", "a2"]


def test_a_fork_whose_runner_is_lost_says_nothing(tmp_path: Path) -> None:
    script = """
        import os
        from multiprocessing import forkserver
        from seqbench.workers import process

        process._start_server(process._context())
        said, said_to = forkserver.connect_to_new_process([])
        os.close(said_to)
        forkserver.read_signed(said)  # its number
        print("ended as", forkserver.read_signed(said))
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True,
        env=runner_environment(tmp_path), timeout=60,
    )  # fmt: skip
    assert "ended as 1" in done.stdout
    assert done.stderr == ""
