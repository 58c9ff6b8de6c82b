"""``repeats: dataset.seed``: resamples of a dataset as repetitions, tested by hand and by scipy."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, cast

import numpy as np
import pytest
import scipy.stats
from conftest import install
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_documents import column, print_pairs, shown
from suite_registry import ORIGIN, REGISTRY

from seqbench.errors import SuiteError
from seqbench.plan.advice import advice
from seqbench.plan.expand import Plan, make_plan
from seqbench.plugins.registry import Offer, Plugin, Registry
from seqbench.records import CaseRecord, Comparison, Data, Measurement, Status, TrialRecord
from seqbench.report.caveats import caveats
from seqbench.report.notes import quality_notes
from seqbench.report.page.methods import methods
from seqbench.report.verdict.of_run import verdict_of
from seqbench.stats.power import POWER, resamples_needed
from seqbench.stats.resamples import paired_difference, paired_differences, resampled_interval
from seqbench.store.stored_plan import StoredPlan
from seqbench.suite.validate import parse_suite
from seqbench.summary.document import build_document
from seqbench.summary.overview import leader_of
from seqbench.summary.schema import Document, check_document
from seqbench.types import DatasetSpec

#: Like the registry of the other tests, but its parity is generated.
GENERATED = Registry(
    tuple(
        Plugin(
            ORIGIN,
            tuple(
                Offer(dataclasses.replace(offer.spec, generated=True), ORIGIN)
                if offer.spec.name == "parity"
                else offer
                for offer in plugin.offers
            ),
        )
        for plugin in REGISTRY.plugins
    )
)
SIZES = Data(train=80, validation=20, test=25, length=8, input_size=2, output_size=2)

figures = st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=3, max_size=9)


# ------------------------------------------------------------------------------------- statistics


def test_an_interval_over_resamples_by_hand() -> None:
    # Mean 2, s = 1; t(0.975, 2) = 4.302653.
    found = resampled_interval([1, 2, 3], 0.0)
    assert found["mean"] == 2
    assert found["n"] == 3
    assert found["high"] - 2 == pytest.approx(4.302653 / 3**0.5)
    # A quarter as many test sequences as others: 1/3 + 1/4 = 7/12.
    assert resampled_interval([1, 2, 3], 0.25)["high"] - 2 == pytest.approx(
        4.302653 * (7 / 12) ** 0.5
    )
    assert resampled_interval([1, 2, 3], None)["low"] is None
    assert resampled_interval([1], 0.0)["low"] is None


@given(figures)
@settings(deadline=None)
def test_an_interval_over_independent_resamples_equals_scipys(values: list[float]) -> None:
    assume(max(values) > min(values))
    found = resampled_interval(values, 0.0)
    low, high = scipy.stats.t.interval(
        0.95, len(values) - 1, np.mean(values), scipy.stats.sem(values)
    )
    assert (found["low"], found["high"]) == pytest.approx((low, high), rel=1e-6, abs=1e-9)


@given(figures, figures)
@settings(deadline=None)
def test_the_paired_test_equals_scipys(a: list[float], b: list[float]) -> None:
    n = min(len(a), len(b))
    (found,) = paired_differences([[x - y for x, y in zip(a, b, strict=False)]], 0.0)
    assume(found.error > 1e-6)
    expected = scipy.stats.ttest_rel(a[:n], b[:n])
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert found.interval == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)


def test_the_corrected_paired_test_by_hand() -> None:
    # Mean 2, s = 1 of three: t = 2 / √(1/3 + 1/4) = 2.6186, not 2 / √(1/3) = 3.4641.
    (found,) = paired_differences([[1, 2, 3]], 0.25)
    assert found.effect / found.error == pytest.approx(2.6186, rel=1e-4)
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(2.61861, 2), rel=1e-4)


def test_a_small_variance_counts_as_that_of_other_pairs() -> None:
    found = paired_differences([[1, 1, 1], [0, 1, 2], [0, 2, 4]], 0.0)
    # Variances 0, 1 and 4; their two-thirds quantile is at place 4/3: 1 + (4 - 1) / 3 = 2.
    assert [3 * one.error**2 for one in found] == pytest.approx([2, 2, 4])
    (alone,) = paired_differences([[1, 1, 1]], 0.0)
    assert alone.p == 0


def power(effect: float, n: int, overlap: float, alpha: float) -> float:
    critical = scipy.stats.t.ppf(1 - alpha / 2, n - 1)
    shift = effect / (1 / n + overlap) ** 0.5
    distribution = scipy.stats.nct(n - 1, shift)
    return float(distribution.sf(critical) + distribution.cdf(-critical))


@pytest.mark.parametrize("effect", [0.4, 1.0, 2.0])
@pytest.mark.parametrize("overlap", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 3])
def test_the_resamples_needed_are_the_fewest_with_enough_power(
    effect: float, overlap: float, alpha: float
) -> None:
    found = resamples_needed(paired_difference(effect, 1.0, 5, overlap), 5, overlap, alpha)
    if power(effect, 1000, overlap, alpha) < POWER:
        assert found is None
    else:
        assert found is not None
        assert power(effect, found, overlap, alpha) >= POWER - 1e-6
        assert found == 3 or power(effect, found - 1, overlap, alpha) < POWER


# ----------------------------------------------------------------------------------- the document


def suite(resamples: int, models: str = "rnn, lstm", more: str = "") -> str:
    values = list(range(10, 10 + resamples))
    return (
        f"datasets: [parity: {{seed: {values}}}]\nmodels: [{models}]\n"
        f"repeats: dataset.seed\n{more}\n"
    )


Figures = dict[str, Sequence[Sequence[float]]]


def made(
    some: Figures,
    *,
    registry: Registry = GENERATED,
    more: str = "",
    failed: tuple[str, int, int] | None = None,
    data: Data | None = SIZES,
    shapes: Sequence[int] = (),
    cases: Callable[[Plan], list[CaseRecord]] = lambda plan: [],
    comparisons: Callable[[Plan], list[Comparison]] = lambda plan: [],
    metrics: Callable[[int, float], dict[str, Any]] = lambda resample, value: {},
) -> Document:
    """The document of a run with these figures: by model, then by resample and seed.

    Args:
        metrics: further ones, from the number of the resample and the figure.
        failed: model, resample and seed of a trial that failed.
        shapes: the length of the data of each resample.
    """
    count, seeds = len(next(iter(some.values()))), len(next(iter(some.values()))[0])
    text = suite(count, ", ".join(some), f"{more}\nseeds: {seeds}")
    parsed = parse_suite(text, registry=registry)
    plan = make_plan(parsed, registry).on({"cpu": ""})
    trials = []
    for trial in plan.trials:
        resample = trial.case.dataset.params["seed"] - 10
        value = some[trial.case.label][resample][trial.seed]
        bad = failed == (trial.case.label, resample, trial.seed)
        status: Status = "failed" if bad else "ok"
        found: Any = {"value": value, "last": value, "best": value, "best_epoch": 1,
                      **metrics(resample, value)}  # fmt: skip
        own = data
        if data and shapes:
            own = cast("Data", {**data, "length": shapes[resample]})
        trials.append(
            TrialRecord(
                trial.id, trial.case.id, trial.seed, status, "broken" if bad else "", "accuracy",
                {} if bad else found, data=own, initial=f"weights {trial.seed}",
                curve=({"epoch": 1, "train_loss": 1.0, "validation": value, "seconds": 1.0,
                        "steps": 100},),
            )
        )  # fmt: skip
    return build_document(
        "results/x",
        state={"suite": "x", "status": "finished"},
        plan=cast("StoredPlan", json.loads(json.dumps(plan.to_dict()))),
        environment={},
        trials=trials,
        cases=cases(plan),
        comparisons=comparisons(plan),
    )


#: Resamples differ more than models do, but alike for both.
EASY_AND_HARD: Figures = {
    "rnn": [[0.60, 0.62], [0.70, 0.70], [0.80, 0.84], [0.90, 0.90]],
    "lstm": [[0.65, 0.63], [0.70, 0.74], [0.86, 0.84], [0.93, 0.96]],
}


def test_resamples_form_one_row_with_the_mean_of_their_means() -> None:
    document = made(EASY_AND_HARD)
    check_document({**document, "file": "", "started": "", "seconds": 1.0})
    assert [case["label"] for case in document["cases"]] == ["rnn", "lstm"]
    rnn = document["cases"][0]
    assert rnn["dataset_label"] == "parity"
    assert rnn["dataset_params"]["seed"] == [10, 11, 12, 13]
    assert rnn["seeds"] == {"ok": 8}
    means = [0.61, 0.70, 0.82, 0.90]
    low, high = scipy.stats.t.interval(0.95, 3, mean(means), scipy.stats.sem(means))
    metric = rnn["metric"]
    assert metric is not None
    assert metric["n"] == 4
    assert (metric["mean"], metric["low"], metric["high"]) == pytest.approx(
        (mean(means), low, high)
    )
    assert {trial["case"] for trial in document["trials"]} == {
        case["id"] for case in document["cases"]
    }
    assert [trial["resample"] for trial in document["trials"][:4]] == [10, 10, 10, 10]


def test_models_are_compared_on_the_same_resamples() -> None:
    (found,) = made(EASY_AND_HARD)["comparisons"]
    means = {name: [mean(some) for some in values] for name, values in EASY_AND_HARD.items()}
    expected = scipy.stats.ttest_rel(means["rnn"], means["lstm"])
    assert found["p"] == pytest.approx(expected.pvalue)
    assert found["over"] == "resamples"
    assert found["verdict"] == "worse"
    assert found["n"] == 4
    assert found["df"] == 3
    interval = expected.confidence_interval()
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))
    # A test that did not know which figures are of the same resample would find nothing.
    assert scipy.stats.ttest_ind(means["rnn"], means["lstm"], equal_var=False).pvalue > 0.5


def test_resamples_that_overlap_have_wider_intervals() -> None:
    independent, split = made(EASY_AND_HARD), made(EASY_AND_HARD, registry=REGISTRY)
    # 25 test sequences and 100 others, of which 20 are for validation.
    factor = (1 / 4 + 25 / 100) ** 0.5 / (1 / 4) ** 0.5

    def half(document: Document) -> float:
        metric = document["cases"][0]["metric"]
        assert metric is not None
        assert metric["low"] is not None
        return metric["mean"] - metric["low"]

    assert half(split) == pytest.approx(factor * half(independent))
    assert split["cases"][0]["resamples"]["overlap"] == 0.25
    (found,), (other,) = split["comparisons"], independent["comparisons"]
    assert found["effect"] == other["effect"]
    assert found["low"] is not None
    assert other["low"] is not None
    assert found["effect"] - found["low"] == pytest.approx(
        factor * (other["effect"] - other["low"])
    )
    assert "Nadeau and Bengio; 0.25 test sequences" in " ".join(quality_notes(split, []))
    assert "Nadeau and Bengio (2003)" in methods(split)
    assert "generated again" in " ".join(quality_notes(independent, []))


def test_no_interval_if_the_overlap_is_unknown() -> None:
    document = made(EASY_AND_HARD, registry=REGISTRY, data=None)
    metric = document["cases"][0]["metric"]
    assert metric is not None
    assert metric["mean"] == pytest.approx(0.7575)
    assert metric["low"] is None
    assert document["comparisons"] == []
    assert "no interval or test holds" in " ".join(quality_notes(document, []))
    assert "were not compared" in str(verdict_of(document)[0])


def test_a_failed_seed_of_a_resample_keeps_the_case_from_being_compared() -> None:
    some = {**EASY_AND_HARD, "gru": EASY_AND_HARD["rnn"]}
    document = made(some, failed=("lstm", 1, 0))
    labels = {case["id"]: case["label"] for case in document["cases"]}
    assert [(labels[each["a"]], labels[each["b"]]) for each in document["comparisons"]] == [
        ("rnn", "gru")
    ]
    found = column(document, "accuracy")
    assert found.rivals[1] == ""
    assert not found.top[1]
    lstm = document["cases"][1]
    assert lstm["status"] == "failed"
    assert lstm["reason"] == "resample 11, seed 0: broken"
    # The mean is over resamples, of what succeeded in each.
    assert lstm["metric"] is not None
    assert lstm["metric"]["mean"] == pytest.approx(mean([0.64, 0.74, 0.85, 0.945]))
    text = " ".join(shown(document, width=120).split())
    assert "lstm resample 11, seed 0: failed: broken" in text
    assert "7 trials" in text


def test_two_resamples_are_too_few_whatever_the_number_of_seeds() -> None:
    two: Figures = {name: values[:2] for name, values in EASY_AND_HARD.items()}
    document = made(two)
    (found,) = document["comparisons"]
    assert (found["verdict"], found["p"], found["needed"]) == ("too few resamples", None, 3)
    text = str(verdict_of(document)[0])
    assert "2 resamples are too few to compare" in text
    assert "A comparison takes at least 3 resamples." in text
    assert verdict_of(document)[0].seeds is None
    assert "too few resamples (3 needed)" in shown(document, width=120, of=print_pairs)


def test_the_texts_speak_of_resamples() -> None:
    document = made(EASY_AND_HARD)
    text = " ".join(shown(document, width=120).split())
    assert "2 cases × 4 resamples × 2 seeds" in text
    assert "4 × 2" in text
    assert "accuracy: paired t test over resamples" in text
    assert "mean over resamples (of each the mean over its seeds)" in text
    assert "metrics over resamples: paired t test" in shown(document, width=250, of=print_pairs)
    assert "Each was trained with 4 resamples × 2 seeds." in methods(document)
    assert "paired t test" in methods(document)
    assert "Welch" not in text + methods(document)


def test_a_proposal_names_resamples() -> None:
    close: Figures = {
        "rnn": [[0.80], [0.80], [0.84], [0.90]],
        "lstm": [[0.82], [0.83], [0.83], [0.95]],
    }
    document = made(close)
    (found,) = document["comparisons"]
    assert found["verdict"] == "no difference"
    assert found["needed"] is not None
    text = str(verdict_of(document)[0])
    assert f"With {found['needed']} resamples it may be possible to tell lstm from rnn." in text
    assert "list more values of the dataset's seed" in text
    split = made(close, registry=REGISTRY, data=cast("Data", {**SIZES, "test": 1000}))
    assert split["comparisons"][0]["needed"] is None
    assert "more of them may not tell lstm from rnn" in str(verdict_of(split)[0])


def test_a_margin_is_tested_over_resamples() -> None:
    alike: Figures = {
        "rnn": [[0.600], [0.700], [0.800], [0.900]],
        "lstm": [[0.601], [0.700], [0.799], [0.901]],
    }
    (found,) = made(alike, more="margin: {accuracy: 1pp}")["comparisons"]
    # TOST by hand: differences of mean -0.00025, s = 0.00095743, error s / 2.
    differences = [a[0] - b[0] for a, b in zip(*alike.values(), strict=True)]
    error = float(np.std(differences, ddof=1)) / 2
    expected = scipy.stats.t.sf((0.01 - abs(mean(differences))) / error, 3)
    assert found["p_equivalent"] == pytest.approx(expected, rel=1e-6)
    assert found["verdict"] == "equivalent"


def test_letters_and_marks_follow_from_the_comparisons_over_resamples() -> None:
    some = {**EASY_AND_HARD, "gru": [[v + 0.001 for v in one] for one in EASY_AND_HARD["lstm"]]}
    document = made(some)
    labels = {case["id"]: case["label"] for case in document["cases"]}
    verdicts = {
        (labels[each["a"]], labels[each["b"]]): each["verdict"] for each in document["comparisons"]
    }
    assert verdicts[("rnn", "lstm")] == verdicts[("rnn", "gru")] == "worse"
    assert verdicts[("lstm", "gru")] == "no difference"
    assert column(document, "accuracy").letters == ("b", "a", "a")


def latency(median: float) -> Measurement:
    return Measurement(
        "latency", "s", {"batch_size": 1, "threads": 1, "length": 8, "runtime": "eager"},
        {"median_s": median, "low_s": median, "high_s": median, "p90_s": None, "p99_s": None,
         "n": 100, "processes": 2, "spread": 0.1, "unstable": False, "steady": True},
    )  # fmt: skip


def test_latency_is_that_of_the_first_resample() -> None:
    def ids(plan: Plan, resample: int) -> list[str]:
        return [case.id for case in plan.cases if case.dataset.params["seed"] == resample]

    def cases(plan: Plan) -> list[CaseRecord]:
        # Of an earlier plan, there is also a measurement of another resample.
        first, later = ids(plan, 10), ids(plan, 11)
        return [
            CaseRecord(case, (latency(number + 1.0),))
            for number, case in enumerate((*first, *later))
        ]

    def comparisons(plan: Plan) -> list[Comparison]:
        pairs = [ids(plan, resample) for resample in (10, 11)]
        return [
            Comparison(
                "latency", a, b, scale="ratio", effect=0.5, low=0.4, high=0.6, p=0.01,
                verdict="better", n=2, p_corrected=0.01,
            )
            for a, b in pairs
        ]  # fmt: skip

    document = made(EASY_AND_HARD, cases=cases, comparisons=comparisons)
    assert [case["latency"][0]["median_s"] for case in document["cases"]] == [1.0, 2.0]
    timed = [each for each in document["comparisons"] if each["quantity"] == "latency"]
    assert [(each["a"], each["b"]) for each in timed] == [
        tuple(case["id"] for case in document["cases"])
    ]
    assert timed[0]["over"] == ""
    assert "models of the first resample" in " ".join(quality_notes(document, []))


def test_a_warning_if_the_resamples_differ_in_shape() -> None:
    def cases(plan: Plan) -> list[CaseRecord]:
        return [CaseRecord(plan.cases[0].id, (latency(1.0),))]

    document = made(EASY_AND_HARD, cases=cases, shapes=[8, 8, 9, 8])
    assert "resamples of parity differ in length" in " ".join(caveats(document))
    assert "differ in" not in " ".join(caveats(made(EASY_AND_HARD, cases=cases)))


def test_equal_seeds_on_two_resamples_are_no_reason_for_a_warning() -> None:
    assert not [line for line in caveats(made(EASY_AND_HARD)) if "same weights" in line]


def test_steps_to_a_target_count_every_trial() -> None:
    document = made(EASY_AND_HARD, more="target: accuracy >= 0.8")
    found = document["cases"][0]["target"]
    assert found is not None
    assert (found["reached"], found["of"]) == (4, 8)
    assert [one["resample"] for one in found["seeds"]] == [10, 10, 11, 11, 12, 12, 13, 13]


# ---------------------------------------------------------------------------------------- the plan


def planned(text: str, registry: Registry = GENERATED) -> Plan:
    return make_plan(parse_suite(textwrap.dedent(text), registry=registry), registry)


def test_cases_keep_their_ids() -> None:
    pooled, grid = planned(suite(3)), planned(suite(3).replace("repeats: dataset.seed", ""))
    assert [case.id for case in pooled.cases] == [case.id for case in grid.cases]
    assert [case.name for case in pooled.cases] == [case.name for case in grid.cases]
    assert "resample" not in grid.cases[0].to_dict()
    assert pooled.cases[0].to_dict()["resample"] == {
        "parameter": "seed", "dataset_label": "parity", "generated": True,
        "row": pooled.cases[0].row,
    }  # fmt: skip
    assert len({case.row for case in pooled.cases}) == 2
    assert {case.row for case in planned(suite(5)).cases} == {case.row for case in pooled.cases}


def test_other_parameters_remain_a_grid() -> None:
    plan = planned("""
        datasets:
          - parity: {length: [4, 8], seed: [0, 1, 2]}
          - parity: {seed: [0, 1], train_size: 7}
            label: few
        models: [rnn]
        repeats: dataset.seed
        """)
    labels = {case.row: case.resample.dataset_label for case in plan.cases if case.resample}
    assert list(labels.values()) == ["parity length=4", "parity length=8", "few"]
    assert len(plan.cases) == 8


def test_a_dataset_without_a_seed_of_its_own_is_not_pooled() -> None:
    plan = planned("""
        datasets: [fashion_mnist, parity: {seed: [0, 1, 2]}]
        models: [rnn]
        repeats: dataset.seed
        """)
    assert [case.resample is not None for case in plan.cases] == [False, True, True, True]


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ("[parity]", "datasets.0: repeats: dataset.seed pools at least two values"),
        ("[parity: {seed: 3}]", "datasets.0.parity.seed: repeats: dataset.seed pools at least two"),
        ("[parity: {seed: [3]}]", "as in parity: {seed: [0, 1, 2]}"),
        ("[fashion_mnist]", "repeats: no dataset has a parameter 'seed' of its own: fashion_mnist"),
    ],
)
def test_what_cannot_be_pooled_is_an_error(datasets: str, message: str) -> None:
    text = f"datasets: {datasets}\nmodels: [rnn]\nrepeats: dataset.seed\n"
    with pytest.raises(SuiteError) as found:
        parse_suite(text, registry=REGISTRY)
    assert message in str(found.value)


def test_only_a_datasets_seed_can_be_pooled() -> None:
    text = suite(3).replace("dataset.seed", "seed")
    with pytest.raises(SuiteError, match="repeats"):
        parse_suite(text, registry=REGISTRY)


def test_advice_counts_resamples_instead_of_seeds() -> None:
    assert advice(planned(suite(3, more="seeds: 1"))) == []
    assert "2 resamples of parity cannot show" in advice(planned(suite(2, more="seeds: 9")))[0]


def test_only_a_dataset_with_a_seed_can_be_generated() -> None:
    with pytest.raises(ValueError, match="no parameter 'seed'"):
        DatasetSpec("d", "a:b", {"size": 3}, generated=True)


# ------------------------------------------------------------------------------------- a whole run

SPLIT = """
    import numpy as np
    import seqbench

    @seqbench.hookimpl
    def seqbench_datasets():
        return [seqbench.DatasetSpec("archive", load="archive:load", parameters={"seed": 0})]

    def load(context, seed):
        random = np.random.RandomState(0)
        x = random.randn(90, 6, 2).astype("float32")
        y = (x[:, :, 0].sum(1) > 0).astype("int64")
        order = np.random.RandomState(seed).permutation(90)
        train, test = order[:60], order[60:]
        return seqbench.Splits(
            seqbench.Task("features", 2, "label", 2, length=6),
            train=(x[train], y[train]), test=(x[test], y[test]),
        )
    """


def test_a_real_run_and_more_resamples_of_it(
    seqbench_cli: Callable[..., Any],
    write_suite: Callable[..., Path],
    site: Path,
    tmp_path: Path,
) -> None:
    install(site, "archive", {"archive": SPLIT}, "archive = archive")
    text = """
        datasets: [archive: {seed: [0, 1, 2]}]
        models: [{rnn: {hidden_size: 4}}, {gru: {hidden_size: 4}}]
        repeats: dataset.seed
        train: {epochs: 2, batch_size: 20}
        seeds: 2
        metrics: [cross_entropy]
        measure:
          latency: {budget: 100ms, batch_sizes: [1], processes: 2, warm_up: 1ms}
        """
    done = seqbench_cli("run", write_suite(text))
    assert done.returncode == 0, done.stderr
    assert "2 cases × 3 resamples × 2 seeds" in " ".join(done.stdout.split())
    document = json.loads(seqbench_cli("show", "--format", "json").stdout)
    assert [case["seeds"] for case in document["cases"]] == [{"ok": 6}, {"ok": 6}]
    for case in document["cases"]:
        assert case["resamples"]["overlap"] == 30 / 60
        values: dict[int, list[float]] = {}
        for trial in document["trials"]:
            if trial["case"] == case["id"]:
                values.setdefault(trial["resample"], []).append(trial["metrics"]["value"])
        means = [mean(some) for some in values.values()]
        half = scipy.stats.t.ppf(0.975, 2) * np.std(means, ddof=1) * (1 / 3 + 1 / 2) ** 0.5
        assert case["metric"]["mean"] == pytest.approx(mean(means))
        assert case["metric"]["high"] - case["metric"]["mean"] == pytest.approx(half)
        assert case["scores"]["cross_entropy"]["n"] == 3
        assert case["latency"]
    quantities = {each["quantity"]: each for each in document["comparisons"]}
    assert quantities["accuracy"]["over"] == quantities["cross_entropy"]["over"] == "resamples"
    assert quantities["latency"]["over"] == ""
    assert "test split, 3 resamples × 2 seeds" in seqbench_cli("show", "--confusion", "gru").stdout
    assert seqbench_cli("list").returncode == 0
    for table in ("trials", "curves"):
        exported = seqbench_cli("export", "--format", "csv", "--table", table)
        assert exported.returncode == 0, exported.stderr
        assert ",resample," in exported.stdout
    more = write_suite(text.replace("[0, 1, 2]", "[0, 1, 2, 3]"))
    again = seqbench_cli("run", more, "--resume", document["run"])
    assert again.returncode == 0, again.stderr
    assert "latency:" not in again.stderr
    resumed = json.loads(seqbench_cli("show", "--format", "json").stdout)
    assert [case["id"] for case in resumed["cases"]] == [case["id"] for case in document["cases"]]
    assert [case["metric"]["n"] for case in resumed["cases"]] == [4, 4]
    assert [case["latency"] for case in resumed["cases"]] == [
        case["latency"] for case in document["cases"]
    ]


def test_the_leader_of_a_run_is_that_of_the_means_over_resamples() -> None:
    plan = planned(suite(2, "rnn, gru", "seeds: 1")).on({"cpu": ""})
    value = {"rnn": (0.6, 0.8), "gru": (0.9, 0.3)}
    trials = [
        TrialRecord(
            trial.id, trial.case.id, trial.seed, "ok", "", "accuracy",
            cast("Any", {"value": value[trial.case.label][trial.case.dataset.params["seed"] - 10]}),
        )
        for trial in plan.trials
    ]  # fmt: skip
    stored = cast("StoredPlan", plan.to_dict())
    found = leader_of(stored, trials)
    assert found.label == "rnn"
    assert found.value == pytest.approx(0.7)
    assert leader_of(stored, trials[:-1]).label == "rnn"  # gru is not complete
    assert leader_of(stored, trials[1:]).label == "gru"
