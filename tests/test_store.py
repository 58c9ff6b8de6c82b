"""What a run's folder does with its files: written whole, read and checked, held by one runner."""

from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from small_splits import prepared

from seqbench.errors import StoreError
from seqbench.plan.cases import Report
from seqbench.plugins.choice import Choice
from seqbench.records import CaseRecord, Comparison, Measurement, Metrics, TrialRecord
from seqbench.store.files import read_compressed, replace_file, write_compressed
from seqbench.store.run_folder import RunFolder
from seqbench.training.data import _store, open_splits
from seqbench.training.job import _save
from seqbench.training.prepared import PreparedSplits
from seqbench.types import Task

TRAINED: Metrics = {"value": 0.5, "last": 0.5, "best": None}


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"scores": []}, "scores: "),
        ({"scores": {"id": 3}}, "scores.id: "),
        ({"scores": {"id": {"status": "ok", "reason": ""}}}, "scores.id.value: "),
        ({"scores": {"id": {"status": "ok", "value": None, "reason": ""}}}, "scores.id.value: "),
        ({"weights_stamp": 5}, "weights_stamp: "),
        ({"metrics": None}, "metrics: "),
        ({"metrics": {**TRAINED, "value": "0.5"}}, r"metrics.value: Input should be a number"),
        ({"metrics": {"value": 0.5, "last": 0.5}}, "metrics.best: "),
        ({"metrics": {**TRAINED, "confusion": [[1], [True]]}}, r"metrics.confusion\[1\]\[0\]"),
        ({"curve": [{"epoch": 1, "train_loss": 0.1}]}, r"curve\[0\].seconds: "),
        ({"status": "good"}, "status: "),
        ({"metrics": {**TRAINED, "value": math.nan}}, "metrics.value: Input should be a number"),
        ({"seconds": math.inf}, "seconds: Input should be a number"),
        ({"id": "gru-1-s1"}, "contains the record of another trial"),
        ({"case": "lstm-1"}, "its case and seed are not those of its id"),
    ],
)  # fmt: skip
def test_a_record_with_a_wrong_kind_of_value_is_set_aside(
    tmp_path: Path, wrong: dict[str, Any], key: str
) -> None:
    folder = RunFolder.create(tmp_path, "small", "", {"cases": [], "trials": []})
    folder.write_trial(TrialRecord("gru-1-s0", "gru-1", 0, "ok", metrics=TRAINED))
    (path,) = folder.trial_files()
    assert [record.id for record in folder.trials()] == ["gru-1-s0"]
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    with pytest.warns(UserWarning, match=rf"gru-1-s0.json:? {key}.*; left out"):
        assert list(folder.trials()) == []
    with folder.locked(), pytest.warns(UserWarning, match="; set aside as gru-1-s0.damaged"):
        assert list(folder.trials()) == []
    assert path.with_suffix(".damaged").exists()


TIMING = {
    **dict.fromkeys(("median_s", "low_s", "high_s", "p90_s", "p99_s", "spread"), 1.0),
    "n": 3, "processes": 2, "unstable": False, "steady": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"measurements": {}}, "measurements: "),
        ({"measurements": [{"quantity": "macs"}]}, r"measurements\[0\].unit: "),
        ({"measurements": [{"quantity": "macs", "unit": "1", "values": {"macs": "many"}}]},
         r"measurements\[0\].values.macs: Input should be a valid integer"),
        ({"jobs": [{"key": "memory"}]}, r"jobs\[0\].fingerprint: "),
        ({"measurements": [{"quantity": "latency", "unit": "s", "settings": {"batch_size": 1},
                            "values": TIMING}]},
         r"measurements\[0\].settings.threads: Field required"),
    ],
)  # fmt: skip
def test_a_case_with_a_wrong_kind_of_value_is_left_out(
    tmp_path: Path, wrong: dict[str, Any], key: str
) -> None:
    folder = RunFolder.create(tmp_path, "small", "", {"cases": [], "trials": []})
    folder.write_case(CaseRecord("gru-1", (Measurement("macs", "1", values={"macs": 3}),)))
    assert [record.case for record in folder.cases()] == ["gru-1"]
    path = folder.path / "cases" / "gru-1.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    with pytest.warns(UserWarning, match=rf"gru-1.json: {key}.*; left out"):
        assert list(folder.cases()) == []


