"""``train``, ``label`` and ``metrics`` of one dataset: plans, messages, and a small run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from suite_registry import REGISTRY
from test_docs import blocks
from test_plan import fits

from seqbench.errors import SuiteError, UsageError
from seqbench.plan.advice import advice
from seqbench.plan.expand import Plan, make_plan
from seqbench.plugins.discovery import load_plugins
from seqbench.report.page.methods import methods
from seqbench.suite.json_schema import json_schema
from seqbench.suite.validate import load_suite, parse_suite


def planned(text: str, *overrides: str, **options: Any) -> Plan:
    return make_plan(parse_suite(text, overrides=overrides, registry=REGISTRY), REGISTRY, **options)


def with_datasets(entries: str, rest: str = "models: [rnn]") -> str:
    return f"datasets: {entries}\n{rest}\nseeds: 1\ndevices: [cpu]\n"


@pytest.mark.parametrize(
    ("suite", "dataset", "model", "batch_size", "epochs"),
    [
        ("{}", "{}", "{}", 100, 5),
        ("{batch_size: 7, epochs: 2}", "{}", "{}", 7, 2),
        ("{batch_size: 7, epochs: 2}", "{batch_size: 16}", "{}", 16, 2),
        ("{batch_size: 7, epochs: 2}", "{batch_size: 16, epochs: 9}", "{epochs: 1}", 16, 1),
        ("{}", "{batch_size: 16}", "{batch_size: 100}", 100, 5),  # given, though the default
    ],
)
def test_a_dataset_overrides_the_suite_and_a_model_overrides_both(
    suite: str, dataset: str, model: str, batch_size: int, epochs: int
) -> None:
    text = f"""
        datasets: [adding, {{parity: , train: {dataset}}}]
        models: [{{rnn: , train: {model}}}]
        train: {suite}
        """
    train = planned(text).cases[1].train
    assert (train["batch_size"], train["epochs"]) == (batch_size, epochs)
    alone = planned(text.replace(f", {{parity: , train: {dataset}}}", "")).cases[0]
    assert planned(text).cases[0] == alone  # the other dataset is not affected


def test_optimizers_are_merged_in_the_same_order() -> None:
    text = """
        datasets: [{parity: , train: {optimizer: {sgd: {momentum: 0.5}}, schedule: null}}]
        models: [{rnn: , train: {optimizer: {sgd: {weight_decay: 0.1}}}}, {gru: , train:
          {optimizer: adamw}}]
        train: {optimizer: {sgd: {lr: 0.3, momentum: 0.9}}, schedule: cosine}
        """
    rnn, gru = (case.train for case in planned(text).cases)
    wanted = {"lr": 0.3, "momentum": 0.5, "weight_decay": 0.1}
    assert wanted.items() <= rnn["optimizer"]["params"].items()
    assert rnn["schedule"] is None
    assert gru["optimizer"]["name"] == "adamw"


def test_settings_hold_for_every_dataset_of_a_grid() -> None:
    plan = planned(with_datasets("[{parity: {length: [4, 8]}, label: P, train: {epochs: 2}}]"))
    assert [case.dataset_label for case in plan.cases] == ["P length=4", "P length=8"]
    assert [case.train["epochs"] for case in plan.cases] == [2, 2]


def test_ids_depend_on_the_training_alone() -> None:
    plain, said, labelled, other, inside = (
        planned(with_datasets(f"[{{parity: {more}}}]", rest)).cases[0]
        for more, rest in (
            ("", "models: [rnn]"),
            (", train: {batch_size: 100, precision: fp32}", "models: [rnn]"),
            (", label: P, metrics: [top_k]", "models: [rnn]"),
            (", train: {batch_size: 16}", "models: [rnn]"),
            ("", "models: [rnn]\ntrain: {batch_size: 16}"),
        )
    )
    assert plain.id == said.id == labelled.id != other.id == inside.id
    assert plain.to_dict() == said.to_dict()
    assert "metrics_left_out" not in plain.to_dict()


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("[parity, adding: {length: [5, 6]}]", ["parity", "adding length=5", "adding length=6"]),
        ("[{parity: , label: P}, parity: {length: 4}]", ["P", "parity"]),
        ("[parity, {parity: , train: {batch_size: 16}}]",
         ["parity batch_size=100", "parity batch_size=16"]),
        ("[parity, {parity: , label: few, train: {batch_size: 16}}]", ["parity", "few"]),
        ("[{parity: , label: A}, {adding: , label: A}]", ["A", "A (2)"]),
        ("[{parity: , label: adding}, adding]", ["adding", "adding (2)"]),
    ],
)  # fmt: skip
def test_labels_tell_datasets_apart(entries: str, expected: list[str]) -> None:
    plan = planned(with_datasets(entries))
    assert [case.dataset_label for case in plan.cases] == expected
    assert len({case.id for case in plan.cases}) == len(expected)


def test_labels_of_models_say_how_they_are_trained_on_that_dataset() -> None:
    """The suite's batch size is not that of the first model on the second dataset."""
    models = "models: [rnn, {rnn: , train: {batch_size: 8}}]"
    plan = planned(with_datasets("[parity, {adding: , train: {batch_size: 16}}]", models))
    assert [(case.label, case.train["batch_size"]) for case in plan.cases] == [
        ("rnn batch_size=100", 100), ("rnn batch_size=8", 8),
        ("rnn batch_size=16", 16), ("rnn batch_size=8", 8),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["parity"], ["parity", "few"]),
        (["few"], ["few"]),
        (["few", "adding"], ["adding", "few"]),
        (["seven"], "this suite has no dataset 'seven'; available: adding, parity, few"),
        (["fwe"], "did you mean 'few'?"),
    ],
)
def test_datasets_are_chosen_by_name_or_label(wanted: list[str], expected: Any) -> None:
    text = with_datasets(
        "[adding, parity, {parity: , label: few, train: {epochs: 9}, metrics: [top_k: {k: 2}]}]"
    )
    if isinstance(expected, str):
        with pytest.raises(UsageError) as caught:
            planned(text, datasets=wanted)
        assert expected in str(caught.value)
        return
    every, some = planned(text).cases, planned(text, datasets=wanted)
    assert [case.dataset_label for case in some.cases] == expected
    kept = {case.id: case for case in every}
    assert all(kept[case.id].label == case.label for case in some.cases)
    assert bool(some.metrics) == ("few" in expected)


