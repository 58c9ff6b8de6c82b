"""Estimators: models with `fit` and `predict`, as rows beside those that are trained."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import install
from small_estimators import MODULES

from seqbench import MetricSpec, ModelSpec, Run, Task
from seqbench.errors import NotApplicable, PluginError, SuiteError
from seqbench.measure.metrics import score_split
from seqbench.plan.expand import Plan, make_plan
from seqbench.plugins.choice import Choice
from seqbench.plugins.discovery import load_plugins
from seqbench.runner.context import local_workspace
from seqbench.suite.validate import parse_suite
from seqbench.testing.plugin_checks.job import check_payload, run_checks
from seqbench.training.estimator_answers import of_predict, of_probabilities, of_scores
from seqbench.training.estimators import (
    EstimatorModel,
    fitted,
    probabilities_of_zero,
    seeded,
    training_data,
)
from seqbench.training.evaluation import evaluate
from seqbench.training.fitting import CPU, Observed, evaluated
from seqbench.training.prepared import PreparedSplits
from seqbench.training.refitting import check_refit, record_fit, refitted
from seqbench.training.split import Split

LABELS = Task("features", 2, "label", 3, 4)


@pytest.fixture
def fits(site: Path) -> None:
    install(site, "fits", MODULES, "fits = fits")


def model(name: str, **params: Any) -> Choice:
    """One that is installed."""
    offer = load_plugins().look_up("model", name)
    return Choice.of(offer, {"size": 8, **params} if name == "projected" else params)


def metric(name: str) -> Choice:
    return Choice.of(load_plugins().look_up("metric", name), {})


def blobs(task: Task = LABELS, *, unequal: bool = False, weights: Any = None) -> PreparedSplits:
    """Sequences around the number of their class, of one length or of several."""
    draw = torch.Generator().manual_seed(0)

    def split(size: int) -> Split:
        label = torch.arange(size) % 3
        x = label[:, None, None] + 0.9 * torch.randn(size, 4, 2, generator=draw)
        y = label if task.target == "label" else torch.stack([label > 0, label > 1], 1).byte()
        if not unequal:
            return Split(task, x, y, weights if size == 60 else None)
        lengths = 2 + torch.arange(size) % 3
        kept = torch.arange(4) < lengths[:, None]
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        return Split(task, x[kept], y, offsets=offsets)

    return PreparedSplits(task, split(60), split(30))


def fit(name: str, splits: PreparedSplits, seed: int = 0) -> EstimatorModel:
    with seeded(seed):
        return fitted(model(name), splits, seed)


def test_what_an_estimator_declares() -> None:
    spec = ModelSpec("m", "p:m", {"size": 3}, kind="estimator", lengths="fixed")
    assert "features/labels" in spec.tasks
    assert not any("per_step" in kind for kind in spec.tasks)
    assert list(spec.parameters) == ["size"]  # none of those of encoders
    for wrong, reason in (
        ({"tasks": ["features/label_per_step"]}, "one answer for each sequence"),
        ({"parameters": {"seed": 0}}, "is reserved"),
        ({"kind": "regressor"}, "not 'encoder', 'model' or 'estimator'"),
    ):
        with pytest.raises(ValueError, match=reason):
            ModelSpec("m", "p:m", **{"kind": "estimator", **wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs is 'logits'; available: probabilities, scores, cl"):
        MetricSpec("f", "p:f", needs="logits")  # type: ignore[arg-type]


def test_answers_are_those_of_all_classes() -> None:
    """Classes that do not occur in training have probability 0, and no score is lower."""
    found = of_predict(np.array([2, 0]), LABELS, 2, who="m")
    assert found.tolist() == [[0, 0, 1], [1, 0, 0]]
    found = of_probabilities([[0.25, 0.75]], [0, 2], LABELS, 1, who="m")
    assert found.exp()[0].tolist() == pytest.approx([0.25, 0, 0.75])
    found = of_scores(np.array([4.0, -2.0]), [0, 1], LABELS, 2, who="m")
    assert found.tolist() == [[-2, 2, -3], [1, -1, -2]]
    several = Task("features", 2, "labels", 2, 4)
    assert of_predict([[0, 1]], several, 1, who="m").tolist() == [[-1, 1]]
    pairs = [np.array([[0.25, 0.75]]), np.array([[1.0]])]  # the second label never occurs
    found = of_probabilities(pairs, [np.array([0, 1]), np.array([0])], several, 1, who="m")
    assert found.sigmoid()[0].tolist() == pytest.approx([0.75, 0])
    value = Task("features", 2, "value", 1, 4)
    assert of_predict([1.5, 2.5], value, 2, who="m").tolist() == [[1.5], [2.5]]


@pytest.mark.parametrize(
    ("convert", "found", "reason"),
    [
        (of_predict, [3], "predict has other classes than 0 to 2"),
        (of_predict, ["walking"], "predict has other classes"),
        (of_predict, [[0, 1]], r"predict returned shape \(1, 2\), expected \(1,\)"),
        (of_probabilities, [[0.5, 0.1, 0.1]], "that do not sum to 1"),
        (of_probabilities, [[2.0, -1.0, 0.0]], "not from 0 to 1"),
        (of_scores, [[1.0, math.nan, 0.0]], "other than finite numbers"),
        (of_scores, [[1.0, 0.0]], r"returned shape \(1, 2\), expected \(1, 3\)"),
    ],
)
def test_what_is_no_answer_is_refused(convert: Callable[..., Any], found: Any, reason: str) -> None:
    arguments = (found,) if convert is of_predict else (found, None)
    with pytest.raises(PluginError, match=reason):
        convert(*arguments, LABELS, 1, who="m")


def test_a_fit_gets_what_counts(fits: None) -> None:
    """Targets of weight 0 are left out; other weights are given to a fit that takes them."""
    half = torch.arange(60) % 2
    inputs, targets, weights = training_data(blobs(weights=half.float()).train, ragged=False)  # type: ignore[arg-type]
    assert (len(inputs), len(targets), weights) == (30, 30, None)
    unequal = blobs(weights=half + 0.5)
    given = fit("weighing", unequal).estimator.given
    assert np.array_equal(given, half + 0.5)
    assert fit("weighing", blobs()).estimator.given is None
    with pytest.raises(NotApplicable, match="the fit of centroid takes no sample_weight"):
        fit("centroid", unequal)


def test_sequences_of_unequal_length_are_not_padded(fits: None) -> None:
    splits = blobs(unequal=True)
    found = fit("centroid", splits)
    accuracy = evaluate(found, splits.test, device=CPU)
    offsets = splits.test.offsets
    assert offsets is not None
    alone = [splits.test.inputs[a:b].numpy() for a, b in itertools.pairwise(offsets)]
    right = found.estimator.predict(alone) == splits.test.targets.numpy()
    assert accuracy == pytest.approx(right.mean())
    assert 0.6 < accuracy < 1


def test_global_generators_are_seeded_and_restored(fits: None) -> None:
    splits = blobs()
    before = np.random.get_state()[1].tolist()  # type: ignore[index]
    one, same, other = (fit("projected", splits, seed).estimator.weights for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "form", "reason"),
    [
        ("projected", "probabilities", ""),
        ("ridge", "scores", ""),
        ("centroid", "classes", ""),
        ("certain", "classes", "its predict_proba returns only 0 and 1"),
    ],
)
def test_answers_say_what_the_methods_return(fits: None, name: str, form: str, reason: str) -> None:
    splits = blobs()
    observed = Observed(fit(name, splits))
    accuracy = evaluate(observed, splits.test, device=CPU)
    assert observed.choose_form().startswith(reason)
    assert observed.model.form == form
    assert evaluate(observed.model, splits.test, device=CPU) == accuracy
    assert evaluate(observed.replayed(), splits.test, device=CPU) == accuracy


def test_the_figure_is_that_of_predict(fits: None) -> None:
    """Probabilities that disagree with it do not count."""
    splits = blobs()
    found = fit("projected", splits)
    right = found.estimator.predict
    found.estimator.predict = lambda inputs: (right(inputs) + 1) % 3
    observed = Observed(found)
    accuracy = evaluate(observed, splits.test, device=CPU)
    assert "predict_proba and its predict disagree" in observed.choose_form()
    assert found.form == "classes"
    assert evaluate(found, splits.test, device=CPU) == accuracy < 0.5


def test_a_probability_of_0_makes_no_finite_cross_entropy(fits: None) -> None:
    splits = blobs()
    found = fit("projected", splits)
    proper = found.estimator.predict_proba
    chosen = metric("cross_entropy")
    with probabilities_of_zero(found):
        value = score_split(found, splits.test, device=CPU, choice=chosen).value
    p = proper(splits.test.inputs.numpy())[np.arange(30), splits.test.targets]
    assert value == pytest.approx(-np.log(p).mean(), rel=1e-5)
    found.estimator.predict_proba = lambda x: np.tile([0.5, 0.5, 0.0], (len(x), 1))
    why = "is inf, which is not a finite number.*; probabilities of the estimator are 0"
    with pytest.raises(NotApplicable, match=why), probabilities_of_zero(found):
        _ = score_split(found, splits.test, device=CPU, choice=chosen).value


def test_another_metric_can_be_primary_if_the_answers_have_what_it_needs(fits: None) -> None:
    splits, every = blobs(), {m.label: m for m in planned(METRICS).metrics}

    def figures(name: str, primary: str) -> dict[str, Any]:
        observed = Observed(fit(name, splits))
        evaluate(observed, splits.test, device=CPU)
        observed.choose_form()
        return evaluated(observed, splits, every[primary], [])

    found = figures("centroid", "macro_f1")
    counts = np.array(found["confusion"])
    f1 = 2 * counts.diagonal() / (counts.sum(0) + counts.sum(1))
    assert found["value"] == pytest.approx(f1.mean())
    assert found["accuracy"] == pytest.approx(counts.trace() / 30)
    assert 0.8 < figures("projected", "auroc")["value"] <= 1
    for name, form in (("centroid", "classes"), ("ridge", "scores")):
        why = (
            f"primary_metric: auroc needs probabilities, and an estimator's answers here are {form}"
        )
        with pytest.raises(NotApplicable, match=why):
            figures(name, "auroc")


def test_one_that_is_fitted_again_must_answer_the_same(fits: None) -> None:
    splits = blobs()
    for name in ("projected", "centroid"):
        recorded = record_fit(fit(name, splits, 3), splits)
        check_refit(refitted(model(name), splits, seed=3, form=""), splits, recorded)
    again = refitted(model("projected"), splits, seed=4, form="")
    recorded = record_fit(fit("projected", splits, 3), splits)
    with pytest.raises(NotApplicable, match="fitted again with the trial's seed, answers diff"):
        check_refit(again, splits, recorded)


def planned(text: str) -> Plan:
    registry = load_plugins()
    return make_plan(parse_suite(text, registry=registry), registry)


def test_training_settings_are_not_part_of_it(fits: None) -> None:
    suite = "{{datasets: [blobs], models: [centroid, rnn], train: {{epochs: {0}}}, devices: {1}}}"
    one, other = planned(suite.format(1, "[cpu]")), planned(suite.format(2, "[cpu, cuda]"))
    assert [case.device for case in other.cases] == ["cpu", "cpu", "cuda"]  # it is on the CPU
    assert one.cases[0].id == other.cases[0].id
    assert one.cases[1].id != other.cases[1].id
    with pytest.raises(SuiteError, match=r"models.0.train: not used: 'centroid' is an estima"):
        planned("{datasets: [blobs], models: [{centroid: {}, train: {epochs: 3}}]}")


METRICS = "{datasets: [blobs], models: [centroid], metrics: [macro_f1, auroc]}"

RUN = """
    datasets: [blobs]
    models: [{rnn: {hidden_size: 4}}, centroid, projected, loose, broken]
    metrics: [cross_entropy, right]
    train: {epochs: 1, batch_size: 50}
    seeds: 2
    measure:
      latency: {budget: 100ms, processes: 2, warm_up: 1ms, batch_sizes: [2], seq_lens: [4]}
    """


def test_estimators_in_a_run(
    fits: None, seqbench_cli: Callable[..., Any], write_suite: Callable[[str], Path], tmp_path: Path
) -> None:
    """They are rows of the same table; what cannot be measured of them says why."""
    suite = write_suite(RUN)
    done = seqbench_cli("run", suite, "--json")
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    cases = {case["label"]: case for case in document["cases"]}
    why = {
        label: {one["quantity"]: one["reason"] for one in case["unmeasured"]}
        for label, case in cases.items()
    }
    assert cases["projected"]["metric"]["mean"] > 0.6
    assert cases["projected"]["metric"]["last"] is None
    assert [at["length"] for at in cases["projected"]["latency"]] == [6, 4]
    assert cases["projected"]["train"] == {"threads": 1}
    assert cases["projected"]["memory"] is cases["projected"]["parameters"] is None
    assert why["projected"].keys() == {"cost", "macs"}
    assert cases["projected"]["scores"].keys() == {"cross_entropy", "right"}
    assert "an estimator's answers here are classes only" in why["centroid"]["cross_entropy"]
    assert cases["centroid"]["scores"]["right"]["mean"] == cases["centroid"]["metric"]["mean"]
    assert cases["loose"]["latency"] == []
    assert "fitted again with the trial's seed, answers differently" in why["loose"]["latency"]
    assert cases["loose"]["status"] == "ok"
    assert cases["broken"]["reason"].count("ValueError: not this kind of data") == 2
    shown = seqbench_cli("show", "--explain").stdout
    assert "Seeds gave the same answers: centroid." in shown
    assert "fitted, without training settings: centroid, projected, loose, broken." in shown
    assert "Training settings differ" not in shown
    run = Run.open(tmp_path / document["run"])
    module, _ = run.load_model("projected", seed=1)
    kept = run.predictions("projected", seed=1)
    assert kept.form == "probabilities"
    assert type(module.estimator).__name__ == "Projected"
    planned = seqbench_cli("run", suite, "--resume", run.path, "--dry-run").stdout
    assert "0 of 10 trials would run" in planned
    assert "latency: nothing would be timed" in planned


@pytest.mark.slow
def test_every_phase_and_output_takes_estimators(
    fits: None, seqbench_cli: Callable[..., Any], write_suite: Callable[[str], Path], tmp_path: Path
) -> None:
    """Unequal lengths, another length than fitted to, runtimes, memory, a target, a time limit."""
    suite = write_suite("""
        datasets:
          - {blobs: , label: plain}
          - {blobs: {unequal: true}, label: unequal}
          - {blobs: {target: value}, label: value}
          - {blobs: {weights: shares}, label: shares}
        models: [{gru: {hidden_size: 4}}, centroid, ridge, flat, weighing]
        train: {epochs: 1, batch_size: 50}
        seeds: 2
        target: accuracy >= 0.9
        keep: {weights: none}
        measure:
          latency: {budget: 100ms, processes: 2, warm_up: 1ms, batch_sizes: [2],
                    seq_lens: [4, as_data], threads: [1, 2], runtimes: [eager, compile]}
          memory: {batch_size: 4}
        """)  # fmt: skip
    done = seqbench_cli("run", suite, "--json")
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    cases = {(case["label"], case["dataset_label"]): case for case in document["cases"]}

    def why(model: str, dataset: str) -> str:
        case = cases[model, dataset]
        return "; ".join([case["reason"], *(one["reason"] for one in case["unmeasured"])])

    assert cases["ridge", "value"]["metric"]["name"] == "mse"
    assert cases["ridge", "value"]["metric"]["mean"] < 1e-3
    assert "centroid supports features/label, but" in why("centroid", "value")
    assert "'list' object has no attribute 'reshape'" in why("flat", "unequal")
    assert "the fit of centroid takes no sample_weight" in why("centroid", "shares")
    assert cases["weighing", "shares"]["metric"]["mean"] > 0.6
    assert "flat was not fitted to sequences of 4 steps" in why("flat", "plain")
    assert "an estimator has no runtimes but eager" in why("flat", "plain")
    assert "an estimator is timed on one thread only" in why("flat", "plain")
    assert "what it holds in memory is unknown" in why("flat", "plain")
    assert cases["flat", "plain"]["target"]["reason"] == "an estimator is not trained in steps"
    assert cases["gru", "plain"]["training_step"]
    mixed = [at for at in cases["ridge", "unequal"]["latency"] if "mixture" in at]
    assert [at["threads"] for at in mixed] == [1]
    run = tmp_path / document["run"]
    planned = seqbench_cli("run", suite, "--resume", run, "--dry-run").stdout
    assert "6 of 40 trials would run" in planned  # those that were skipped for their weights
    for arguments in (
        ("show", run, "--all"), ("show", run, "--pairs"), ("show", run, "--lengths"),
        ("show", run, "--memory"), ("show", run, "--format", "markdown"),
        ("show", run, "--format", "latex"), ("show", run, "--format", "csv"),
        ("report", run, "-o", "page.html"), ("export", run, "--format", "bmf"),
        ("export", run, "--format", "csv", "--table", "trials"),
        ("export", run, "--format", "csv", "--table", "curves"),
        ("run", suite, "--dry-run"),
    ):  # fmt: skip
        shown = seqbench_cli(*arguments)
        assert shown.returncode == 0, (arguments, shown.stderr)


@pytest.mark.parametrize(
    ("name", "check"), [("ridge", ""), ("loose", "repeatable"), ("flat", "unequal")]
)
def test_checks_of_estimators(fits: None, name: str, check: str) -> None:
    offer = load_plugins().look_up("model", name)
    found = list(run_checks(check_payload(offer, {}), local_workspace(Path())))
    failed = [one.check for one in found if one.result == "failed"]
    assert failed[:1] == ([check] if check else [])
