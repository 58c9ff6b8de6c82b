"""The sentences above charts and the methods paragraph: true, and no more than was tested."""

from __future__ import annotations

from typing import Any, cast

import pytest
from conftest import ROOT
from made_documents import FIGURES, TINY, made

from seqbench.records import Comparison
from seqbench.report.charts.sentences import (
    chosen_epochs,
    growth_of,
    growth_of_latency,
    pairs_in_words,
    slow_calls,
    spread_of_seeds,
    trade_offs,
)
from seqbench.report.charts.source import Group, RunData, groups, read_run, unique_names
from seqbench.report.page.merge import differing, merged
from seqbench.report.page.methods import citation, methods
from seqbench.report.run import Run
from seqbench.report.views.pairs import in_words
from seqbench.summary.schema import Document

AT = {"batch_size": 1, "length": 8, "threads": 1, "runtime": "eager"}


def timed(ratios: dict[tuple[int, int], tuple[float, str]]) -> Any:
    """Comparisons of latency, by the places of the cases in the suite: ratio and verdict."""

    def compare(ids: list[str]) -> list[Comparison]:
        return [
            Comparison("latency", ids[a], ids[b], "ratio", ratio, ratio * 0.99, ratio * 1.01, 0.001,
                       cast("Any", verdict), 5, settings=AT)
            for (a, b), (ratio, verdict) in ratios.items()
        ]  # fmt: skip

    return compare


def with_latency(document: Document, medians: list[float]) -> Document:
    """The document with a latency for each case."""
    for case, median in zip(document["cases"], medians, strict=True):
        entry = {**AT, "median_s": median, "low_s": 0.99 * median, "high_s": 1.01 * median,
                 "p90_s": 1.1 * median, "p99_s": 2 * median, "n": 1000, "processes": 5,
                 "spread": 0.1, "unstable": False, "steady": True}  # fmt: skip
        case["latency"] = [cast("Any", entry)]
    return document


def group(document: Document, runs: int = 1) -> Group:
    return groups(RunData(document, runs=runs))[0]


# rnn is worst in accuracy; places in the suite: rnn 0, lstm 1, gru 2.
RNN_SLOWEST = {(0, 1): (2.0, "worse"), (0, 2): (1.5, "worse"), (1, 2): (0.75, "better")}
RNN_FASTEST = {(0, 1): (0.5, "better"), (0, 2): (0.7, "better"), (1, 2): (1.3, "worse")}


def test_trade_offs_names_who_is_beaten_in_both() -> None:
    document = with_latency(made(FIGURES, comparisons=timed(RNN_SLOWEST)), [4e-4, 2e-4, 3e-4])
    sentence = trade_offs(group(document))
    assert sentence.startswith("In both accuracy and latency, rnn is worse than ")
    assert sentence.endswith("; no other case is known to be worse in both.")


def test_trade_offs_claims_nothing_else() -> None:
    document = with_latency(made(FIGURES, comparisons=timed(RNN_FASTEST)), [1e-4, 2e-4, 1.5e-4])
    assert trade_offs(group(document)) == (
        "No case is known to be worse than another in both accuracy and latency."
    )
    assert trade_offs(group(document, runs=2)) == ""  # cases of several runs are not compared
    untimed = made(FIGURES)
    assert trade_offs(group(untimed)) == ""


def test_spread_of_seeds_says_which_failed() -> None:
    document = made({"rnn": [0.5, 0.8], "lstm": [0.9, 0.9], "gru": [0.9, 0.91]}, diverged=("rnn",))
    assert spread_of_seeds(group(document)) == (
        "The seeds of gru span 1.0 points, those of lstm 0.0. Not all seeds of rnn succeeded."
    )


def test_chosen_epochs_are_per_trial() -> None:
    document = made(FIGURES, best_epoch=2)
    curves = {
        trial["id"]: [{"epoch": n, "train_loss": 1.0, "seconds": 1.0}
                      for n in range(1, 3 if trial["label"] == "rnn" else 5)]
        for trial in document["trials"]
    }  # fmt: skip
    found = groups(RunData(document, cast("Any", curves)))[0]
    assert chosen_epochs(found) == (
        "The best weights by validation are those of epoch 2. rnn is best at the last epoch for at "
        "least one seed: longer training might help."
    )


def test_chosen_epochs_without_success() -> None:
    document = made({"rnn": [0.5], "lstm": [0.5], "gru": [0.5]}, diverged=("rnn", "lstm", "gru"))
    assert chosen_epochs(group(document)) == "No trial succeeded."


def test_slow_calls_is_about_one_percentile_at_one_setting() -> None:
    document = with_latency(made(FIGURES), [1e-4, 2e-4, 3e-4])
    assert slow_calls(group(document)) == (
        "At batch 1, 1 % of the calls of lstm take at least 2.00× its median."
    )
    document["cases"][0]["latency"][0]["p99_s"] = None  # too few calls
    assert slow_calls(group(document)) == ""


def test_growth_has_its_setting_and_intervals() -> None:
    document = made(FIGURES)
    fit = {"batch_size": 4, "threads": 1, "runtime": "eager", "exponent": 0.9, "low": 0.8,
           "high": 1.0, "n": 5}  # fmt: skip
    exponents = {"latency": [fit], "macs": 1.0, "memory_inference": None, "memory_training": 2.0}
    document["cases"][0]["exponents"] = cast("Any", exponents)
    found = group(document)
    at = {"batch_size": 4, "threads": 1, "runtime": "eager"}
    assert growth_of_latency(found, at, "batch 4") == (
        "Latency at batch 4 grows with the length to the power of 0.90, 95 % CI 0.80–1.00 (rnn)."
    )
    assert growth_of_latency(found, {**at, "batch_size": 1}, "batch 1") == ""
    assert growth_of(found, "macs", "The number of MACs") == (
        "The number of MACs grows with the length to the power of 1.00 (rnn)."
    )
    assert growth_of(found, "memory_inference", "Memory") == ""


