"""The docs are held to the code: their snippets run, their commands exist."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, pip_install, runner_environment

import seqbench
from seqbench.cli import cli
from seqbench.plugins import hookspecs
from seqbench.plugins.discovery import load_plugins
from seqbench.plugins.registry import KINDS, plural
from seqbench.suite.validate import load_suite
from seqbench.types import TASK_KINDS

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "walks").glob("*.md")),
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
METHODS = ("focal", "lion", "trapezoid")
SETUP = "python -m pip install -e . && seqbench run suites/fashion.yaml"
TEST = 'python -m pip install -e ".[test]" && python -m pytest'


def blocks(page: Path, language: str) -> list[str]:
    return [code for kind, code in BLOCK.findall(page.read_text("utf-8")) if kind == language]


def named_blocks(page: Path) -> dict[str, list[str]]:
    """The code blocks of a page by the file name that the text before them gives."""
    text = page.read_text("utf-8")
    found: dict[str, list[str]] = {}
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
    registry, count = load_plugins(), 0
    for page in (ROOT / "README.md", ROOT / "docs" / "suites.md"):
        for text in blocks(page, "yaml"):
            if text.startswith("# not run"):
                continue
            path = tmp_path / "suite.yaml"
            path.write_text(text, encoding="utf-8")
            load_suite(path, registry=registry)
            count += 1
    assert count


def test_the_snippets_of_the_page_on_python_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the keys of the table that the page lists are those of a run."""
    page = ROOT / "docs" / "python.md"
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in blocks(page, "python"):
        exec(code, names)
    assert names["run"].ok
    printed = capsys.readouterr().out
    assert "<Run of sizes: finished, 2 of 2 trials ok, " in printed
    for comment in re.findall(r"print\(error\)  # (.*)", page.read_text("utf-8")):
        assert comment in printed
    table = page.read_text("utf-8").split("| key |")[1].split("\n#")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    listed = {key for row in rows for key in re.findall(r"`([\w.]+)`", row)}
    fashion = seqbench.Run.open(ROOT / "results" / "reference" / "fashion").table()[0]
    absent = {"seeds_failed", "steps_to_target", "time_to_target_s"}
    assert len(listed) > 25
    assert listed - absent <= set(fashion)


@pytest.mark.slow
def test_the_plugin_tutorial_works_from_its_text_alone(
    tmp_path: Path, site: Path, seqbench_cli: Callable[..., Any]
) -> None:
    """Its files are written, installed with pip, and its suite is run."""
    files = named_blocks(ROOT / "docs" / "plugins.md")
    project = files["pyproject.toml"][0]
    folders = set()
    for name, (code, *_) in files.items():
        module, inside, _ = name.partition("/")
        if inside:
            distribution = module.replace("_", "-")
            folder = tmp_path / distribution
            (folder / module).mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(code)
            own = project.replace("my-model", distribution).replace("my_model", module)
            (folder / "pyproject.toml").write_text(own)
            folders.add(folder)
    more = "datasets:\n  - first\n  - running_parity: {fresh: [false, true]}"
    suite = files["leaky.yaml"][0].replace("datasets:", more, 1)
    asked = "metrics: [worst_recall]\nreports: [winners]\n"
    suite = suite.replace("budget: 1s", "budget: 1s, processes: 2, runtimes: [eager, exported]")
    (tmp_path / "leaky.yaml").write_text(suite + asked)
    pip_install(site, *folders)
    listed = seqbench_cli("plugins").stdout
    for distribution in (
        "my-model",
        "my-copy",
        "my-recall",
        "my-winners",
        "my-export",
        "my-running",
        "my-lion",
        "my-linear",
    ):
        assert f"{distribution} 0.1.0" in listed
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
    assert "18 passed, 3 skipped" in tests.stdout
    done = seqbench_cli("run", "leaky.yaml", "--seeds", "1")
    assert done.returncode == 0, done.stderr
    assert "leaky keep=0.9" in done.stdout
    assert "worst_recall" in done.stdout
    assert "exported" in done.stdout
    assert seqbench_cli("show", "--format", "winners").stdout.startswith("- first: ")
    for name in ("worst_recall", "winners", "exported", "running_parity", *METHODS):
        checked = seqbench_cli("check", name)
        assert checked.returncode == 0, checked.stdout
        assert "warning" not in checked.stdout
    if importlib.util.find_spec("sklearn") is not None:
        checked = seqbench_cli("check", "linear")
        assert checked.returncode == 0, checked.stdout
    (written,) = (tmp_path / "results").rglob("reports/winners.md")
    assert written.read_text("utf-8").startswith("- first: ")


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_of_the_hooks_is_that_of_the_code(kind: str) -> None:
    """Each hook with its signature, each field of its declaration with its default."""
    page = (ROOT / "docs" / "hooks.md").read_text("utf-8")
    hook, spec = getattr(hookspecs, f"seqbench_{plural(kind)}"), KINDS[kind]
    heading = f"## `{hook.__name__}{inspect.signature(hook)}`".replace("'", "")
    section = page.split(heading)[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ?(.*?) ?\|", section, re.MULTILINE))
    fields = {field.name: field for field in dataclasses.fields(spec)}
    assert list(rows) == [spec.__name__, *fields]
    for name, field in fields.items():
        default = "" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
        if field.default_factory is not dataclasses.MISSING:
            default = f"`{field.default_factory()!r}`"
        assert rows[name] == ("all twelve" if field.default == TASK_KINDS else default), name
    (example,) = [code for language, code in BLOCK.findall(section) if language == "python"]
    found: dict[str, Any] = {}
    exec(example, found)
    assert isinstance(found[hook.__name__]()[0], spec)


def test_the_reference_says_which_version_of_the_hooks_it_is() -> None:
    page = (ROOT / "docs" / "hooks.md").read_text("utf-8")
    assert f"This is version {hookspecs.API} of the hooks." in page
    assert f"`SEQBENCH_API = {hookspecs.API}`" in page


@pytest.mark.slow
def test_the_sample_package_installs_with_pip_and_runs_by_name(
    tmp_path: Path, site: Path, seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path]
) -> None:
    sample = ROOT / "plugins" / "zoo" / "seqbench-mingru"
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


WALK = """
import json, click
from seqbench.cli import cli

def walk(command, name="seqbench"):
    yield name, command.get_help(click.Context(command, info_name=name))
    for inner in getattr(command, "commands", {}).values():
        yield from walk(inner, f"{name} {inner.name}")

print(json.dumps(dict(walk(cli))))
"""


def test_help_and_schemas_are_complete_without_docstrings(tmp_path: Path) -> None:
    """``PYTHONOPTIMIZE=2`` strips all docstrings."""
    commands = [["-c", WALK], ["-m", "seqbench", "schema"]]
    commands.append([*commands[1], "--document"])
    for command in commands:
        with_docstrings, without = (
            subprocess.run(
                [sys.executable, *options, *command], capture_output=True, text=True, timeout=60,
                env=runner_environment(tmp_path), check=True,
            ).stdout
            for options in ([], ["-OO"])
        )  # fmt: skip
        assert without == with_docstrings