def test_comparisons_with_a_wrong_kind_of_value_are_left_out(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "small", "", {"cases": [], "trials": []})
    pair = Comparison("latency", "a", "b", "ratio", 1.5, 1.4, 1.6, 0.01, "worse", 7, met="1f")
    folder.write_comparisons("latency-cpu", "1f", [pair])
    assert (list(folder.comparisons()), folder.compared("latency-cpu")) == ([pair], "1f")
    path = folder.path / "comparisons" / "latency-cpu.json"
    path.write_text(path.read_text().replace("1.5", '"1.5"'))
    with pytest.warns(
        UserWarning, match=r"latency-cpu.json: comparisons\[0\].effect: .*; left out"
    ):
        assert list(folder.comparisons()) == []


CHOICE = {"name": "gru", "params": {}, "distribution": "seqbench", "version": "0.1.0"}
CASE = {"id": "gru-1", "label": "gru", "model": CHOICE, "dataset": CHOICE, "device": "cpu",
        "train": {"batch_size": 8}}  # fmt: skip
PLAN = {"cases": [CASE], "trials": [{"id": "gru-1-s0", "case": "gru-1", "seed": 0}]}


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"trials": {}}, "trials: "),
        ({"trials": [{"id": "gru-1-s0", "case": "gru-1"}]}, r"trials\[0\].seed: "),
        ({"trials": [{"id": "x-s0", "case": "x", "seed": 0}]}, r"trials\[0\].case: there is no"),
        ({"cases": [{**CASE, "model": "gru"}]}, r"cases\[0\].model: "),
        ({"cases": [{**CASE, "train": {"batch_size": "8"}}]}, r"cases\[0\].train.batch_size: "),
        ({"target": {"metric": "accuracy", "value": None}}, "target.value: "),
    ],
)  # fmt: skip
def test_a_plan_with_a_wrong_kind_of_value_is_damaged(
    tmp_path: Path, wrong: dict[str, Any], key: str
) -> None:
    folder = RunFolder.create(tmp_path, "small", "", PLAN)
    assert folder.plan() == PLAN
    folder.write_plan("", {**PLAN, **wrong})
    with pytest.raises(StoreError, match=rf"plan.json: {key}.*; restore it with `seqbench run"):
        folder.plan()
    with pytest.warns(UserWarning, match=rf"plan.json: {key}"):
        assert folder.plan_or_empty() == {"cases": [], "trials": []}


