"""The reader of the raw samples of latency."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import ROOT

from seqbench.stats.timing import latency_summary
from seqbench.store.files import read_compressed, write_compressed
from seqbench.store.json_files import Damaged
from seqbench.store.run_folder import RunFolder
from seqbench.summary.calls import calls_of, read_calls


def made_samples() -> dict[str, object]:
    cell = {"quantity": "latency", "batch_size": 1, "length": 8, "threads": 1, "runtime": "eager"}
    failed = {**cell, "length": 9, "status": "failed", "reason": "too long"}
    blocks = [
        {"cell": 0, "process": 1, "round": 0, "ns": [9000, 5000]},
        {"cell": 0, "process": 0, "round": 1, "ns": [9000, 3000, 4000]},
        {"cell": 0, "process": 0, "round": 0, "ns": [9000, 1000, 2000]},
    ]
    return {"met": "x", "unit": "ns", "dropped": 1, "cells": [cell, failed], "blocks": blocks}


def test_the_first_calls_of_a_block_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "case.json.gz"
    write_compressed(path, made_samples())
    timed, failed = read_calls(path)
    assert timed.quantity == "latency"
    assert timed.settings == {"batch_size": 1, "length": 8, "threads": 1, "runtime": "eager"}
    assert timed.processes == [[(1e-6, 2e-6), (3e-6, 4e-6)], [(5e-6,)]]
    assert timed.seconds == [1e-6, 2e-6, 3e-6, 4e-6, 5e-6]
    assert (timed.status, failed.status, failed.reason) == ("ok", "failed", "too long")
    assert not failed.seconds


def test_the_figures_of_a_run_are_those_of_its_calls(timed: Path) -> None:
    count = 0
    for record in RunFolder.open(timed).cases():
        for calls in calls_of(timed, record):
            (figures,) = (
                one.values
                for one in record.measurements
                if (one.quantity, one.settings) == (calls.quantity, calls.settings)
            )
            assert latency_summary(calls.processes).items() <= figures.items()
            count += 1
    assert count >= 2


def test_a_run_whose_samples_are_missing_says_which_file() -> None:
    path = ROOT / "results" / "reference" / "fashion"
    record = next(iter(RunFolder.open(path).cases()))
    with pytest.raises(Damaged, match=rf"samples.{record.case}\.json\.gz is missing"):
        calls_of(path, record)


def test_samples_of_another_contest_are_refused(timed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(timed, run)
    record = next(iter(RunFolder.open(run).cases()))
    path = run / f"samples/{record.case}.json.gz"
    write_compressed(path, {**read_compressed(path), "met": "other"})
    with pytest.raises(Damaged, match="another contest"):
        calls_of(run, record)


def test_damaged_samples_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "case.json.gz"
    sound = made_samples()
    for broken, words in (
        ({**sound, "dropped": "one"}, "dropped: Input should be a valid integer"),
        ({**sound, "cells": []}, "blocks.0..cell: there is no cell 0"),
        ({"met": "x"}, "dropped: Field required"),
    ):
        write_compressed(path, broken)
        with pytest.raises(Damaged, match=words):
            read_calls(path)
    path.write_bytes(b"\x1f\x8b broken")
    with pytest.raises(Damaged, match="cannot be read"):
        read_calls(path)
