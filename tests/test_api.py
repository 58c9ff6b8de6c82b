"""The Python API: suites as dictionaries, resuming, tables, progress."""

from __future__ import annotations

import copy
import csv
import inspect
import json
import os
import pydoc
import re
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

import seqbench
from seqbench.plugins.discovery import load_plugins
from seqbench.report.exports.html import to_html
from seqbench.suite.files import suite_from_dict, suite_from_text
from seqbench.suite.validate import validated

SUITE: dict[str, Any] = {
    "name": "small",
    "datasets": [
        {"parity": {"length": 4, "train_size": 200, "validation_size": 50, "test_size": 50}}
    ],
    "models": [{"rnn": {"hidden_size": 4}}, {"gru": {"hidden_size": 4}}],
    "train": {"epochs": 1, "batch_size": 20},
    "seeds": 2,
    "measure": ["accuracy"],
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> seqbench.Run:
    """A finished run of a suite given as a dictionary, in a folder of its own."""
    return seqbench.run(SUITE, out=tmp_path_factory.mktemp("small") / "results")


# Finding the API.


def test_dir_and_help_show_what_is_loaded_when_first_used() -> None:
    assert set(seqbench.__all__) <= set(dir(seqbench))
    shown = pydoc.plain(pydoc.render_doc(seqbench))
    assert "run(suite: " in shown
    assert "Run a suite and return its results" in shown
    assert "class Run(" in shown
    assert "A run and its results." in shown


def test_the_names_of_parameters_are_those_of_the_command_line() -> None:
    from seqbench.cli import cli

    parameters = inspect.signature(seqbench.run).parameters
    of_command = {str(parameter.name) for parameter in cli.commands["run"].params}
    only_there = {"yes", "dry_run", "as_json", "help"}
    assert set(parameters) == (of_command - only_there) | {"allow_many", "progress"}
    documented = inspect.getdoc(seqbench.run) or ""
    assert all(re.search(rf"\b{name}\b.*: ", documented) for name in parameters)


def test_importing_seqbench_and_looking_around_loads_nothing_heavy() -> None:
    code = (
        "import sys, seqbench; dir(seqbench)\n"
        "heavy = {'torch', 'numpy', 'rich', 'pydantic', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "seqbench.run, seqbench.Run\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# A suite as a dictionary.


def problems_of(suite: dict[str, Any]) -> list[str]:
    with pytest.raises(seqbench.SeqbenchError) as caught:
        validated(suite_from_dict(suite), registry=load_plugins())
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"seeds": 0}, "suite: seeds: must be from 1 to 100,000, not 0"),
        ({"trian": {}}, "suite: trian: unknown key 'trian'; did you mean 'train'?"),
        ({"train": {"epochs": "1e3"}},
         "suite: train.epochs: must be a whole number, not text '1e3'"),
        ({"models": ["gru", {"rnn": {"hidden_size": 0}}]},
         "suite: models.1.rnn.hidden_size: 0 is less than 1"),
        ({"models": [{"gru": {"dropout": float("nan")}}]},
         "suite: models.0.gru.dropout: nan is not a finite number"),
        ({"seeds": 10**5000}, "suite: seeds: the whole number is too large"),
        ({"train": {5: 1}}, "suite: train: a key must be text, not the number 5"),
        ({"measure": {"accuracy"}},
         "suite: measure: must not be an object of type set (a suite holds text, numbers, true, "
         "false, null, lists and mappings)"),
    ],
)  # fmt: skip
def test_a_problem_in_a_dictionary_names_its_key(change: dict[str, Any], problem: str) -> None:
    assert problems_of({**SUITE, **change}) == [problem]


def test_a_dictionary_that_holds_itself_is_refused() -> None:
    suite: dict[str, Any] = {}
    suite["notes"] = suite
    assert problems_of(suite) == ["suite: notes.notes.notes: nested more than 50 levels deep"]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(
        ["1e-3", "no", "12:30", "0o17", "~", "null", "1_000", "<<", "- a", "2026-1-1"]
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text("abc1e"), inner), max_leaves=8
)


