"""The walks in docs/walks, and the commands of the gallery: they run, and print what is shown."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from conftest import ROOT, install, pip_install, runner_environment

from seqbench.cli import cli
from seqbench.plugins.discovery import load_plugins
from seqbench.report.charts.kinds import KINDS
from seqbench.suite.validate import load_suite

WALKS = sorted((ROOT / "docs" / "walks").glob("*.md"))
GALLERY = ROOT / "docs" / "gallery.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`([\w./-]+\.(?:py|ya?ml))`")

#: Added to every run that measures, which then takes seconds. The figures differ, the words do not.
TINY = (
    "--set train.epochs=1 --set measure.latency.budget=500ms --set measure.latency.processes=3 "
    "--set measure.latency.warm_up=50ms"
)

#: Offers the name of the researcher's model, to validate the suite without that package.
MINE = """
    import seqbench

    @seqbench.hookimpl
    def seqbench_models():
        return [seqbench.ModelSpec("mine", build="x:Y", parameters={"hidden_size": 64})]
    """


def files(page: Path) -> dict[str, str]:
    """The files to save: each block of YAML or Python, by the last file name before it."""
    text = page.read_text("utf-8")
    return {
        FILE.findall(text[: match.start()])[-1]: match[2]
        for match in BLOCK.finditer(text)
        if match[1] in ("yaml", "python")
    }


def steps(page: Path) -> list[tuple[str, list[str]]]:
    """Each command of the console, with the lines that the page shows below it."""
    found: list[tuple[str, list[str]]] = []
    for language, code in BLOCK.findall(page.read_text("utf-8")):
        for line in code.splitlines() if language == "console" else []:
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def commands(page: Path) -> list[str]:
    """Every command line of a page: those of the console, of shells, and of a CI job."""
    found = [command for command, _ in steps(page)]
    for language, code in BLOCK.findall(page.read_text("utf-8")):
        if language == "sh":
            found += code.splitlines()
    for name, text in files(page).items():
        if name.startswith(".github"):
            jobs = yaml.safe_load(text)["jobs"].values()
            found += [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    return [part.strip() for line in found for part in re.split(r"[;|]|>.*", line) if part]


def parse(words: list[str]) -> None:
    """Parses a command line of seqbench as click does, without running it."""
    command: click.Command = cli
    while isinstance(command, click.Group):
        name, *words = words
        command = command.commands[name]
    context = command.make_context(name, words)
    if command.name == "plot":
        assert context.params["words"][-1] in KINDS


@pytest.mark.parametrize("page", [*WALKS, GALLERY], ids=lambda page: page.stem)
def test_commands_parse_and_suites_are_valid(
    page: Path, tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, "mine", {"mine_offer": MINE}, "mine = mine_offer")
    monkeypatch.chdir(tmp_path)
    registry = load_plugins()
    for name, text in files(page).items():
        if name.startswith(".github"):
            continue
        Path(name).write_text(text, encoding="utf-8")
        if name.endswith(".yaml"):
            load_suite(tmp_path / name, registry=registry)
    parsed = 0
    for line in commands(page):
        words = shlex.split(line, comments=True)
        if words and words[0] == "seqbench":
            parse(words[1:])
            parsed += 1
    assert parsed > 5


@pytest.fixture
def shell(tmp_path: Path, site: Path) -> dict[str, str]:
    """Variables for a shell in which `seqbench`, `python` and `pytest-benchmark` are ours."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, words in {
        "seqbench": "-m seqbench",
        "python": "",
        "pytest-benchmark": "-m pytest_benchmark",
    }.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        program.chmod(0o755)
    variables = runner_environment(tmp_path, site)
    return {**variables, "PATH": os.pathsep.join([str(folder), variables["PATH"]])}


@pytest.mark.slow
@pytest.mark.parametrize("page", WALKS, ids=lambda page: page.stem)
def test_the_walk_works(page: Path, tmp_path: Path, site: Path, shell: dict[str, str]) -> None:
    """Every command is run, in order, and prints what the page shows, apart from the figures."""
    pytest.importorskip("vl_convert", reason="the walks draw charts")
    folder = tmp_path / "walk"
    folder.mkdir()
    for name, text in files(page).items():
        if not name.startswith(".github"):
            (folder / name).write_text(text, encoding="utf-8")
    for command, shown in steps(page):
        if command.startswith("python -m pip install -e "):
            pip_install(site, folder / command.split()[-1])
            continue
        if "measure=" not in command:
            command = command.replace("seqbench run ", f"seqbench run {TINY} ")
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=shell, timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        missing = starts(shown) - starts(done.stdout.splitlines())
        assert not missing, f"{command}: shown, but not printed: {missing}\n{done.stdout}"
        missing = headings(shown) - headings(done.stdout.splitlines())
        assert not missing, f"{command}: headings not printed: {missing}\n{done.stdout}"


def starts(lines: list[str]) -> set[str]:
    """The first word of each line that is neither a heading nor continues another one; of a line of
    a few words without figures (`exit code 1` is one, too), all of it.
    """
    found = set()
    for line in lines:
        if not line.strip() or line.startswith((" ", "…", "─")):
            continue
        exact = line.startswith("exit code") or not re.search(r"\d|  ", line)
        found.add(line.strip() if exact and len(line.split()) < 4 else line.split()[0])
        found.add(line.split()[0])
    return found


def headings(lines: list[str]) -> set[str]:
    """The words above each rule, up to an empty line; units depend on how large the figures are."""
    found: set[str] = set()
    for number, line in enumerate(lines):
        if not line.startswith("───"):
            continue
        above = lines[:number]
        while above and above[-1].strip() and not above[-1].startswith("…"):
            found.update(re.findall(r"[a-z][a-z-]+", above.pop()))
    return found - {"interval", "step", "ms", "ns"}
