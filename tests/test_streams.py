"""The program with standard streams that are closed, full, without a reader, or not UTF-8."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import install_encoder, runner_environment

from seqbench.report.text import clean, command_line

#: The smallest run: it trains one model.
TINY = """
    name: tiny
    datasets: [{parity: {length: 4, train_size: 100, validation_size: 50, test_size: 50}}]
    models: [MODEL]
    train: {epochs: 1, batch_size: 50}
    seeds: 1
    measure: [accuracy]
    """

LATIN_1 = os.fsdecode(b"caf\xe9.yaml")


def shell(folder: Path, line: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of sh in which ``seqbench`` is the program."""
    program = f'seqbench() {{ {shlex.quote(sys.executable)} -m seqbench "$@"; }}\n'
    environment = {**runner_environment(folder), **variables}
    return subprocess.run(
        ["sh", "-c", program + line], cwd=folder, env=environment, capture_output=True, timeout=120
    )


@pytest.mark.parametrize(
    "closed", [pytest.param("<&- 2>&-", marks=pytest.mark.slow), "<&- >&- 2>&-"]
)
def test_closed_streams_do_not_matter(closed: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(textwrap.dedent(TINY).replace("MODEL", "gru"))
    done = shell(tmp_path, f"seqbench run tiny.yaml {closed}")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (b"test accuracy" in done.stdout) == (">&- 2" not in closed)
    (trial,) = tmp_path.glob("results/tiny/*/trials/*.json")
    assert json.loads(trial.read_text())["status"] == "ok"


STAR = r"""
    import torch

    class Star(torch.nn.Linear):
        def forward(self, x):
            print("\N{BLACK STAR}")
            return super().forward(x)
    """


def test_a_run_survives_its_reader_and_any_encoding(site: Path, tmp_path: Path) -> None:
    """``2>&1 | head``; a suite with a Latin-1 name, a label and a log that ASCII cannot show."""
    install_encoder(site, "star", "Star", STAR)
    text = textwrap.dedent(TINY).replace("MODEL", "{star: , label: ★}")
    (tmp_path / LATIN_1).write_text(text, encoding="utf-8")
    line = "(seqbench run caf*.yaml 2>&1; echo $? > code) | head -n 1"
    done = shell(tmp_path, line, PYTHONIOENCODING="ascii")
    assert done.stdout == b"starting workers (loading torch)\n"
    assert (tmp_path / "code").read_text() == "0\n"
    (run,) = tmp_path.glob("results/tiny/*")
    state = json.loads((run / "run.json").read_text())
    assert (state["status"], state["file"]) == ("finished", LATIN_1)
    (log,) = run.glob("logs/star-*-s0.log")
    assert "★\n" in log.read_text("utf-8")


def test_output_without_a_reader_is_not_a_failure(finished: Path, tmp_path: Path) -> None:
    done = shell(tmp_path, "(seqbench show; echo $? >&2) | true")
    assert (finished.is_dir(), done.stderr) == (True, b"0\n")


@pytest.mark.parametrize(
    ("encoding", "arguments", "shown"),
    [
        ("ascii", "", r"\u2605 \xe9 +-"),
        ("ascii", "--format csv", r",\u2605 \xe9 +-,"),
        ("cp1252", "--format markdown", "| \\u2605 é ± |"),
        ("utf-8", "--format latex", "$\\star$ é $\\pm$ &"),
    ],
)  # fmt: skip
def test_what_an_encoding_lacks_is_shown_in_plain_characters(
    encoding: str, arguments: str, shown: str, finished: Path, tmp_path: Path
) -> None:
    plan = json.loads((finished / "plan.json").read_text())
    plan["cases"][0]["label"] = "★ é ±"
    (finished / "plan.json").write_text(json.dumps(plan))
    done = shell(tmp_path, f"seqbench show {arguments}", PYTHONIOENCODING=encoding)
    assert shown in done.stdout.decode(encoding)
    assert done.stderr == b""


def test_a_suite_with_a_name_in_latin_1(tmp_path: Path) -> None:
    (tmp_path / LATIN_1).write_text(textwrap.dedent(TINY).replace("MODEL", "gru"))
    done = shell(tmp_path, "seqbench validate caf*.yaml")
    assert done.stdout == b"caf\\xe9.yaml: valid: 1 case, 1 trial\n"
    (tmp_path / LATIN_1).write_bytes(b"name: caf\xe9\n")
    done = shell(tmp_path, "seqbench validate caf*.yaml")
    assert done.stderr.startswith(b"error: 'caf\\udce9.yaml':1:10: the file is not UTF-8 text")


def test_a_command_with_a_name_in_latin_1_can_be_copied(tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    name = os.fsdecode(b"it's \xe9.yaml")
    line = clean(command_line(["printf", "%s", name]))
    assert subprocess.run(["bash", "-c", line], capture_output=True).stdout == os.fsencode(name)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", ["show", "show --format json", "--help"])
def test_an_output_that_cannot_be_written_is_one_line(
    arguments: str, finished: Path, tmp_path: Path
) -> None:
    done = shell(tmp_path, f"seqbench {arguments} > /dev/full")
    line = b"error: cannot write to the standard output: No space left on device\n"
    assert (done.returncode, done.stderr, finished.is_dir()) == (1, line, True)


@pytest.mark.parametrize(
    ("name", "code", "problem"),
    [
        ("table.png", 2, "--svg table.png: writes SVG only; name a file that ends in .svg"),
        ("nope/table.svg", 2, "--svg nope/table.svg: the folder nope does not exist"),
        ("/proc/table.svg", 1, "cannot write /proc/table.svg: "),
    ],
)
def test_a_picture_that_cannot_be_written_is_one_line(
    name: str, code: int, problem: str, finished: Path, seqbench_program: Callable[..., Any]
) -> None:
    done = seqbench_program("show", finished, "--svg", name)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(f"error: {problem}")
    assert done.stderr.count("\n") == 1
    assert not Path(name).exists()


@pytest.mark.parametrize("arguments", ["show", "run quick", "check gru", "selftest --quick"])
def test_a_deleted_working_folder_is_one_line(arguments: str, tmp_path: Path) -> None:
    done = shell(tmp_path, f"mkdir gone; cd gone; rmdir ../gone; seqbench {arguments}")
    assert done.returncode in (1, 2)
    line = b"error: the working folder no longer exists; change to another one\n"
    assert done.stderr.endswith(line)
    assert b"Traceback" not in done.stderr