@given(VALUES)
def test_the_stored_text_of_a_dictionary_says_the_same(value: Any) -> None:
    """A resumed suite uses the same figures, to the last digit."""
    text = suite_from_dict({"key": value}).text
    read = suite_from_text(text, "suite.yaml").root.plain()["key"]
    assert repr(read) == repr(value)


def to_plain(value: Any) -> Any:
    """A value of a dictionary as the suite has it."""
    text = suite_from_dict({"key": value}).text
    return suite_from_text(text, "suite.yaml").root.plain()["key"]


def test_a_dictionary_takes_numbers_of_numpy_tuples_and_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    (tmp_path / "base.yaml").write_text("datasets: [parity]\nseeds: 7\n")
    monkeypatch.chdir(tmp_path)
    assert to_plain(np.bool_(True)) is True
    assert to_plain(np.arange(3)) == to_plain(range(3)) == [0, 1, 2]
    assert to_plain(np.longdouble(1)) == 1.0
    sizes = (np.int64(4), 8)
    given = {"include": Path("base.yaml"), "models": [{"gru": {"hidden_size": sizes}}]}
    suite = validated(suite_from_dict(given), registry=load_plugins())
    assert suite.models[0].params["hidden_size"] == [4, 8]
    assert len(suite.seeds) == 7
    assert suite.name == "suite"


def test_a_run_of_a_dictionary_is_that_of_its_yaml(small: seqbench.Run, tmp_path: Path) -> None:
    (tmp_path / "same.yaml").write_text((small.path / "suite.yaml").read_text())
    of_file = seqbench.run(tmp_path / "same.yaml", out=tmp_path / "results", models="gru", seeds=1)
    (trial,) = of_file.document["trials"]
    before = next(one for one in small.document["trials"] if one["id"] == trial["id"])
    assert trial["metrics"] == before["metrics"]
    assert small.document["file"] == ""


