"""The Python API: progress on a terminal, tables and progress in a notebook."""

from __future__ import annotations

import copy
import os
import pty
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, processes_of, runner_environment
from test_api import SUITE

import seqbench
from seqbench.report.exports.html import to_html


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
