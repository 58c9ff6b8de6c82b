"""What the tests share: real plugin packages in a folder of their own, and the real program."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


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
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for plugin packages that this process and the programs it starts import from."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", path)
    yield folder
    for name in {file.stem for file in folder.glob("*.py")}:
        sys.modules.pop(name, None)


@pytest.fixture
def seqbench_cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the program in ``tmp_path``; every option of subprocess.run can be given."""

    def call(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "seqbench", *map(str, arguments)]
        given = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 240, **options}
        return subprocess.run(command, **given)  # type: ignore[call-overload,no-any-return]

    return call


@pytest.fixture
def write_suite(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a suite file and returns its path."""

    def write(text: str, name: str = "tiny.yaml") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write