def test_a_run_of_a_dictionary_is_resumed_from_what_it_has_stored(
    small: seqbench.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from another folder, and without a warning that a file is gone."""
    lost = next((small.path / "trials").glob("gru-*-s1.json"))
    before = lost.read_text()
    lost.unlink()
    opened = seqbench.Run.open(small.path)
    assert f"`seqbench run --resume {small.path}`" in to_html(opened.document)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed = seqbench.run(resume=small.path)
    assert resumed.ok
    assert resumed.path == small.path
    assert json.loads(lost.read_text())["metrics"] == json.loads(before)["metrics"]
    results = small.path.parents[1]
    assert seqbench.run(SUITE, resume=True, out=results).path == small.path
    assert seqbench.run(resume=small.path.name[-4:], out=results).path == small.path
    assert json.loads((small.path / "run.json").read_text())["file"] == ""


# Errors.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give a suite, or a run to resume: seqbench.run(resume=True)"),
        ({"suite": 5}, "suite must be a path, a name or a dictionary, not 5"),
        ({"suite": "missing.yaml"},
         "missing.yaml: cannot read 'missing.yaml': No such file or directory"),
        ({"suite": SUITE, "seeds": 0}, "seeds must be a whole number of at least 1, not 0"),
        ({"suite": SUITE, "jobs": "2"}, "jobs must be a whole number of at least 1, not '2'"),
        ({"suite": SUITE, "models": 5}, "models must be a list of names, not 5"),
        ({"suite": SUITE, "data_dir": "/missing"}, "data_dir: no folder '/missing'"),
        ({"suite": SUITE, "retry_failed": True}, "retry_failed needs resume"),
        ({"resume": 5.0}, "resume must be a path, not 5.0"),
    ],
)  # fmt: skip
def test_an_invalid_argument_is_an_error_of_one_line(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(seqbench.SeqbenchError) as caught:
        seqbench.run(**arguments, out=tmp_path / "results")
    assert str(caught.value) == message
    assert not (tmp_path / "results").exists()


# Tables.


def test_the_table_holds_plain_values(small: seqbench.Run) -> None:
    rows = small.table()
    assert [row["label"] for row in rows] == ["rnn", "gru"]
    assert len({tuple(row) for row in rows}) == 1
    assert {type(value) for row in rows for value in row.values()} <= {
        str, int, float, bool, type(None)
    }  # fmt: skip
    for row, case in zip(rows, small.document["cases"], strict=True):
        metric = case["metric"]
        assert metric is not None
        assert (row["accuracy"], row["accuracy_low"]) == (metric["mean"], metric["low"])
        assert row["parameters"] == case["parameters"]
        assert row["model.hidden_size"] == 4
        assert row["dataset.length"] == 4
        assert row["seeds_ok"] == 2


def test_the_table_has_the_figures_of_the_csv_export(
    seqbench_cli: Callable[..., Any],
) -> None:
    reference = ROOT / "results" / "reference" / "fashion"
    rows = seqbench.Run.open(reference).table()
    exported = list(
        csv.DictReader(seqbench_cli("show", reference, "--format", "csv").stdout.split("\n"))
    )
    shared = [name for name in exported[0] if name in rows[0] and name not in ("run", "label")]
    assert len(shared) > 30
    for row, texts in zip(rows, exported, strict=True):
        own = {name: "" if row[name] is None else str(row[name]) for name in shared}
        assert own == {name: texts[name] for name in shared}


def test_the_table_is_a_data_frame() -> None:
    pandas = pytest.importorskip("pandas")
    run = seqbench.Run.open(ROOT / "results" / "reference" / "fashion")
    frame = pandas.DataFrame(run.table())
    assert frame["latency_batch_1_s"].dtype == float
    assert frame["parameters"].dtype == int
    assert frame.set_index("label").loc["gru", "accuracy"] == pytest.approx(0.883, abs=1e-3)


def test_a_run_says_what_it_is_in_one_line(small: seqbench.Run) -> None:
    assert repr(small) == f"<Run of small: finished, 4 of 4 trials ok, {small.path}>"
    assert str(small) == repr(small)
    document: Any = copy.deepcopy(small.document)
    document["trials"][0]["status"] = "diverged"
    document.update(missing=1, status="interrupted")
    shown = str(seqbench.Run(small.path, document))
    assert shown.startswith("<Run of small: interrupted, 3 of 5 trials ok, ")


# Progress, and what a run leaves behind in its process.

ONE: dict[str, Any] = {"seeds": 1, "models": "rnn"}


def test_progress_is_plain_lines_without_a_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for progress in (None, False):
        seqbench.run(SUITE, **ONE, out=tmp_path, progress=progress)
        assert capfd.readouterr() == ("", "")
    seqbench.run(SUITE, **ONE, out=tmp_path, progress=True)
    stdout, stderr = capfd.readouterr()
    assert stdout == ""
    assert "\x1b" not in stderr
    assert "  ok rnn on parity, seed 0: accuracy" in stderr


def test_a_run_leaves_its_process_as_it_was(tmp_path: Path) -> None:
    """Also runs in other threads, and several at once."""

    def state() -> list[object]:
        numbers = set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}
        handlers = {number: signal.getsignal(number) for number in numbers}
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        own = warnings.showwarning, sys.modules["__main__"], sys.stdout, sys.stderr, Path.cwd()
        return [handlers, blocked, own, dict(os.environ), set(threading.enumerate())]

    before = state()
    found: list[seqbench.Run] = [seqbench.run(SUITE, **ONE, out=tmp_path, progress=True)]

    def start() -> None:
        found.append(seqbench.run(SUITE, **ONE, out=tmp_path, progress=True))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.ok for run in found] == [True] * 3
    assert len({run.path for run in found}) == 3
    assert state() == before
