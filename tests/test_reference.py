"""The reference results in the repository can be shown, and agree with the README."""

from __future__ import annotations

import re
from typing import Any

import pytest
from conftest import ROOT

import seqbench
from seqbench.plan.expand import make_plan
from seqbench.plugins.discovery import load_plugins
from seqbench.report.exports.markdown import to_markdown
from seqbench.suite.validate import load_suite

REFERENCE = ROOT / "results" / "reference"


def document(name: str) -> Any:
    return seqbench.Run.open(REFERENCE / name).document


@pytest.mark.parametrize("name", ["fashion", "fashion-2020", "fashion-2020-control"])
def test_reference_results_belong_to_the_current_suites(name: str) -> None:
    found = document(name)
    registry = load_plugins()
    suite = load_suite(ROOT / "suites" / f"{name}.yaml", registry=registry)
    planned = [
        (case.label, case.model.params, case.dataset.params, case.train, case.note)
        for case in make_plan(suite, registry).cases
    ]
    recorded = [
        (case["label"], case["params"], case["dataset_params"], case["train"], case["note"])
        for case in found["cases"]
    ]
    assert planned == recorded
    assert found["notes"] == suite.notes
    assert found["status"] == "finished"
    assert found["environment"]["torch"]
    assert to_markdown(found)


def test_the_main_suite_reaches_its_accuracy() -> None:
    found = {case["label"]: case for case in document("fashion")["cases"]}
    assert {case["status"] for case in found.values()} == {"ok"}
    assert found["lstm"]["accuracy"]["mean"] >= 0.86
    assert found["gru"]["accuracy"]["mean"] >= 0.86


def test_the_study_is_reproduced() -> None:
    for case in document("fashion-2020")["cases"]:
        published = case["reference"]["accuracy"]
        assert abs(case["accuracy"]["mean"] - published) <= 0.025, case["label"]
        assert case["parameters"] == case["reference"]["parameters"]


def test_figures_in_the_readme_match_the_reference_results() -> None:
    """Each row of its table has the label, the accuracy of the study and of the control."""
    rows = re.findall(
        r"^\| ([RL]\w+-\d)[^|]*\| [\d.]+ \| ([\d.]+) ± ([\d.]+) \| ([\d.]+) ± ([\d.]+) \|",
        (ROOT / "README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert len(rows) == 4
    for column, name in ((1, "fashion-2020"), (3, "fashion-2020-control")):
        cases = {case["label"]: case["accuracy"] for case in document(name)["cases"]}
        for row in rows:
            accuracy = cases[row[0]]
            half = (accuracy["high"] - accuracy["low"]) / 2
            assert row[column : column + 2] == (
                f"{100 * accuracy['mean']:.1f}",
                f"{100 * half:.1f}",
            )
