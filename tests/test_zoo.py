"""The packages under plugins/zoo, which are installed separately: small, and right."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, pip_install

from seqbench.plugins.discovery import load_plugins
from seqbench.suite.validate import load_suite

ZOO = sorted(path.parent for path in (ROOT / "plugins" / "zoo").glob("*/pyproject.toml"))
#: What each needs beside torch: asked for by name, so that torch itself stays as it is.
PUBLISHED = {
    "seqbench-ncps": ("ncps",),
    "seqbench-mambapy": ("mambapy",),
    "seqbench-xlstm": ("xlstm", "mlstm_kernels"),
    "seqbench-s5": ("s5-pytorch", "einops"),
    "seqbench-torchmetrics": ("torchmetrics", "lightning-utilities"),
}


def test_there_is_a_zoo() -> None:
    assert len(ZOO) >= 8
    assert set(PUBLISHED) <= {path.name for path in ZOO}


@pytest.mark.parametrize("package", ZOO, ids=lambda path: path.name)
def test_a_package_is_small_and_says_what_it_is(package: Path) -> None:
    sources = [*package.rglob("*.py"), package / "pyproject.toml"]
    assert sum(len(path.read_text("utf-8").splitlines()) for path in sources) < 120
    page = (ROOT / "docs" / "zoo.md").read_text("utf-8")
    assert f"(../plugins/zoo/{package.name})" in page
    assert (package / "README.md").read_text("utf-8").startswith(f"# {package.name}\n")


@pytest.mark.slow
@pytest.mark.parametrize("package", ZOO, ids=lambda path: path.name)
def test_a_package_installs_with_pip_and_passes_its_tests(
    package: Path, site: Path, seqbench_cli: Callable[..., Any]
) -> None:
    """Its tests are those of conformance, and more."""
    pip_install(site, package, *map(Path, PUBLISHED.get(package.name, ())))
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
def test_the_suite_of_the_zoo_is_valid(site: Path) -> None:
    pip_install(site, *ZOO)
    suite = load_suite(ROOT / "suites" / "zoo.yaml", registry=load_plugins())
    assert len(suite.models) >= 8