def test_pairs_are_counted() -> None:
    found = group(made(FIGURES))
    pairs = found.pairs(found.compared()[0])
    assert pairs_in_words(found, pairs) == (
        "2 of 3 pairs differ and 1 is not distinguishable, after correction for all pairs."
    )


def test_a_pair_in_words_without_an_end_of_its_interval() -> None:
    pair = {"quantity": "latency", "scale": "ratio", "effect": 2.0, "low": None, "high": 3.0,
            "p": None, "verdict": "no difference", "n": 3}  # fmt: skip
    assert in_words(pair, "a", "b", share=False) == "a ÷ b: 2.000. Not distinguishable."


def test_names_are_unique() -> None:
    document = made(FIGURES)
    for case, label in zip(document["cases"], ("x #2", "x", "x"), strict=True):
        case["label"] = label
    names = unique_names(group(document).table)
    assert list(names.values()) == ["x #2", "x", "x #3"]


def test_methods_say_what_was_done() -> None:
    text = methods(Run.open(ROOT / "results/reference/fashion").document)
    for part in (
        "4 models (rnn num_layers=1, rnn num_layers=2, lstm, gru) on fashion_mnist",
        "Each was trained with 3 seeds.",
        "4 epochs, batch 100, adam lr=0.004, cosine, gradients clipped to norm 1",
        "The weights of the best epoch by validation count.",
        "mean accuracy on the test split with its 95 % interval over seeds (Student's t)",
        "Welch's t test over seeds, in which",
        "batch size 1 and 64; length 28; threads 1; runtime eager",
    ):
        assert part in text
    assert "logarithm" not in text


def test_methods_count_failures_and_leave_out_what_was_not_done() -> None:
    document = made({"rnn": [0.5, 0.8], "lstm": [0.9, 0.9], "gru": [0.9, 0.91]}, diverged=("rnn",))
    text = methods(document)
    assert "Of 6 trainings, 1 failed." in text
    assert "Latency" not in text
    assert "Welch" not in text  # two seeds are not compared
    assert "logarithms of errors" in methods(made(FIGURES, dataset="adding"))


def test_citation_has_the_version() -> None:
    document = made(FIGURES)
    document["environment"] = {"seqbench": "9.8.7"}
    assert "version = {9.8.7}" in citation(document)


def test_several_runs_are_not_compared() -> None:
    one, two = made(FIGURES), made(FIGURES)
    two["environment"] = {"cpu": "another"}
    two["target"] = {"metric": "accuracy", "value": 0.6}
    runs = [RunData(one), RunData(two)]
    whole = merged(runs)
    assert len(whole.document["cases"]) == 6
    assert len({case["id"] for case in whole.document["cases"]}) == 6
    homes = [{each["a"][:2], each["b"][:2]} for each in whole.document["comparisons"]]
    assert all(len(home) == 1 for home in homes)
    assert whole.document["target"] is None
    lines = differing(runs)
    assert any(line.startswith("CPU: ") for line in lines)
    assert any(line.startswith("target") for line in lines)
    assert not differing([RunData(one), RunData(one)])


def test_runs_that_rank_a_dataset_by_different_metrics_share_no_table() -> None:
    one, two = made(FIGURES), made(FIGURES, text=f"{TINY}primary_metric: top_k\n    ", accuracy=0.5)
    runs = [RunData(one), RunData(two)]
    first, second = groups(merged(runs))
    assert [len(group.table.cases) for group in (first, second)] == [3, 3]
    assert [group.dataset for group in (first, second)] == [
        "parity", "parity primary_metric=top_k k=5",
    ]  # fmt: skip
    assert [group.table.metric_field for group in (first, second)] == [
        "accuracy",
        "score_top_k k=5",
    ]
    assert [column.field for column in second.compared()] == ["score_top_k k=5", "accuracy"]
    assert differing(runs) == ["primary metric: the task's own (x #1) and top_k k=5 (x #2)"]
    same = merged([RunData(two), RunData(two)])
    assert [group.dataset for group in groups(same)] == ["parity"]
    failed = made(
        FIGURES, text=f"{TINY}primary_metric: top_k\n    ", untrained=("rnn",), accuracy=0.5
    )
    (only,) = groups(RunData(failed))
    assert len(only.table.cases) == 3


def test_memory_at_different_batches_shares_no_column() -> None:
    one, two = (Run.open(ROOT / "results/reference/fashion").document for _ in range(2))
    for case in two["cases"]:
        memory = case["memory"]
        assert memory
        memory["batch_size"] = 1
    runs = [RunData(one), RunData(two)]
    assert all(case["memory"] is None for case in merged(runs).document["cases"])
    assert any("memory" in line for line in differing(runs))


def test_a_run_whose_folder_is_gone(tmp_path: Any) -> None:
    document = made(FIGURES)
    document["run"] = str(tmp_path / "gone")
    data = read_run(document)
    assert all("gone" in why for why in data.no_calls.values())
    assert len(data.no_calls) == len(document["cases"])


@pytest.mark.parametrize("name", ["fashion", "zoo", "fashion-2020", "fashion-2020-control"])
def test_reference_runs_have_sentences(name: str) -> None:
    for found in groups(read_run(Run.open(ROOT / "results/reference" / name).document)):
        for sentence in (trade_offs(found), spread_of_seeds(found), chosen_epochs(found),
                         slow_calls(found)):  # fmt: skip
            assert sentence == "" or sentence.endswith(".")
