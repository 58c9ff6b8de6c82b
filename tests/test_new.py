"""`seqbench new`: what it writes installs, passes its own tests and runs as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from keyword import iskeyword
from pathlib import Path
from typing import Any

import pytest
from conftest import pip_install
from hypothesis import given
from hypothesis import strategies as st

from seqbench.errors import UsageError
from seqbench.plugins.scaffold.package import _words


@pytest.mark.parametrize(
    ("kind", "name", "passed"),
    [
        pytest.param("model", "leaky-One", "18 passed, 2 skipped", marks=pytest.mark.slow),
        pytest.param("dataset", "first.token", "7 passed", marks=pytest.mark.slow),
        pytest.param("dataset --unequal", "ragged", "8 passed", marks=pytest.mark.slow),
        pytest.param("metric", "worst-Recall", "9 passed", marks=pytest.mark.slow),
        pytest.param("report", "best.cases", "7 passed", marks=pytest.mark.slow),
    ],
)
def test_a_new_package_passes_its_tests_and_runs(
    kind: str,
    name: str,
    passed: str,
    site: Path,
    seqbench_cli: Callable[..., Any],
    tmp_path: Path,
) -> None:
    kind, *options = kind.split()
    made = seqbench_cli("new", kind, *options, name)
    assert made.returncode == 0, made.stderr
    folder = tmp_path / _words(name)["distribution"]
    assert f"next: cd {folder.name}" in made.stdout
    pip_install(site, folder)
    own = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(site)},
    )  # fmt: skip
    assert passed in own.stdout, own.stdout
    quick = ("--seeds", "1", "--set", "train.epochs=1", "--set", "measure=[accuracy]")
    done = seqbench_cli("run", folder / "suite.yaml", *quick)
    assert done.returncode == 0, done.stderr
    shown = ("show", "--format", name) if kind == "report" else ("show",)
    assert ("parity" if kind == "report" else name) in seqbench_cli(*shown).stdout
    assert seqbench_cli("check", "--kind", kind, name).returncode == 0
    again = seqbench_cli("new", kind, name)
    assert again.returncode == 2
    assert "is already offered by" in again.stderr


def test_nothing_is_overwritten(seqbench_cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "seqbench-mine").mkdir()
    done = seqbench_cli("new", "model", "mine")
    assert done.returncode == 2
    assert "seqbench-mine already exists; not overwritten" in done.stderr
    assert list((tmp_path / "seqbench-mine").iterdir()) == []
    taken = seqbench_cli("new", "model", "LSTM")
    assert "a model 'lstm' is already offered by seqbench" in taken.stderr
    for kind, reserved in (("metric", "latency"), ("report", "table")):
        refused = seqbench_cli("new", kind, reserved)
        assert refused.returncode == 2
        assert f"the {kind} name {reserved!r} is reserved by seqbench" in refused.stderr
    shadowing = seqbench_cli("new", "dataset", "builtin")
    assert shadowing.returncode == 2
    assert "a package seqbench_builtin is already installed" in shadowing.stderr


@given(name=st.text(max_size=80) | st.from_regex(r"[A-Za-z][\w.-]{0,20}", fullmatch=True))
def test_any_name_is_refused_or_makes_an_importable_module(name: str) -> None:
    try:
        words = _words(name)
    except UsageError:
        return
    assert words["module"].isidentifier()
    assert words["class_name"].isidentifier()
    assert not iskeyword(words["class_name"])
    assert f"test_{words['identifier']}".isidentifier()
    assert "/" not in words["distribution"]
