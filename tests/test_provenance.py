"""What a figure comes from: source, versions, and what was changed while a suite ran."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import install

from seqbench.errors import PluginError
from seqbench.plugins.choice import Choice
from seqbench.plugins.provenance import check_unchanged, source_of, version_of
from seqbench.store.files import stamp

TARGET = "adapter:build"


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


def install_anew(site: Path, distribution: str, version: str) -> None:
    metadata = site / f"{distribution}-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", f"Version: {version}"))


def test_a_source_is_that_of_the_adapter_and_of_what_it_wraps(adapter: Path) -> None:
    before = source_of(TARGET, "adapter")
    assert before == source_of(TARGET, "adapter")
    install_anew(adapter, "wrapped", "1.1")
    wrapped = source_of(TARGET, "adapter")
    (adapter / "adapter.py").write_text("def build(): 1\n")
    assert len({before, wrapped, source_of(TARGET, "adapter")}) == 3
    assert source_of("no_such_module:build", "none-such") == ""


def test_what_was_changed_while_a_suite_ran_is_refused(adapter: Path) -> None:
    choice = Choice("a", {}, TARGET, "adapter", "1.0", source=source_of(TARGET, "adapter"))
    check_unchanged(choice)
    check_unchanged(Choice("a", {}, "none:such", "none-such", "1.0"))
    install_anew(adapter, "wrapped", "1.1")
    with pytest.raises(PluginError, match=r"adapter 1\.0 was edited, or what it requires"):
        check_unchanged(choice)
    install_anew(adapter, "adapter", "2.0")
    assert version_of("adapter") == "2.0"
    with pytest.raises(PluginError, match=r"adapter 1\.0 was replaced while the suite ran"):
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
    """Its own last step of training edits it, so that the weights are of another source."""
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
    assert "was edited, or what it requires installed anew, while the suite ran" in " ".join(
        done.stdout.split()
    )
