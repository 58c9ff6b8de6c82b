"""In which order jobs start."""

from __future__ import annotations

from pathlib import Path

from seqbench.executors import Job, Outcome
from seqbench.executors.local import _Queue


def job(name: str) -> Job:
    return Job(name, name, "train", {}, Path("log"), group=name[0])


def names(queue: _Queue) -> list[str]:
    return [one.id for one in queue.jobs]


def test_every_case_has_its_turn_and_the_longest_go_first() -> None:
    queue = _Queue([job(name) for name in ("a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1")])
    assert names(queue) == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2"]
    for number, seconds in enumerate((1.0, 9.0)):  # a0, then b0; of c nothing is known so far
        queue.heed(Outcome(queue.jobs.pop(0), "ok", seconds=seconds))
        assert names(queue)[0] == ["b0", "c0"][number]
    assert names(queue) == ["c0", "b1", "a1", "c1", "b2", "a2"]
    queue.heed(Outcome(queue.jobs.pop(0), "timeout", seconds=99.0))
    assert names(queue) == ["b1", "a1", "c1", "b2", "a2"]