def test_what_a_later_version_adds_to_a_record_does_not_matter(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "small", "", {"cases": [], "trials": []})
    record = TrialRecord("gru-1-s0", "gru-1", 0, "ok", metrics=TRAINED)
    folder.write_trial(record)
    (path,) = folder.trial_files()
    metrics = {**TRAINED, "energy": [1]}
    later = {**json.loads(path.read_text()), "metrics": metrics, "energy": {"j": 1}}
    path.write_text(json.dumps(later))
    assert folder.trial(path) == dataclasses.replace(record, metrics=cast("Metrics", metrics))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with replace_file(path) as partial:
        partial.write_text("first")
        assert not path.exists()
    with pytest.raises(FileNotFoundError), replace_file(path) as partial:
        partial.write_bytes(b"second" + (tmp_path / "nothing").read_bytes())
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]
    mask = os.umask(0o027)
    try:
        with replace_file(path) as partial:
            partial.write_text("third")
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_in_the_place_of_a_new_file_is_refused(tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.write_text("gold")
    path = tmp_path / "file"
    (tmp_path / "link").symlink_to(treasure)
    with pytest.raises(OSError, match="symbolic link"), replace_file(path) as partial:
        (tmp_path / "link").replace(partial)
    assert not path.exists()
    assert not partial.is_symlink()
    assert treasure.read_text() == "gold"


TASK = Task(
    input="features", input_size=2, length=3, target="label", output_size=2, class_names=("a", "b")
)


def splits() -> PreparedSplits:
    pair = torch.zeros(4, 3, 2), torch.tensor([0, 1, 0, 1])
    return prepared(TASK, pair, pair)


def write_record(path: Path) -> None:
    folder = RunFolder(path.parent.parent)
    folder.write_trial(TrialRecord(path.stem, "gru-1", 0, "skipped"))


def write_the_state(path: Path) -> None:
    RunFolder(path.parent).set_state("finished")


def write_a_report(path: Path) -> None:
    report = Report(path.stem, Choice("r", {}, "r:r", "r", "1"), path.suffix[1:])
    RunFolder(path.parent.parent).write_report(report, "text")


def write_samples(path: Path) -> None:
    write_compressed(path, {"met": "1f"})


def write_prepared(path: Path) -> None:
    _store(splits(), Choice("toy", {}, "t:t", "t", "1"), path)


def write_weights(path: Path) -> None:
    _save(torch.nn.Linear(2, 2), path)


#: Each kind of file, and what writes it.
WRITERS: dict[str, Callable[[Path], None]] = {
    "run/trials/gru-1-s0.json": write_record,
    "run/run.json": write_the_state,
    "run/reports/table.md": write_a_report,
    "run/samples/gru-1.json.gz": write_samples,
    "prepared/toy-1.safetensors": write_prepared,
    "run/weights/gru-1-s0.safetensors": write_weights,
}


@pytest.mark.filterwarnings("ignore::seqbench.store.json_files.DamagedRecord")
@pytest.mark.parametrize("name", WRITERS)
def test_no_link_is_followed_when_a_file_is_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    treasure = tmp_path / "treasure"
    treasure.write_text("gold")
    planted = [path, path.with_suffix(".partial"), path.with_name(f".{path.name}.partial")]
    for link in planted:
        link.symlink_to(treasure)
    WRITERS[name](path)
    assert treasure.read_text() == "gold"
    assert not path.is_symlink()
    assert path.stat().st_size
    assert set(path.parent.iterdir()) <= set(planted) | {tmp_path / "run" / "run.lock"}


@pytest.mark.filterwarnings("ignore::seqbench.store.json_files.DamagedRecord")
@pytest.mark.parametrize("name", WRITERS)
def test_every_file_has_the_mode_that_the_user_asks_for(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    mask = os.umask(0o027)
    try:
        WRITERS[name](path)
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_a_killed_writer_left_is_cleared(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "small", "", {"cases": [], "trials": []})
    names = [name for name in WRITERS if name.startswith("run/")]
    left = []
    for path in [folder.path / name.removeprefix("run/") for name in names]:
        with replace_file(path) as partial:
            partial.write_text("whole")
        left.append(partial)
    left.append(folder.path / "weights" / ".tmpaB3dEf")
    for partial in left:
        partial.write_text("a part")
    with folder.locked():
        assert not [partial for partial in left if partial.exists()]
        assert all((folder.path / name.removeprefix("run/")).exists() for name in names)


def store_often(path: Path) -> None:
    for _ in range(20):
        _store(splits(), Choice("toy", {}, "t:t", "t", "1"), path)


def test_processes_that_prepare_the_same_dataset_at_once_all_succeed(tmp_path: Path) -> None:
    path = tmp_path / "toy-1.safetensors"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=store_often, args=(path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert open_splits(path).task == TASK
    assert list(tmp_path.iterdir()) == [path]


def test_compressed_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_compressed(tmp_path / "samples" / "a.json.gz", {"met": "1f", "cells": [1]})
    assert read_compressed(tmp_path / "samples" / "a.json.gz") == {"met": "1f", "cells": [1]}
