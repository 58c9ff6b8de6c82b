"""The answer to an unknown name: the name that was probably meant, or those that exist."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from made_documents import FIGURES, made
from suite_registry import REGISTRY

from seqbench.devices.registry import unknown_device
from seqbench.errors import SuiteError, UsageError
from seqbench.plan.of_suite import as_overrides
from seqbench.report.views.confusion import confusions
from seqbench.store.find import find_run
from seqbench.suggest import nearest, suggested
from seqbench.suite.selection import Selection
from seqbench.suite.validate import parse_suite

TINY = "datasets: [parity]\nmodels: [rnn]\n"


def problem(text: str = TINY, **selection: Any) -> str:
    """The one problem of a suite."""
    with pytest.raises(SuiteError) as raised:
        parse_suite(text, registry=REGISTRY, overrides=as_overrides(Selection(**selection)))
    (line,) = str(raised.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("epochs=2", "'train.epochs'"),
        ("Epochs=2", "'train.epochs'"),
        ("epoch=2", "'train.epochs'"),
        ("bugdet=1s", "'measure.latency.budget'"),
        ("batch_size=8", "'train.batch_size' or 'measure.memory.batch_size'"),
        ("lr=0.1", "'train.optimizer.adam.lr'"),
        ("train.lr=0.1", "'train.optimizer.adam.lr'"),
        ("train.weight_decay=0.1", "'train.optimizer.adam.weight_decay'"),
        ("train={optimizer: adamw, weight_decay: 0.1}", "'train.optimizer.adamw.weight_decay'"),
        ("train.momentum=0.1", "'train.optimizer.sgd.momentum'"),
        ("train.warmup=5", "'train.schedule.cosine.warmup'"),
        ("train={schedule: linear, warmup: 5}", "'train.schedule.linear.warmup'"),
        ("measure={train: {}}", "'training'"),
        ("train.loss=ce", "'cross_entropy'"),
        ("primary_metric=Top", "'top_k'"),
        ("train.seeds=1", "'seeds' at the top level"),
        ("train.epoch=2", "'epochs'"),
        ("modles=[rnn]", "'models'"),
        ("train.optimizer=adamm", "'adam'"),
    ],
)
def test_a_key_is_suggested_wherever_it_belongs(override: str, meant: str) -> None:
    assert problem(overrides=[override]).endswith(f"; did you mean {meant}?")


def test_a_key_of_an_entry_is_suggested_within_the_entry() -> None:
    entry = "datasets: [parity]\nmodels: [{rnn: {hidden_size: 4}, epochs: 3}]\n"
    assert problem(entry).endswith("unknown key 'epochs'; did you mean 'train.epochs'?")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gpu", "'cuda'"),
        ("GPU:1", "'cuda:1'"),
        ("CUDA", "'cuda'"),
        ("cuda:x", "'cuda'"),
        ("metal", "'mps'"),
        ("cdua", "'cuda'"),
    ],
)
def test_a_device_is_suggested(name: str, meant: str) -> None:
    assert unknown_device(name) == f"unknown device {name!r}; did you mean {meant}?"


def test_options_are_named_as_they_were_given() -> None:
    assert problem(devices=["cpu", "gpu"]) == (
        "--device gpu: devices.1: unknown device 'gpu'; did you mean 'cuda'?"
    )
    assert problem(seeds=200_000).startswith("--seeds 200000: seeds: must be from 1 to 100,000")


@pytest.mark.parametrize(
    ("name", "meant"), [("rnm", "did you mean 'rnn'?"), ("tree", "available: rnn, lstm, gru")]
)
def test_a_case_of_confusion_is_suggested(name: str, meant: str) -> None:
    with pytest.raises(UsageError) as raised:
        confusions(made(FIGURES), name)
    assert str(raised.value) == f"--confusion {name}: this run has no model {name!r}; {meant}"


def test_a_run_is_suggested(finished: Path, seqbench_cli: Callable[..., Any]) -> None:
    results = finished.parent.parent
    for wrong, meant in (
        ("smal", "small"),
        (f"smal/{finished.name}", f"small/{finished.name}"),
        (f"{finished.name}x", f"small/{finished.name}"),
    ):
        with pytest.raises(UsageError, match=rf"unknown run '{wrong}' .*; did you mean '{meant}'"):
            find_run(results, wrong)
    done = seqbench_cli("run", "small.yaml", "--resume", "--set", "name=smalll", "--dry-run")
    assert "no run of 'smalll' under results/; did you mean 'small'?" in done.stderr


def test_an_included_suite_is_suggested(tmp_path: Path, seqbench_cli: Callable[..., Any]) -> None:
    (tmp_path / "mine.yaml").write_text("include: quik\n")
    done = seqbench_cli("validate", "mine.yaml")
    assert done.returncode == 2
    assert "mine.yaml:1:10: unknown suite 'quik'; did you mean 'quick'?" in done.stderr


@pytest.mark.parametrize(
    ("name", "meant"),
    [("ce", "cross_entropy"), ("F1", "macro_f1"), ("BCE", "bce"), ("entropy", "cross_entropy")],
)
def test_parts_of_a_name_and_its_initials_suffice(name: str, meant: str) -> None:
    assert nearest(name, ["bce", "mse", "cross_entropy", "macro_f1"]) == meant


def test_long_lists_of_names_are_cut() -> None:
    names = [f"case {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    assert suggested("no 'zzz'", "zzz", names).endswith("case s, case t, … (6 more)")


def test_every_suggestion_is_made_in_one_place() -> None:
    others = [path for path in (ROOT / "seqbench").rglob("*.py") if path.name != "suggest.py"]
    texts = {str(path): path.read_text(encoding="utf-8") for path in others}
    assert [name for name, text in texts.items() if "difflib" in text] == []
    assert [name for name, text in texts.items() if '"did you mean' in text] == []
