"""Who imports whom, and that what must start at once imports nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import seqbench

PACKAGE = ROOT / "seqbench"
#: For each part of the core, the parts it may import (directly).
ALLOWED = {
    "errors": set(),
    "types": {"errors"},
    "hookspecs": {"types"},
    "plugins": {"hookspecs", "types", "errors"},
    "parameters": {"types"},
    "records": {"types", "errors"},
    "stats": set(),
    "comparing": {"stats", "records"},
    "suite": {"suite", "plugins", "parameters", "types", "errors"},
    "labels": {"suite", "plugins"},
    "provenance": {"records", "errors"},
    "plan": {"provenance", "suite", "labels", "plugins", "parameters", "records", "types",
             "errors"},
    "runner": {"data", "executors", "records", "store", "errors", "work", "measuring"},
    "alone": set(),
    "conformance": {"conformance", "data", "errors", "measure", "models", "parameters", "plugins",
                    "records", "training", "types"},
    "new": {"types", "errors"},
    "pytest_plugin": {"conformance", "errors", "measure", "models", "plugins", "training", "types"},
    "testing": {"conformance", "plugins"},
    "measuring": {"alone", "data", "executors", "measure", "records", "work"},
    "work": {"data", "executors", "records", "store"},
    "server": set(),
    "logs": set(),
    "store": {"logs", "records", "errors"},
    "runs": {"store", "errors"},
    "selection": set(),
    "resume": {"plan", "provenance", "records", "selection", "store", "errors"},
    "report": {"types", "stats", "comparing", "records", "errors", "report", "targets"},
    "targets": {"records", "errors"},
    "data": {"types", "records", "errors", "targets"},
    "models": {"types", "records", "errors", "targets"},
    "training": {"types", "errors"},
    "nvidia": {"errors"},
    "system": set(),
    "doctor": {"nvidia", "system", "measure", "errors"},
    "measure": {"measure", "data", "models", "training", "types", "records", "errors", "stats",
                "targets", "provenance", "comparing", "process", "worker", "channel", "nvidia"},
    "worker": {"provenance", "channel", "orphans", "data", "environment", "errors", "measure",
               "models", "records", "training", "doctor", "conformance"},
    "process": {"worker", "channel", "logs", "orphans", "errors"},
    "executors": {"executors", "process", "records", "errors", "measure", "system"},
}  # fmt: skip


def imported_parts(path: Path) -> set[str]:
    """The parts of seqbench that a module imports anywhere, TYPE_CHECKING blocks aside."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    inside = {name.split(".")[1] for name in names if name.startswith("seqbench.")}
    return {
        part for part in inside if (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").exists()
    }


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path: Path) -> None:
    part, imported = part_of(path), imported_parts(path)
    if part in ALLOWED:
        assert imported <= ALLOWED[part]
    if part not in ("cli", "__main__"):
        assert "cli" not in imported
    if part == "report":
        assert "runner" not in imported


def test_the_core_imports_nothing_under_plugins() -> None:
    shipped = {path.name for path in (ROOT / "plugins").iterdir()}
    assert "seqbench_recurrent" in shipped
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", [])]
            names.append(getattr(node, "module", None) or "")
            assert not {name.split(".")[0] for name in names} & shipped, path


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["plugins"], ["models"], ["datasets"], ["list"], ["schema"],
     ["validate", str(ROOT / "suites" / "fashion.yaml")],
     ["run", "--dry-run", str(ROOT / "suites" / "fashion.yaml")]],
    ids=lambda arguments: " ".join(arguments[:2]),
)  # fmt: skip
def test_light_commands_import_no_torch(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['seqbench', *sys.argv[1:]]\n"
        "from seqbench.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'torchvision', 'scipy', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "loaded = {'rich', 'pydantic', 'yaml', 'pluggy'} & set(sys.modules)\n"
        "assert not loaded or '--help' not in sys.argv, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_public_api_is_exactly_what_the_module_says() -> None:
    for name in seqbench.__all__:
        assert getattr(seqbench, name) is not None
    assert set(seqbench.__all__) == {
        "DataContext", "DatasetSpec", "MetricSpec", "ModelSpec", "Param", "ReportSpec", "Run",
        "SeqbenchError", "Splits", "Task", "__version__", "hookimpl", "run",
    }  # fmt: skip
