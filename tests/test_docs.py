"""The docs are held to the code: their snippets run, their commands exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, pip_install, runner_environment

from seqbench import plugins
from seqbench.cli import cli
from seqbench.suite import load_suite

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SETUP = "python -m pip install -e . && seqbench run suites/fashion.yaml"
TEST = 'python -m pip install -e ".[test]" && python -m pytest'


def blocks(page: Path, language: str) -> list[str]:
    return [code for kind, code in BLOCK.findall(page.read_text("utf-8")) if kind == language]


def named_blocks(page: Path) -> dict[str, list[str]]:
    """The code blocks of a page by the file name that the text before them gives."""
    text, found = page.read_text("utf-8"), {}
    for match in BLOCK.finditer(text):
        names = re.findall(r"`([\w/-]+\.(?:py|toml|yaml))`", text[: match.start()].split("```")[-1])
        if names:
            found.setdefault(names[-1], []).append(match[2])
    return found


def test_the_readme_starts_with_the_two_lines() -> None:
    screen = (ROOT / "README.md").read_text("utf-8").splitlines()[:30]
    assert any(SETUP in line for line in screen)
    assert any(TEST in line for line in screen)
    assert "FINDING" not in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_docs_exists(page: Path) -> None:
    commands = re.findall(r"`?seqbench (\w+)", "\n".join(blocks(page, "console")))
    commands += re.findall(r"`seqbench (\w+)", page.read_text("utf-8"))
    assert set(commands) <= set(cli.commands)


def test_suites_in_the_docs_are_valid(tmp_path: Path) -> None:
    registry, count = plugins.load(), 0
    for page in (ROOT / "README.md", ROOT / "docs" / "suites.md"):
        for text in blocks(page, "yaml"):
            if text.startswith("# not run"):
                continue
            path = tmp_path / "suite.yaml"
            path.write_text(text, encoding="utf-8")
            load_suite(path, registry=registry)
            count += 1
    assert count


def test_the_plugin_tutorial_works_from_its_text_alone(
    tmp_path: Path, site: Path, seqbench_cli: Callable[..., Any]
) -> None:
    """Its files are written, installed with pip, and its suite is run."""
    files = named_blocks(ROOT / "docs" / "plugins.md")
    model, data = tmp_path / "my-model", tmp_path / "my-copy"
    (model / "my_model").mkdir(parents=True)
    (data / "my_copy").mkdir(parents=True)
    project = files["pyproject.toml"][0]
    (model / "pyproject.toml").write_text(project)
    (data / "pyproject.toml").write_text(
        project.replace("my-model", "my-copy").replace("my_model", "my_copy")
    )
    for name, (code, *_) in files.items():
        if name.endswith(".py"):
            folder = model if name.startswith("my_model") else data
            (folder / name).write_text(code)
    suite = files["leaky.yaml"][0].replace("datasets:", "datasets:\n  - first", 1)
    (tmp_path / "leaky.yaml").write_text(suite)
    pip_install(site, model, data)
    listed = seqbench_cli("plugins").stdout
    assert "my-model 0.1.0" in listed
    tests_of_its_own = ("test_leaky.py", "test_speed.py")
    for name in tests_of_its_own:
        (tmp_path / name).write_text(files[name][0])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests_of_its_own]
    tests = subprocess.run(
        command,
        cwd=tmp_path,
        env=runner_environment(tmp_path, site),
        capture_output=True,
        text=True,
    )
    assert "16 passed, 2 skipped" in tests.stdout
    done = seqbench_cli("run", "leaky.yaml", "--seeds", "1")
    assert done.returncode == 0, done.stderr
    assert "leaky keep=0.9" in done.stdout


@pytest.mark.slow
def test_the_sample_package_installs_with_pip_and_runs_by_name(
    tmp_path: Path, site: Path, seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path]
) -> None:
    sample = ROOT / "plugins" / "seqbench-mingru"
    sources = [*sample.rglob("*.py"), sample / "pyproject.toml"]
    assert sum(len(path.read_text("utf-8").splitlines()) for path in sources) < 80
    pip_install(site, sample)
    suite = write_suite(
        """
        datasets: [{parity: {length: 4, train_size: 200}}]
        models: [mingru, {lstm: {hidden_size: 8}}]
        train: {epochs: 1, batch_size: 50}
        seeds: 1
        measure: {latency: {budget: 100ms, processes: 2, warm_up: 50ms}, memory: }
        """
    )
    done = seqbench_cli("run", suite)
    assert done.returncode == 0, done.stderr
    assert "mingru" in done.stdout
    own = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(sample)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(site)},
    )  # fmt: skip
    assert own.returncode == 0, own.stdout


def test_every_test_that_a_promise_names_is_there() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    there = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").glob("*.py"))
    assert len(named) > 15
    assert {name for name in named if f"def {name}(" not in there} == set()
