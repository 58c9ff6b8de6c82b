"""The Python API: suites as dictionaries, resuming, tables, progress, notebooks."""

from __future__ import annotations

import copy
import csv
import inspect
import json
import os
import pty
import pydoc
import re
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, processes_of, runner_environment
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


class Page(HTMLParser):
    """The tags, attributes and text of a page; all tags must be closed."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_notebook_shows_a_table_for_each_dataset_in_its_own_colors() -> None:
    run = seqbench.Run.open(ROOT / "results" / "reference" / "fashion")
    page = Page(run._repr_html_())
    assert page.tags.count("table") == 1
    assert page.tags.count("tr") == 5
    assert "88.3 ± 1.0" in page.text
    assert page.text.index("Accuracy: ") < page.text.index("88.3 ± 1.0")  # the verdict comes first
    assert {name for name, _ in page.attributes} == {"style"}
    styles = {value for _, value in page.attributes}
    assert styles == {"overflow-x: auto", "text-align: left", "text-align: right"}
    document: Any = copy.deepcopy(run.document)
    document["cases"][0]["dataset_params"] = {"view": "columns"}
    assert Page(to_html(document)).tags.count("table") == 2


def test_text_of_strangers_is_shown_as_text() -> None:
    document: Any = copy.deepcopy(
        seqbench.Run.open(ROOT / "results" / "reference" / "fashion").document
    )
    attack = "<script>alert(1)</script><img src=x onerror=y>"
    document.update(notes=attack, run=attack, suite=attack, status="interrupted", file=attack)
    for case in document["cases"]:
        case.update(label=attack, dataset=attack, note=attack, params={"x": attack}, device=attack)
        case["warnings"] = [attack]
    document["trials"][0].update(status="failed", reason=attack)
    page = Page(to_html(document, [attack]))
    assert not {"script", "img"} & set(page.tags)
    assert page.text.count("<script>") > 5
    assert page.text.index(attack) < page.text.index("test accuracy")  # the sentence comes first


def test_a_run_without_results_has_a_page() -> None:
    document: Any = copy.deepcopy(
        seqbench.Run.open(ROOT / "results" / "reference" / "fashion").document
    )
    document.update(trials=[], status="interrupted")
    page = Page(to_html(document))
    assert "No trial has finished." in page.text
    assert "This run was interrupted" in page.text
    assert "table" not in page.tags


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


SCRIPT = (
    f"import seqbench\nprint('started')\nrun = seqbench.run({SUITE!r}, seeds=1)\nprint(run.ok)\n"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "stdin"),
    [(["-c", SCRIPT], ""), ([], SCRIPT), (["-i"], SCRIPT), (["-i", "-c", SCRIPT], "print(run)\n")],
    ids=["-c", "stdin", "-i", "-i -c"],
)
def test_a_run_needs_no_main_guard(options: list[str], stdin: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *options], input=stdin, cwd=tmp_path, env=runner_environment(tmp_path),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == ["started", "True"]
    assert done.stdout.count("started") == 1
    assert "Traceback" not in done.stderr
    assert processes_of(tmp_path) == []


def test_a_script_on_a_terminal_shows_bars_and_clears_them(tmp_path: Path) -> None:
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(tmp_path)
        os.execve(sys.executable, [sys.executable, "-c", SCRIPT], runner_environment(tmp_path))
    output = b""
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:  # on Linux, how a terminal without a program ends
            break
        if not read:
            break
        output += read
    assert os.waitpid(pid, 0)[1] == 0
    os.close(terminal)
    assert "━".encode() in output
    assert output.rstrip().endswith(b"True")
    last = output.decode(errors="replace").rpartition("━")[2]
    assert "\x1b[2K" in last  # the line of the bar is erased


NOTEBOOK = [
    f"import os, signal, threading, time, seqbench\nfrom pathlib import Path\nSUITE = {SUITE!r}",
    "print('before')\nrun = seqbench.run(SUITE)\nrun",
    "seqbench.run({**SUITE, 'seeds': 0})",
    "import seqbench.runner.start as start\n"
    "phases = start.carry_out\n"
    "def failing(run):\n"
    "    start.prepare_datasets(run)\n"
    "    raise seqbench.SeqbenchError('no more')\n"
    "start.carry_out = failing\n"
    "seqbench.run(SUITE)",
    "start.carry_out = phases\n"
    "def interrupt():\n"
    "    while not any('train:' in log.read_text() for log in Path().glob('*/long/*/run.log')):\n"
    "        time.sleep(0.05)\n"
    "    os.kill(os.getpid(), signal.SIGINT)\n"
    "threading.Thread(target=interrupt).start()\n"
    "seqbench.run({**SUITE, 'name': 'long', 'train': {'epochs': 5000}})",
    "run = seqbench.run(resume=True, overrides=['train.epochs=1'])\nprint(run.ok)",
    "signal.getsignal(signal.SIGINT) is signal.default_int_handler",
]


@pytest.mark.slow
def test_a_notebook_shows_progress_and_keeps_none_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a real kernel: a run, an invalid suite, an error, an interrupt, and a resumed run."""
    pytest.importorskip("ipykernel")
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    cells = [nbformat.v4.new_code_cell(code) for code in NOTEBOOK]
    notebook = nbformat.v4.new_notebook(cells=cells)
    updates: list[str] = []

    class Client(nbclient.NotebookClient):  # type: ignore[misc,name-defined]
        def process_message(self, message: Any, cell: Any, index: int) -> Any:
            if message["msg_type"] == "update_display_data":
                updates.append(message["content"]["data"]["text/plain"])
            return super().process_message(message, cell, index)

    for name, value in runner_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    resources = {"metadata": {"path": str(tmp_path)}}
    Client(notebook, timeout=120, allow_errors=True, resources=resources).execute()
    nbformat.validate(notebook)
    assert any("training" in text and "━" in text for text in updates)
    outputs = [
        [output for output in cell.outputs if output.get("data", {}).get("text/plain") != ""]
        for cell in notebook.cells
    ]
    for cell in notebook.cells:
        assert all(output.data["text/html"] == "" for output in cell.outputs
                   if output.get("data", {}).get("text/plain") == "")  # fmt: skip
    _, ran, invalid, failed, interrupted, resumed, handler = outputs
    assert [output.output_type for output in ran] == ["stream", "execute_result"]
    assert "<table>" in ran[1].data["text/html"]
    assert [output.ename for output in invalid] == ["SuiteError"]
    assert len(notebook.cells[2].outputs) == 1
    assert [output.ename for output in failed] == ["SeqbenchError"]
    hint, interrupt = interrupted
    assert hint.text.startswith("resume with: seqbench.run(resume='results/long/")
    assert interrupt.ename == "KeyboardInterrupt"
    assert resumed[-1].text == "True\n"
    assert handler[0].data["text/plain"] == "True"
    assert processes_of(tmp_path) == []