def test_overrides_and_included_suites(tmp_path: Path) -> None:
    text = with_datasets("[{parity: , train: {epochs: 9}}]")
    assert planned(text, "datasets.0.train.epochs=2").cases[0].train["epochs"] == 2
    assert planned(text, "train.epochs=2").cases[0].train["epochs"] == 9
    (tmp_path / "base.yaml").write_text(text)
    (tmp_path / "over.yaml").write_text("include: base.yaml\ntrain: {epochs: 1, batch_size: 3}")
    suite = load_suite(tmp_path / "over.yaml", registry=REGISTRY)
    train = make_plan(suite, REGISTRY).cases[0].train
    assert (train["epochs"], train["batch_size"]) == (9, 3)


def test_metrics_are_the_suites_and_the_datasets_own_each_once() -> None:
    own = "metrics: [top_k: {k: [1, 2]}]"
    text = with_datasets(
        f"[adding, {{parity: , {own}}}]", "models: [rnn]\nmetrics: [top_k: {k: 1}]"
    )
    plan = planned(text)
    assert [metric.label for metric in plan.metrics] == ["top_k k=1", "top_k k=2"]
    found = {case.dataset_label: [m.label for m in plan.metrics_of(case)] for case in plan.cases}
    assert found == {"adding": ["top_k k=1"], "parity": ["top_k k=1", "top_k k=2"]}
    left_out = [case.get("metrics_left_out") for case in plan.to_dict()["cases"]]
    assert left_out == [(plan.metrics[1].id,), None]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{parity: , trian: {epochs: 2}}", "datasets.0.trian: unknown key 'trian'; did you mea"),
        ("{parity: , epochs: 2}", "unknown key 'epochs'; did you mean 'train.epochs'?"),
        ("{parity: , length: 4}", "a parameter of parity: indent it below, or write parity: {…}"),
        ("{parity: {train: {epochs: 2}}}", "(write it beside the name, not among its parameters)"),
        ("{parity: , reference: {mse: 1}}", "unknown key 'reference'; available: train, label"),
        ("{parity: , train: {epoch: 2}}", "datasets.0.train.epoch: unknown key 'epoch'; did you"),
        ("{parity: , train: {batch_size: [1, 2]}}", "must be a whole number, not a list"),
        ("{parity: , train: {optimizer: sdg}}", "unknown optimizer 'sdg'; did you mean 'sgd'?"),
        ("{parity: , train: {optimizer: {sgd: {nesterov: true}}}}", "nesterov needs a momentum"),
        ("{parity: , label: ''}", "datasets.0.label: must be one line"),
        ("{parity: , metrics: [topk]}", "datasets.0.metrics.0: unknown metric 'topk'; did you"),
        ("{parity: , metrics: [top_k: {kk: 1}]}", "datasets.0.metrics.0.top_k.kk: unknown paramet"),
        ("{parity: , metrics: [top_k, top_k]}", "duplicate of datasets.0.metrics.0"),
        ("{parity: , metrics: []}", "datasets.0.metrics: must not be empty"),
        ("{parity: , metrics: top_k}", "must be a list of names, not text 'top_k' (write [top_k])"),
        ("{train: {epochs: 2}}", "the entry names no dataset"),
        ("{parity: , adding: , label: A}", "names more than one dataset: 'parity', 'adding'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(entry: str, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        planned(f"datasets:\n  - {entry}\nmodels: [rnn]\n")
    (problem,) = caught.value.problems
    said = str(caught.value)
    assert problem.where.startswith("suite.yaml:2:")
    assert message in said


@pytest.mark.parametrize(
    ("datasets", "models", "message"),
    [
        ("[parity, {parity: , label: P}]", "[rnn]", "datasets.1.parity: duplicate of datasets.0"),
        ("[parity, {parity: , metrics: [top_k]}]", "[rnn]", "duplicate of datasets.0"),
        ("[parity, {parity: , train: {epochs: 5}}]", "[rnn]", "duplicate of datasets.0"),
        ("[{parity: , train: {epochs: 1}}]", "[rnn, {rnn: , train: {epochs: 1}}]",
         "models.1.rnn: duplicate of models.0"),
        # Entries that differ with one model and are equal with another:
        ("[parity, {parity: , label: P, train: {epochs: 1}}]", "[gru, {rnn: , train: {epochs: 3}}]",
         "rnn on P is the same case as rnn on parity"),
        ("[adding, {parity: , train: {epochs: 1}}]", "[rnn, {rnn: , train: {epochs: 1}}]",
         "rnn (2) on parity is the same case as rnn on parity"),
        ("[{parity: , train: {batch_size: 3}}, {parity: , train: {epochs: 2}}]",
         "[{rnn: , train: {epochs: 2}}, {rnn: , train: {batch_size: 3}}]", "is the same case as"),
    ],
)  # fmt: skip
def test_no_case_is_there_twice(datasets: str, models: str, message: str) -> None:
    with pytest.raises((SuiteError, UsageError)) as caught:
        planned(with_datasets(datasets, f"models: {models}"))
    assert message in str(caught.value)


def test_models_that_only_differ_because_of_the_dataset_are_no_duplicates() -> None:
    models = "models: [rnn, {rnn: , train: {epochs: 5}}]"  # 5 is the suite's
    plan = planned(with_datasets("[{parity: , train: {epochs: 2}}]", models))
    assert [case.label for case in plan.cases] == ["rnn epochs=2", "rnn epochs=5"]


def test_a_conflict_with_one_datasets_settings_is_found() -> None:
    text = """
datasets: [adding, {parity: , train: {optimizer: {sgd: {momentum: 0}}}}]
train: {optimizer: {sgd: {momentum: 0.9}}}
models:
  - rnn:
    train: {optimizer: {sgd: {nesterov: true}}}
"""
    with pytest.raises(SuiteError, match=r"suite\.yaml:6:24: models\.0.train.optimizer: nesterov"):
        planned(text)


def test_entries_of_one_dataset_are_not_compared_with_each_other() -> None:
    """So that too few seeds do not matter between them."""
    assert not advice(planned(with_datasets("[parity, {parity: , train: {epochs: 1}}]")))
    assert advice(planned(with_datasets("[parity]", "models: [rnn, gru]")))


@pytest.mark.parametrize(
    ("entry", "valid"),
    [
        ({"parity": {"length": 8}, "label": "P", "train": {"epochs": 2}}, True),
        ({"parity": None, "metrics": ["top_k", {"top_k": {"k": [1, 2]}}]}, True),
        ({"parity": None, "metrics": {"top_k": None}}, True),
        ({"parity": None, "metrics": ["topk"]}, False),
        ({"parity": None, "metrics": [{"top_k": {"kk": 1}}]}, False),
        ({"parity": None, "train": {"epoch": 2}}, False),
        ({"parity": None, "note": "A"}, False),
    ],
)
def test_the_schema_for_editors(entry: Any, valid: bool) -> None:
    schema = json_schema(REGISTRY)
    assert fits({"datasets": [entry], "models": ["rnn"]}, schema, schema) == valid


def test_the_example_of_the_page_on_suites() -> None:
    (text,) = (
        text for text in blocks(ROOT / "docs" / "suites.md", "yaml") if "name: unlike" in text
    )
    registry = load_plugins()
    plan = make_plan(parse_suite(text, registry=registry), registry)
    trained = {case.dataset_label: case.train["epochs"] for case in plan.cases}
    assert trained == {"adding": 3, "few length=4": 40, "few length=8": 40}
    labels = [[metric.label for metric in plan.metrics_of(case)] for case in plan.cases[::2]]
    shared = ["cross_entropy", "mae"]
    assert labels == [shared, [*shared, "top_k k=1"], [*shared, "top_k k=1"]]


SIZES = "train_size: 120, validation_size: 30, test_size: 40"
SUITE = f"""
    name: unlike
    datasets:
      - adding: {{length: 6, {SIZES}}}
      - parity: {{length: 3, {SIZES}}}
        label: few
        train: {{batch_size: 16, epochs: 2}}
        metrics: [top_k: {{k: 1}}]
      - parity: {{length: 3, {SIZES}}}
    models: [{{rnn: {{hidden_size: 3}}}}, {{gru: {{hidden_size: 3}}}}]
    train: {{epochs: 1, batch_size: 60}}
    metrics: [mae]
    seeds: 1
    measure: [accuracy]
    """


def test_a_run_of_datasets_that_are_trained_unlike(
    seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path]
) -> None:
    suite = write_suite(SUITE)
    valid = seqbench_cli("validate", suite).stdout
    assert valid.count("is skipped") == 2
    assert "metric mae is skipped on few: it supports value, value_per_step, not label" in valid
    done = seqbench_cli("run", suite)
    assert (done.returncode, "settings differ" in done.stdout) == (0, False)
    assert "few  parity, length=3, train_size=120" in done.stdout
    document = json.loads(seqbench_cli("show", "--format", "json").stdout)
    for case in document["cases"]:
        few = case["dataset_label"] == "few"
        assert case["train"]["batch_size"] == (16 if few else 60)
        assert ("mae" in case["scores"]) == (case["dataset"] == "adding")
        assert ("top_k k=1" in case["scores"]) == few
        assert case["status"] == "ok"
        if few:
            assert case["scores"]["top_k k=1"]["mean"] == case["accuracy"]["mean"]
    steps = {(t["dataset_label"], t["metrics"]["steps"]) for t in document["trials"]}
    assert steps == {("adding", 2), ("few", 16), ("parity", 2)}  # ⌈120 / 16⌉ · 2 epochs
    labels = {case["id"]: case["dataset_label"] for case in document["cases"]}
    pairs = [(labels[e["a"]], labels[e["b"]], e["quantity"]) for e in document["comparisons"]]
    assert sorted(pairs) == [
        ("adding", "adding", "mae"), ("adding", "adding", "mse"), ("few", "few", "accuracy"),
        ("few", "few", "top_k k=1"), ("parity", "parity", "accuracy"),
    ]  # fmt: skip
    explained = " ".join(seqbench_cli("show", "--explain").stdout.split())
    assert "few: 2 epochs, batch 16, adam lr=0.001 parity: 1 epoch, batch 60" in explained
    rows = seqbench_cli("show", "--format", "csv").stdout
    assert ",few," in rows
    assert "the same for all models on one dataset" in methods(document)

    suite.write_text(suite.read_text().replace("k: 1", "k: 2").replace("16", "8"))
    preview = seqbench_cli("run", suite, "--resume", "--dry-run").stdout
    assert "2 of 6 trials would run" in preview  # those of the dataset that changed
    resumed = seqbench_cli("run", suite, "--resume", "--dataset", "few")
    assert (resumed.returncode, "without --dataset" in resumed.stderr) == (2, True)
    assert seqbench_cli("run", suite, "--resume").returncode == 0
    document = json.loads(seqbench_cli("show", "--format", "json").stdout)
    few = [case for case in document["cases"] if case["dataset_label"] == "few"]
    assert all(set(case["scores"]) == {"top_k k=2"} for case in few)
