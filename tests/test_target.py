"""A suite's target: its syntax, and the steps to reach it."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from conftest import ROOT, install_encoder
from made_documents import FIGURES, TINY, column, made, shown
from suite_registry import REGISTRY

from seqbench.errors import SuiteError
from seqbench.plan.expand import make_plan
from seqbench.quantities import find
from seqbench.records import CaseRecord, Measurement, TrialRecord
from seqbench.report.exports.csv import to_csv
from seqbench.report.exports.latex import to_latex
from seqbench.report.exports.markdown import to_markdown
from seqbench.report.text import target_words
from seqbench.store.stored_plan import StoredPlan
from seqbench.suite.json_schema import json_schema
from seqbench.suite.target import PATTERN, Target
from seqbench.suite.validate import parse_suite
from seqbench.summary.document import build_document
from seqbench.summary.steps_to_target import NO_VALIDATION


def parse_target(text: str) -> Any:
    tiny = textwrap.dedent(TINY)
    return parse_suite(f"{tiny}target: {text}\n", registry=REGISTRY).target


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [("accuracy >= 0.85", "accuracy", 0.85), ("mse <= 0.01", "mse", 0.01),
     ("accuracy>=1", "accuracy", 1.0), ("'  mse  <=  1e-3 '", "mse", 1e-3)],
)  # fmt: skip
def test_a_target_is_a_metric_and_a_bound(text: str, metric: str, value: float) -> None:
    found = parse_target(text)
    assert (found.metric, found.value) == (metric, value)
    assert parse_target("null") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.85", "must be a metric and a bound, not the number 0.85 (as in accuracy >= 0.85"),
        ("[a]", "must be a metric and a bound, not a list"),
        ("accuracy", "must be a metric and a bound, not text 'accuracy'"),
        ("acuracy >= 0.85", "unknown metric 'acuracy'; did you mean 'accuracy'?"),
        (
            "accuracy > 0.85",
            "accuracy needs >=, not '>': higher is better (write accuracy >= 0.85)",
        ),
        ("mse >= 0.1", "mse needs <=, not '>=': lower is better (write mse <= 0.1)"),
        ("accuracy >= 85%", "the bound must be a number, not '85%'"),
        ("accuracy >= 85", "at most 1, not 85 (a fraction: 0.85 means 85 %)"),
        ("accuracy >= 0", "must be a number above 0"),
        ("accuracy >= -0.5", "must be a number above 0"),
        ("mse <= 1e999", "must be a number above 0"),
        ("accuracy >= nan", "the bound must be a number, not 'nan'"),
    ],
)
def test_an_invalid_target_is_rejected_with_its_line(text: str, words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse_target(text)
    assert str(caught.value).startswith("suite.yaml:4:9: target: ")
    assert words in str(caught.value)


def test_the_schema_knows_targets() -> None:
    schema = json_schema(REGISTRY)["properties"]["target"]
    assert {"type": "string", "pattern": PATTERN} in schema["anyOf"]
    assert re.search(PATTERN, "accuracy >= 0.85")
    assert not re.search(PATTERN, "accuracy <= 0.85")
    assert not re.search(PATTERN, "accuracy >= -0.85")
    assert re.search(PATTERN, "r2 >= -0.5")


def test_the_metric_of_a_plugin_may_be_negative() -> None:
    found = Target.parse("log_likelihood >= -1.5e1")
    assert (found.value, str(found)) == (-15.0, "log_likelihood >= -15")
    assert target_words(found.to_dict()) == "log_likelihood ≥ -15"
    plain, share = ({"higher_is_better": True, "share": share} for share in (False, True))
    for bound in ("-15", "0"):
        Target.parse(f"m >= {bound}").check(find("m", {"m": plain}))
        with pytest.raises(ValueError, match="the bound of m must be a number above 0"):
            Target.parse(f"m >= {bound}").check(find("m", {"m": share}))
    with pytest.raises(ValueError, match="the bound of m must be a finite number"):
        Target.parse("m >= 1e999").check(find("m", {"m": plain}))


def test_a_target_changes_no_case() -> None:
    tiny = textwrap.dedent(TINY)
    with_, without = (
        [case.id for case in make_plan(parse_suite(text, registry=REGISTRY), REGISTRY).cases]
        for text in (f"{tiny}target: accuracy >= 0.85\n", tiny)
    )
    assert with_ == without


def curve(*validation: float | None) -> tuple[Any, ...]:
    return tuple(
        {"epoch": n, "train_loss": 1.0, "steps": 10 * n, **({"validation": v} if v else {})}
        for n, v in enumerate(validation, 1)
    )


def targeted(curves: list[tuple[Any, ...]], step_s: float | None = None) -> Any:
    """The document of one case with a target of 0.85; a curve of () is a seed that diverged."""
    text = f"{textwrap.dedent(TINY)}target: accuracy >= 0.85\nseeds: {len(curves)}\n"
    suite = parse_suite(text, registry=REGISTRY)
    planned = make_plan(suite, REGISTRY, datasets=["parity"], models=["rnn"]).on({"cpu": ""})
    trials = [
        TrialRecord(
            trial.id, trial.case.id, trial.seed, "ok" if one else "diverged",
            metric="accuracy" if one else "",
            metrics={"value": 0.9, "last": 0.9, "best": 0.9}, curve=one,
        )
        for trial, one in zip(planned.trials, curves, strict=True)
    ]  # fmt: skip
    step = Measurement("training_step", "s", {"batch_size": 100}, {"median_s": step_s})
    cases = [CaseRecord(planned.cases[0].id, (step,))] if step_s else []
    plan = cast("StoredPlan", planned.to_dict())
    return build_document(
        "results/x", state={"suite": "x", "status": "finished"}, plan=plan,
        environment={}, trials=trials, cases=cases,
    )  # fmt: skip


def test_steps_to_target_by_hand() -> None:
    document = targeted([curve(0.8, 0.85, 0.9), curve(0.9, 0.8, 0.8), curve(0.8, 0.84, 0.86)], 0.02)
    found = document["cases"][0]["target"]
    assert [one["steps"] for one in found["seeds"]] == [20, 10, 30]
    assert (found["steps"], found["reached"], found["of"]) == (20, 3, 3)
    assert found["seconds"] == pytest.approx(0.4)
    assert column(document, "steps_to_target").texts == ("20",)
    text = shown(document, 120)
    assert "accuracy ≥ 0.85" in text
    assert "steps × quiet step time" in text
    assert column(document, "time_to_target").texts == ("400",)


def test_misses_count_as_infinite() -> None:
    one = targeted([curve(0.9), curve(0.95), curve(0.1)])
    assert column(one, "steps_to_target").texts == ("10 (2 of 3)",)
    most = targeted([curve(0.9), (), curve(0.1)], 0.02)
    assert column(most, "steps_to_target").texts == ("∞ (1 of 3)",)
    assert column(most, "time_to_target").texts == ("∞",)
    half = targeted([curve(0.9), curve(0.1)])
    assert column(half, "steps_to_target").texts == ("∞ (1 of 2)",)
    assert half["cases"][0]["target"]["steps"] is None
    json.dumps(half, allow_nan=False)
    for export in (to_markdown, to_latex, to_csv):
        assert export(half)


def test_a_row_is_compared_with_the_target_by_its_own_metric() -> None:
    text = """
        datasets:
          - parity
          - {parity: , primary_metric: top_k}
          - {parity: , primary_metric: {top_k: {k: 1}}}
        models: [rnn]
        target: top_k >= 0.85
        seeds: 1
        """
    for target, reached in (("top_k >= 0.85", [0, 1, 1]), ("accuracy >= 0.85", [1, 0, 0])):
        again = textwrap.dedent(text).replace("top_k >= 0.85", target)
        planned = make_plan(parse_suite(again, registry=REGISTRY), REGISTRY).on({"cpu": ""})
        trials = [
            TrialRecord(
                trial.id, trial.case.id, trial.seed, "ok",
                metric=primary.label if primary else "accuracy",
                metrics={"value": 0.9, "last": 0.9, "best": 0.9}, curve=curve(0.9),
            )
            for trial in planned.trials
            for primary in [trial.case.primary_metric]
        ]  # fmt: skip
        document = build_document(
            "results/x", state={"suite": "x", "status": "finished"},
            plan=cast("StoredPlan", planned.to_dict()), environment={}, trials=trials, cases=[],
        )  # fmt: skip
        found = [case["target"] for case in document["cases"]]
        assert [one and one["reached"] for one in found] == reached


def test_unavailable_figures_have_a_reason() -> None:
    none = targeted([curve(None, None)])
    assert none["cases"][0]["target"]["reason"] == NO_VALIDATION
    assert "steps to target: n/a: there is no validation split" in " ".join(shown(none).split())
    assert "time to target: n/a: no step time was measured" in " ".join(
        shown(targeted([curve(0.9)])).split()
    )
    other = made(
        FIGURES, text=f"{textwrap.dedent(TINY)}target: accuracy >= 0.85\n", dataset="adding",
        untrained=("lstm",),
    )  # fmt: skip
    target = other["cases"][0]["target"]
    assert target is not None
    assert target["reason"] == "the metric of this dataset is mse"
    # That is known even of a case that never trained, from the other cases of the dataset.
    failed = other["cases"][1]["target"]
    assert failed is not None
    assert failed["reason"] == "the metric of this dataset is mse"


def test_without_a_target_it_is_not_mentioned() -> None:
    document = made(FIGURES)
    assert document["target"] is None
    assert {case["target"] for case in document["cases"]} == {None}
    assert "target" not in shown(document)


def test_the_dry_run_shows_the_target(seqbench_cli: Callable[..., Any]) -> None:
    suite = ROOT / "suites" / "quick.yaml"
    done = seqbench_cli("run", suite, "--dry-run", "--set", "target=accuracy >= 0.9")
    assert "target: accuracy >= 0.9" in done.stdout


ONE = ("--model", "gru", "--dataset", "adding")


def test_the_dry_run_estimates_the_time_for_timing(
    seqbench_cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQBENCH_CACHE", str(tmp_path / "none"))  # no training step can be timed
    suite = ROOT / "suites" / "quick.yaml"
    asked = "measure.latency={budget: 10s, batch_sizes: [1, 8], processes: 10, warm_up: 500ms}"
    text = " ".join(seqbench_cli("run", suite, "--dry-run", "--set", asked, *ONE).stdout.split())
    assert "10 s per case; batch 1, 8; length of the dataset; threads 1; eager;" in text
    # 10 processes × (0.2 s to load + 0.65 s to warm up) + 10 s, and 2 s for memory and diagnosis
    assert "measuring about 20 s, less if latency is precise earlier" in text
    many = asked.replace("10s", "1s").replace("}", ", runtimes: [eager, compile]}")
    text = " ".join(seqbench_cli("run", suite, "--dry-run", "--set", many, *ONE).stdout.split())
    # 10 processes × 3 rounds × 4 settings × 10 ms are more than the budget
    assert "measuring about 10 s, less if latency is precise earlier" in text
    assert "plus the time to prepare adding, plus the time to compile" in text


ALLOCATING = """
    import resource, torch

    class Allocating(torch.nn.Linear):
        def forward(self, x):
            torch.ones(16 << 20)  # 64 MiB, freed at once
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            torch.ones(16 << 20)
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
            if self.training:
                print("training, keeps freed memory:", faults < 10)
            elif len(x) == 1:
                print("evaluation, keeps freed memory:", faults < 10)
            return super().forward(x)
    """


@pytest.mark.slow
def test_a_training_step_is_timed_under_the_conditions_of_training(
    site: Path, write_suite: Callable[..., Path], seqbench_cli: Callable[..., Any], tmp_path: Path
) -> None:
    """Training keeps freed memory; a forward pass is timed without that."""
    install_encoder(site, "allocating", "Allocating", ALLOCATING)
    text = """
        name: timed
        datasets: [{parity: {length: 4, train_size: 40, validation_size: 20, test_size: 20}}]
        models: [allocating]
        train: {epochs: 5, batch_size: 500}
        seeds: 1
        target: accuracy >= 0.1
        measure: {latency: {budget: 500ms, warm_up: 20ms, processes: 2, batch_sizes: [1]}}
        """
    done = seqbench_cli("run", write_suite(text), "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (case,) = document["cases"]
    assert case["training_step"]["median_s"] == case["target"]["step_s"] > 0
    assert len(case["latency"]) == 1
    run = tmp_path / document["run"]
    logs = {
        path.stem.rpartition("-")[2]: Counter(path.read_text().splitlines())
        for path in run.glob("logs/*.log")
    }
    kept, freed = ("training, keeps freed memory: True", "training, keeps freed memory: False")
    for name in ("s0", "training"):  # the first pass allocates more than the following ones
        assert logs[name][kept] > logs[name][freed]
    assert set(logs["latency"]) == {"evaluation, keeps freed memory: False"}
    (record,) = (json.loads(path.read_text()) for path in run.glob("cases/*.json"))
    (step,) = [one for one in record["measurements"] if one["quantity"] == "training_step"]
    assert step["settings"]["batch_size"] == 40  # as large as the training split
    assert {path.name.partition(".")[0][-8:] for path in run.glob("samples/*-training*")} == {
        "training"
    }
    assert not list(run.glob("samples/.compiled*"))
