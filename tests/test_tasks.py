"""A model is skipped on a dataset of a kind that it does not support, which is known early."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import install

from seqbench.plan.expand import make_plan
from seqbench.plugins.discovery import load_plugins
from seqbench.suite.validate import parse_suite
from seqbench.testing.plugin_checks.job import check_payload, run_checks
from seqbench.types import DatasetSpec
from seqbench.workers.context import Workspace

PICKY = """
    import seqbench

    @seqbench.hookimpl
    def seqbench_models():
        return [seqbench.ModelSpec("picky", build="torch.nn:Linear", tasks=["features/value"],
                                   parameters={"out_features": 4})]

    @seqbench.hookimpl
    def seqbench_datasets():
        return [
            seqbench.DatasetSpec("silent", load="picky_data:load"),
            seqbench.DatasetSpec("wrong", load="picky_data:load", tasks=["tokens/value"]),
        ]
    """

DATA = """
    import torch
    import seqbench

    def load(context):
        x = torch.arange(40).reshape(20, 2) % 3
        task = seqbench.Task("tokens", 3, "label", 3, 2)
        return seqbench.Splits(task, (x, x[:, 0].clone()), (x, x[:, 0].clone()))
    """

SUITE = """
    datasets: [{datasets}]
    models: [picky, {{rnn: {{hidden_size: 2}}}}]
    metrics: [top_k: {{k: 1}}]
    train: {{epochs: 1, batch_size: 20}}
    seeds: 1
    measure: [accuracy]
    """

SMALL = "{adding: {length: 2, train_size: 20, validation_size: 0, test_size: 20}}"
PARITY = "{parity: {length: 2, train_size: 20, validation_size: 0, test_size: 20}}"

REASON = "model picky supports features/value, but dataset parity is tokens/label"


@pytest.fixture
def picky(site: Path) -> None:
    install(site, "picky", {"picky": PICKY, "picky_data": DATA}, "picky = picky")


def test_what_does_not_fit_is_known_before_the_run(
    picky: None, write_suite: Callable[[str], Path], seqbench_cli: Callable[..., Any]
) -> None:
    suite = write_suite(SUITE.format(datasets=f"{SMALL}, {PARITY}"))
    metric = "metric top_k k=1 is skipped on adding: it supports label, label_per_step, not value"
    for command in (("validate",), ("run", "--dry-run")):
        done = seqbench_cli(command[0], suite, *command[1:])
        assert done.returncode == 0, done.stderr
        words = " ".join(done.stdout.split())
        assert f"picky on parity is skipped: {REASON}" in words
        assert "picky on adding is skipped" not in words
        assert metric in words
    plan = json.loads(seqbench_cli("run", suite, "--dry-run", "--json").stdout)
    (skipped,) = plan["skipped"]
    assert (skipped["reason"], skipped["case"][:6]) == (REASON, "picky-")


def test_what_does_not_fit_is_skipped(
    picky: None, write_suite: Callable[[str], Path], seqbench_cli: Callable[..., Any]
) -> None:
    """Also if the dataset does not declare its kind: after preparing it, that is known, too. One
    that is not of the kind that it declares is a failure.
    """
    suite = write_suite(SUITE.format(datasets=f"silent, wrong, {PARITY}"))
    assert "on silent" not in seqbench_cli("validate", suite).stdout
    done = seqbench_cli("run", suite, "--json")
    assert done.returncode == 1
    found = {(t["model"], t["dataset"]): t for t in json.loads(done.stdout)["trials"]}
    assert found["picky", "parity"]["reason"] == REASON
    assert found["picky", "silent"]["reason"] == REASON.replace("parity", "silent")
    for dataset in ("parity", "silent"):
        assert found["picky", dataset]["status"] == "skipped"
        assert found["rnn", dataset]["status"] == "ok"
    assert (found["rnn", "wrong"]["status"], found["rnn", "wrong"]["reason"]) == (
        "failed",
        "dataset 'wrong': it is tokens/label, but its plugin declares tokens/value",
    )
    assert "picky on silent is skipped" in seqbench_cli("validate", suite).stdout
    preview = seqbench_cli("run", suite, "--resume", "--dry-run").stdout
    assert f"skip  {REASON}" in preview
    assert "0 of 6 trials would run" in preview


def test_a_suite_of_which_nothing_fits_is_refused(
    picky: None, write_suite: Callable[[str], Path], seqbench_cli: Callable[..., Any]
) -> None:
    done = seqbench_cli("validate", write_suite(SUITE.format(datasets=PARITY)), "--model", "picky")
    assert done.returncode == 2
    assert f"error: no model of this suite fits its datasets: {REASON}" in done.stderr


def test_the_check_compares_a_dataset_with_its_declaration(picky: None, tmp_path: Path) -> None:
    offer = load_plugins().dataset("wrong")
    checks = run_checks(check_payload(offer, {}), Workspace(tmp_path, tmp_path, None))
    found = {one.check: one for one in checks}
    assert (found["load"].result, found["load"].got) == ("failed", "tokens/label")


def test_declarations_are_no_part_of_an_id_or_of_the_stored_plan() -> None:
    suite = parse_suite("datasets: [parity]\nmodels: [gru]\n", registry=load_plugins())
    plan = make_plan(suite, load_plugins())
    assert plan.cases[0].declares == ("tokens/label",)
    assert not {"declares", "supports"} & set(plan.to_dict()["cases"][0])


def test_an_unknown_kind_of_task_is_refused() -> None:
    with pytest.raises(ValueError, match="dataset 'd': unknown task 'words/label'; available: fea"):
        DatasetSpec("d", "a.b:c", tasks=["words/label"])


@pytest.mark.parametrize("name", ["adding", "parity"])
def test_the_datasets_that_come_along_are_what_they_declare(name: str, tmp_path: Path) -> None:
    offer = load_plugins().dataset(name)
    checks = run_checks(check_payload(offer, {}), Workspace(tmp_path, tmp_path, None))
    assert next(one for one in checks if one.check == "load").result == "ok"
