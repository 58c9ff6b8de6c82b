"""What the tests share: real plugin packages in a folder of their own, and the real program."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from in_process import call_main

from seqbench.plugins.discovery import load_plugins

# Before torch is imported: on small inputs, several threads mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["small_runs"]

ROOT = Path(__file__).parent.parent


#: The variable by which the tests disable plugins that happen to be installed here.
DISABLED = "SEQBENCH_DISABLE_PLUGINS"


@pytest.fixture(scope="session", autouse=True)
def _only_own_plugins() -> Iterator[None]:
    """Tests see only the plugins of seqbench itself and those that they install."""
    found = load_plugins().plugins
    others = {p.origin.distribution for p in found if p.origin.distribution != "seqbench"}
    with pytest.MonkeyPatch.context() as patch:
        if others:
            patch.setenv(DISABLED, ",".join(sorted(others)))
        yield


def enable(distribution: str) -> None:
    """Enable a plugin that a test installs and that is installed here as well."""
    if DISABLED in os.environ:
        names = os.environ[DISABLED].split(",")
        os.environ[DISABLED] = ",".join(name for name in names if name != distribution)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests never touch the user's cache, but share one of their own."""
    before = os.environ.get("SEQBENCH_CACHE")
    os.environ["SEQBENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["SEQBENCH_CACHE"]
    else:
        os.environ["SEQBENCH_CACHE"] = before


def lay(root: Path, files: dict[str, str]) -> Path:
    """Writes files, by their path under ``root``, and returns ``root``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def install(
    site: Path, distribution: str, modules: dict[str, str], entry: str, version: str = "1.0"
) -> None:
    """Lays a package into ``site`` the way pip does: modules and a dist-info folder."""
    for name, code in modules.items():
        path = site / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code), encoding="utf-8")
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[seqbench]\n{entry}\n", encoding="utf-8")
    enable(distribution)


def install_encoder(site: Path, name: str, encoder: str, code: str) -> None:
    """A plugin package that offers one model: the class ``encoder`` of ``code``."""
    declared = f"""
        import seqbench

        @seqbench.hookimpl
        def seqbench_models():
            return [seqbench.ModelSpec("{name}", build="{name}_layer:{encoder}",
                                       parameters={{"out_features": 4}})]
        """
    install(site, name, {name: declared, f"{name}_layer": code}, f"{name} = {name}")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for plugin packages that this process and the programs it starts import from."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", path)
    if DISABLED in os.environ:  # restored after the test
        monkeypatch.setenv(DISABLED, os.environ[DISABLED])
    yield folder
    for name in {file.stem for file in folder.glob("*.py")}:
        sys.modules.pop(name, None)


def runner_environment(folder: Path, *sites: Path) -> dict[str, str]:
    """Variables for a program that works in ``folder``: :func:`processes_of` finds what it starts.

    Args:
        sites: folders with plugin packages.
    """
    (folder / "tmp").mkdir(exist_ok=True)
    path = [*map(str, sites), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "SEQBENCH_TEST": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
    }


def processes_of(folder: Path, patience: float = 5.0) -> list[str]:
    """What programs in ``folder`` have started and still runs; gives it a moment to end."""
    deadline = time.monotonic() + patience
    while True:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                variables = (process / "environ").read_bytes().split(b"\0")
                if f"SEQBENCH_TEST={folder}".encode() in variables:
                    found.append((process / "cmdline").read_text())
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


@pytest.fixture
def seqbench_cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Calls the program in this process, in ``tmp_path`` or another ``cwd``, with more variables.

    Its workers are real processes, but their fork server is shared by all such calls with the same
    variables. What depends on the process of the program itself needs ``seqbench_program``.
    """

    def call(
        *arguments: object, cwd: Path = tmp_path, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return call_main([*map(str, arguments)], cwd, variables)

    return call


@pytest.fixture
def seqbench_program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the program in ``tmp_path``; every option of subprocess.run can be given."""

    def call(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "seqbench", *map(str, arguments)]
        given = {"cwd": tmp_path, "env": runner_environment(tmp_path), "capture_output": True,
                 "text": True, "timeout": 240, **options}  # fmt: skip
        return subprocess.run(command, **given)  # type: ignore[call-overload,no-any-return]

    return call


@contextlib.contextmanager
def without_name_of_test() -> Iterator[None]:
    """Remove the variable that names the current test: the fork server of the workers loads torch
    again for other variables.
    """
    name = "PYTEST_CURRENT_TEST"
    current = os.environ.pop(name, None)
    try:
        yield
    finally:
        if current is not None:
            os.environ[name] = current


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    with without_name_of_test():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, object, object]:
    with without_name_of_test():
        return (yield)


@pytest.fixture
def write_suite(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a suite file and returns its path."""

    def write(text: str, name: str = "tiny.yaml") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


def pip_install(site: Path, *packages: Path, dependencies: bool = False) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet"]
    command += [] if dependencies else ["--no-deps"]
    done = subprocess.run(
        [*command, "--target", str(site), *map(str, packages)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for package in packages:
        enable(package.name)
