"""What is published: wheel and sdist, built and installed outside of the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import DISABLED, ROOT

pytestmark = pytest.mark.slow

#: Other environments have other plugins.
NOT_PASSED = ("PYTHONPATH", DISABLED)
BRIEF = ("--seeds", "1", "--set", "train.epochs=1")


def call(*command: object, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name not in NOT_PASSED}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(source: Path, folder: Path) -> Path:
    """Builds with the hatchling of this environment: no network is needed."""
    call(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--wheel-dir", folder, source, cwd=folder.parent,
    )  # fmt: skip
    (wheel,) = folder.glob("seqbench-*.whl")
    return wheel


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    call(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (archive,) = folder.glob("seqbench-*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment of the wheel, which sees this one's torch but not its seqbench:
    its own packages come first."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    call(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel, cwd=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    shared = [place for place in sys.path if Path(place).name in ("site-packages", "dist-packages")]
    (packages / "shared.pth").write_text("\n".join(shared))
    return python.parent


@pytest.fixture
def seqbench(installed: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs the installed program in an empty folder, without the checkout on its path."""

    def run(*arguments: object) -> str:
        return call(installed / "seqbench", *arguments, cwd=tmp_path)

    return run


def test_the_wheel_holds_two_packages_and_the_shipped_suites(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    assert {name.split("/")[0] for name in names} == {"seqbench", "seqbench_builtin", info}
    suites = {f"seqbench/suites/{path.name}" for path in (ROOT / "suites").iterdir()}
    assert {name for name in names if name.startswith("seqbench/suites/")} == suites
    templates = {"model/pyproject.toml.txt", "dataset/suite.yaml.txt", "suite.yaml.txt"}
    assert {f"seqbench/plugins/scaffold/{name}" for name in templates} <= set(names)
    assert "seqbench/py.typed" in names


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (place,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
    metadata = archive.read(place).decode()
    assert "Project-URL: Homepage, https://github.com/seqbench/seqbench\n" in metadata
    assert "Classifier: Typing :: Typed\n" in metadata
    for minor in (10, 11, 12, 13):
        assert f"Classifier: Programming Language :: Python :: 3.{minor}\n" in metadata


def test_the_sdist_holds_what_the_tests_need_and_makes_the_same_wheel(
    sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    folders = ("seqbench", "plugins", "suites", "tests", "docs", "benchmarks", "results/reference")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    wanted = {path.relative_to(ROOT).as_posix() for path in found if path.suffix != ".pyc"}
    assert wanted | {"README.md", "LICENSE", "pyproject.toml"} <= names
    (tmp_path / "wheels").mkdir()
    made = build_wheel(sdist, tmp_path / "wheels")
    assert zipfile.ZipFile(made).namelist() == zipfile.ZipFile(wheel).namelist()


def test_the_installed_package_is_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    code = "import seqbench, seqbench_builtin as b; print(seqbench.__file__, b.__file__)"
    for place in call(installed / "python", "-I", "-c", code, cwd=tmp_path).split():
        assert Path(place).is_relative_to(installed.parent)


def test_shipped_suites_run_from_an_empty_folder(
    seqbench: Callable[..., str], installed: Path, tmp_path: Path
) -> None:
    assert "fashion-2020-control" in seqbench("suites")
    for name in ("fashion", "fashion-2020", "fashion-2020-control", "quick"):
        assert seqbench("validate", name).startswith(f"{name}: valid: ")
    program = "from seqbench.plugins.zoo import install_command as of; print(of('seqbench-tcn'))"
    assert call(installed / "python", "-c", program, cwd=tmp_path) == (
        "python -m pip install 'seqbench-tcn @ git+https://github.com/seqbench/seqbench"
        "#subdirectory=plugins/zoo/seqbench-tcn'\n"
    )
    quickly = "measure.latency={budget: 100ms, processes: 2, warm_up: 50ms}"
    assert "lstm" in seqbench("run", "quick", "--set", quickly, *BRIEF)
    (run,) = (tmp_path / "results" / "quick").glob("2*")
    assert json.loads((run / "run.json").read_text())["file"] == "quick"
    assert "lstm" in seqbench("run", "quick", "--resume")
    program = "import seqbench; print(seqbench.run('quick', models='gru', seeds=1, " + (
        "overrides=['train.epochs=1', 'measure=[accuracy]']).ok)"
    )
    assert call(installed / "python", "-c", program, cwd=tmp_path) == "True\n"


def test_what_new_writes_runs_from_an_empty_folder(seqbench: Callable[..., str]) -> None:
    assert "seqbench run mine.yaml" in seqbench("new", "suite", "mine")
    assert "3 cases, 9 trials" in seqbench("validate", "mine.yaml")
    assert "my GRU" in seqbench("run", "mine.yaml", "--set", "measure=[accuracy]", *BRIEF)
    assert "seqbench-mine" in seqbench("new", "model", "mine")


@pytest.mark.skipif("SEQBENCH_DATA" not in os.environ, reason="needs Fashion-MNIST")
def test_fashion_runs_from_an_empty_folder(seqbench: Callable[..., str]) -> None:
    text = seqbench("run", "fashion", "--model", "gru", "--set", "measure=[accuracy]", *BRIEF)
    assert "gru" in text
