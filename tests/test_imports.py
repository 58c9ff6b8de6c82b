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
#: The parts of the core, upper ones first: a part may import from lower lines only, and parts on
#: one line do not import each other (see CONTRIBUTING.md).
ORDER = (
    "cli",
    "api testing",
    "display",
    "runner",
    "executors",
    "measure machine",
    "training report",
    "workers summary",
    "store",
    "plan",
    "suite",
    "plugins devices runtimes",
    "types errors",
    "records quantities stats suggest version docstrings",
)
LEVEL = {part: level for level, line in enumerate(ORDER) for part in line.split()}


def imported_modules(path: Path) -> set[str]:
    """The modules of seqbench that a module imports anywhere, TYPE_CHECKING blocks aside."""
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
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            assert node.module
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                names.add(whole if whole in MODULES else node.module)
    return names & MODULES


def imported_parts(path: Path) -> set[str]:
    """The parts of seqbench that a module imports."""
    return {name.split(".")[1] for name in imported_modules(path) if name != "seqbench"}


def module_name(path: Path) -> str:
    name = ".".join(("seqbench", *path.relative_to(PACKAGE).with_suffix("").parts))
    return name.removesuffix(".__init__")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


MODULES = {module_name(path) for path in modules()}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    part = part_of(path)
    if part in ("__init__", "__main__"):
        return
    for other in imported_parts(path) - {part}:
        assert LEVEL[part] < LEVEL[other], f"{part} must not import {other}"


def test_the_docs_have_the_same_order() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    lines = [" ".join(line.replace(",", " ").split()) for line in text.splitlines()]
    start = lines.index(ORDER[0])
    assert lines[start : start + len(ORDER)] == list(ORDER)


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    graph = {module_name(path): imported_modules(path) for path in modules()}
    waiting = dict(graph)
    while waiting:
        free = [name for name, needed in waiting.items() if not needed & waiting.keys() - {name}]
        assert free, f"an import circle among {', '.join(sorted(waiting))}"
        for name in free:
            del waiting[name]


def test_the_top_level_stays_small() -> None:
    files = [path for path in PACKAGE.glob("*.py") if path.name != "py.typed"]
    folders = [path for path in PACKAGE.iterdir() if list(path.rglob("*.py"))]
    assert all((path / "__init__.py").exists() for path in folders)
    assert len(files) <= 10
    assert len(folders) <= 18


def test_the_core_imports_nothing_under_plugins() -> None:
    shipped = {path.parent.name for path in (ROOT / "plugins").glob("*/*/__init__.py")}
    assert shipped == {"seqbench_builtin"}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            names = [alias.name for alias in node.names]
            names.append(getattr(node, "module", None) or "")
            assert not {name.split(".")[0] for name in names} & shipped, path


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["plugins"], ["models"], ["datasets"], ["list"], ["cache"],
     ["schema"], ["validate", str(ROOT / "suites" / "fashion.yaml")],
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
        "Batch", "DataContext", "DatasetSpec", "Fresh", "LossSpec", "MetricSpec", "ModelSpec",
        "OptimizerSpec", "Param", "PreparedCall", "ReportSpec", "Run", "RuntimeSpec",
        "ScheduleSpec", "SeqbenchError", "Splits", "Task",
        "__version__", "hookimpl", "run",
    }  # fmt: skip


PRETEND = """
import sys
import click  # its own parts for Windows need Windows
sys.platform = "win32"
sys.modules.update(dict.fromkeys(("fcntl", "resource", "termios", "pwd", "grp")))
"""


@pytest.mark.parametrize(
    ("code", "status", "start"),
    [("sys.argv[1:] = ['run', 'quick']; from seqbench.cli import main; main()", 2, "error: "),
     ("import seqbench; seqbench.hookimpl", 0, None),
     ("import seqbench; seqbench.run", 1, "seqbench.errors.UsageError: ")],
    ids=["command line", "plugin", "script"],
)  # fmt: skip
def test_on_windows_one_line_says_what_is_supported(
    code: str, status: int, start: str | None
) -> None:
    done = subprocess.run([sys.executable, "-c", PRETEND + code], capture_output=True, text=True)
    assert done.returncode == status
    expected = f"{start}seqbench runs on Linux and macOS; on Windows, install and run it in WSL"
    lines = done.stderr.splitlines()
    assert not lines if start is None else lines[-1].startswith(expected)
    assert status != 2 or len(lines) == 1
