"""Provenance of figures: sources, versions, and changes during a run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import install

from seqbench.errors import PluginError
from seqbench.plugins.choice import Choice
from seqbench.plugins.discovery import load_plugins
from seqbench.plugins.provenance import check_unchanged, source_of, version_of
from seqbench.store.files import stamp

IMPORT_PATH = "adapter:build"


@pytest.fixture
def adapter(site: Path) -> Path:
    """An adapter, and the package that it wraps."""
    install(site, "adapter", {"adapter": "def build(): ..."}, "adapter = adapter")
    install(site, "wrapped", {"wrapped": "x = 1"}, "")
    metadata = site / "adapter-1.0.dist-info" / "METADATA"
    requires = ("wrapped (>=0.5)", "torch>=2", 'other; extra == "test"')
    lines = [f"Requires-Dist: {one}\n" for one in requires]
    metadata.write_text(metadata.read_text() + "".join(lines))
    return site


def set_version(site: Path, distribution: str, version: str) -> None:
    metadata = site / f"{distribution}-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", f"Version: {version}"))


def test_a_source_is_that_of_the_adapter_and_of_what_it_wraps(adapter: Path) -> None:
    before = source_of(IMPORT_PATH, "adapter")
    assert before == source_of(IMPORT_PATH, "adapter")
    set_version(adapter, "wrapped", "1.1")
    wrapped = source_of(IMPORT_PATH, "adapter")
    (adapter / "adapter.py").write_text("def build(): 1\n")
    assert len({before, wrapped, source_of(IMPORT_PATH, "adapter")}) == 3
    assert source_of("no_such_module:build", "none-such") == ""


def source_after(site: Path, edited: str, target: str) -> str:
    """The fingerprint of ``target`` in the distribution ``mine`` after an edit to a file."""
    path = site / edited
    path.write_text(path.read_text() + "# edited\n")
    return source_of(target, "mine")


def test_an_entry_point_that_names_the_outermost_package_covers_all_of_it(site: Path) -> None:
    """The digest is over name, length and content of each file: runs made before can be resumed."""
    files = {"mine/__init__": "import mine.layer\n", "mine/layer": "x = 1\n"}
    install(site, "mine", files, "mine = mine")
    text = b"__init__.py 18\nimport mine.layer\nlayer.py 6\nx = 1\n"
    assert source_of("mine.layer:x", "mine") == hashlib.sha256(text).hexdigest()[:10]


def test_an_entry_point_that_names_a_subpackage_covers_that_subpackage(site: Path) -> None:
    files = {
        "mine/__init__": "", "mine/models/__init__": "", "mine/metrics/__init__": "",
        "mine/models/layer": "from mine.models import sizes\nfrom . import sizes\n",
        "mine/models/sizes": "", "mine/metrics/meter": "", "mine/file": "import mine.file\n",
    }  # fmt: skip
    entries = "models = mine.models\nmetrics = mine.metrics\nfile = mine.file"
    install(site, "mine", files, entries)
    model, file = "mine.models.layer:build", "mine.file:build"
    before = source_of(model, "mine"), source_of(file, "mine")
    assert len(set(before)) == 2
    for other in ("mine/metrics/meter.py", "mine/metrics/__init__.py"):
        assert source_after(site, other, model) == before[0]
    assert source_after(site, "mine/models/sizes.py", model) != before[0]
    assert source_of(file, "mine") == before[1]
    assert source_after(site, "mine/file.py", file) != before[1]


@pytest.mark.parametrize(
    "code",
    ["from mine.nn import x", "import mine.nn", "from ..nn import x", "from .. import nn",
     "def build():\n    from mine import nn", "import mine", "def"],
)  # fmt: skip
def test_a_module_that_imports_its_siblings_is_covered_with_all_of_its_package(
    site: Path, code: str
) -> None:
    files = {"mine/__init__": "", "mine/plugin/__init__": "", "mine/nn": "x = 1\n"}
    install(site, "mine", {**files, "mine/plugin/build": code}, "mine = mine.plugin")
    before = source_of("mine.plugin.build:build", "mine")
    assert source_after(site, "mine/nn.py", "mine.plugin.build:build") != before


def test_a_function_outside_of_its_entry_points_module_covers_both(site: Path) -> None:
    files = {"mine": "", "mine_layers/__init__": "", "mine_layers/a": "", "mine_layers/b": ""}
    install(site, "mine", files, "mine = mine")
    path = "mine_layers.a:build"
    found = [source_of(path, "mine")]
    for edited in ("mine.py", "mine_layers/a.py", "mine_layers/b.py"):
        found.append(source_after(site, edited, path))
    assert len(set(found)) == 4


def test_no_built_in_plugin_is_covered_with_another(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    content = Path.read_bytes

    def noted(path: Path) -> bytes:
        read.append(path)
        return content(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    for plugin in load_plugins().plugins:
        if plugin.origin.distribution == "seqbench" and plugin.origin.entry_point != "reports":
            read.clear()
            source_of(plugin.offers[0].import_path, "seqbench")
            folders = {path.parent.name for path in read} - {"seqbench_builtin"}
            assert folders == {plugin.origin.entry_point}


def test_a_plugin_changed_during_a_run_is_refused(adapter: Path) -> None:
    choice = Choice(
        "a", {}, IMPORT_PATH, "adapter", "1.0", source=source_of(IMPORT_PATH, "adapter")
    )
    check_unchanged(choice)
    check_unchanged(Choice("a", {}, "none:such", "none-such", "1.0"))
    set_version(adapter, "wrapped", "1.1")
    with pytest.raises(PluginError, match=r"adapter 1\.0 was edited, or its requirements were"):
        check_unchanged(choice)
    set_version(adapter, "adapter", "2.0")
    assert version_of("adapter") == "2.0"
    with pytest.raises(PluginError, match=r"adapter 1\.0 was replaced during the run"):
        check_unchanged(choice)


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"1234")
    os.utime(path, ns=(10**18, 10**18))
    assert stamp(path) == (4, 10**18)
    path.write_bytes(b"4321")
    assert stamp(path) != (4, 10**18)


@pytest.mark.slow
def test_a_model_that_is_edited_once_it_is_trained_is_not_measured(
    site: Path, seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path]
) -> None:
    """It edits itself at the end of its training, so that the weights are of another source."""
    layer = """
        import pathlib, torch

        class Layer(torch.nn.Linear):
            def train(self, mode=True):
                if not mode and pathlib.Path(__file__).parent.joinpath("edit").exists():
                    source = pathlib.Path(__file__)
                    source.write_text(source.read_text() + "# edited\\n")
                return super().train(mode)
        """
    declared = """
        import seqbench

        @seqbench.hookimpl
        def seqbench_models():
            return [seqbench.ModelSpec("editing", build="editing_layer:Layer",
                                       parameters={"out_features": 4})]
        """
    install(site, "editing", {"editing": declared, "editing_layer": layer}, "editing = editing")
    (site / "edit").touch()
    suite = write_suite(
        """
        datasets: [{parity: {length: 3, train_size: 100}}]
        models: [editing]
        train: {epochs: 1, batch_size: 50}
        seeds: 1
        measure: [memory]
        """
    )
    done = seqbench_cli("run", suite)
    assert done.returncode == 1
    assert "was edited, or its requirements were updated, during the run" in " ".join(
        done.stdout.split()
    )


def test_the_init_file_of_a_package_around_a_plugin_is_covered(site: Path) -> None:
    """Python runs it before the plugin: what it changes may change every figure."""
    (site / "around").mkdir()
    (site / "around" / "__init__.py").write_text("")
    (site / "around" / "inner.py").write_text("def build():\n    pass\n")
    install(site, "around", {}, "inner = around.inner")
    before = source_of("around.inner:build", "around")
    (site / "around" / "__init__.py").write_text("import math\n")
    assert source_of("around.inner:build", "around") != before
