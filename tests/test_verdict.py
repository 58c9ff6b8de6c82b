"""The verdict: its sentences say what the comparisons found, and stay in view."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from made_documents import FIGURES, made
from rich.cells import cell_len
from rich.console import Console

from seqbench.records import Comparison, TrialRecord, Verdict
from seqbench.report.exports.markdown import to_markdown
from seqbench.report.run import Run
from seqbench.report.terminal.report import Options, print_report
from seqbench.report.verdict.of_run import verdict_of
from seqbench.summary.document import build_document
from seqbench.summary.schema import Document

REFERENCE = ROOT / "results" / "reference"


def sentences(document: Document) -> dict[str, str]:
    """The statements of the first part, by topic."""
    found: dict[str, str] = {}
    for each in verdict_of(document)[0].statements:
        found[each.topic] = found.get(each.topic, "") + str(each).partition(": ")[2]
    return found


def lines_of(document: Document, width: int = 80, height: int = 24, **options: Any) -> list[str]:
    """What a terminal of that size shows."""
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, highlight=False, force_terminal=True,
                      color_system=None)  # fmt: skip
    print_report(document, console, Options(**options))
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    wrapped = [line for line in lines if not line.startswith(("next:", "results:"))]
    assert max(map(cell_len, wrapped)) <= width
    return lines


def spread(middle: float, step: float, seeds: int = 3) -> list[float]:
    return [middle + step * (seed - (seeds - 1) / 2) for seed in range(seeds)]


APART = {"rnn": spread(0.8, 0.001), "lstm": spread(0.9, 0.001), "gru": spread(0.7, 0.001)}
TWO = "datasets: [parity]\nmodels: [rnn, lstm]\n"


# ------------------------------------------------------------------------------------- the metric


def test_a_leader_that_is_better_than_all_is_best() -> None:
    document = made(APART)
    text = sentences(document)["Accuracy"]
    assert text == (
        "lstm is best: 90.0 % (95 % CI 89.8–90.2). rnn (-10.0 points) and gru (-20.0) are worse."
    )
    assert verdict_of(document)[0].statements[0].kind == "certain"


def test_cases_that_cannot_be_told_from_the_leader_are_named_with_what_would_settle_it() -> None:
    document = made({name: some[:4] for name, some in FIGURES.items()})
    text = sentences(document)["Accuracy"]
    assert text == (
        "lstm leads: 90.3 % (95 % CI 89.9–90.7). rnn (-10.1 points) is worse. gru (0.0 points) is "
        "not distinguishable from it."
    )
    assert verdict_of(document)[0].statements[0].kind == "uncertain"


def test_more_seeds_are_proposed_only_if_few_are_enough() -> None:
    close = made({"rnn": spread(0.80, 0.01), "lstm": spread(0.82, 0.01)}, text=TWO)
    text = sentences(close)["Accuracy"]
    (found,) = close["comparisons"]
    assert found["verdict"] == "no difference"
    assert f"With {found['needed']} seeds it may be possible to tell lstm from rnn." in text
    needed = found["needed"]
    assert needed is not None
    command = f"seqbench run --resume results/x --seeds {needed} # {needed - 3} more seeds per case"
    assert f"next: {command}" in lines_of(close)
    equal = made({"rnn": spread(0.80, 0.01), "lstm": spread(0.8001, 0.01)}, text=TWO)
    text = sentences(equal)["Accuracy"]
    assert "To tell lstm from rnn may take more than 1,000 seeds." in text


def test_without_any_difference_there_is_no_winner() -> None:
    text = sentences(made({"rnn": spread(0.80, 0.01), "lstm": spread(0.81, 0.01)}, text=TWO))
    assert text["Accuracy"].startswith(
        "no winner: lstm (81.0 %) and rnn (80.0 %) cannot be told apart."
    )


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_prove_nothing(seeds: int) -> None:
    document = made({"rnn": [0.8] * seeds, "lstm": [0.9] * seeds}, text=TWO)
    text = sentences(document)["Accuracy"]
    few = "1 seed is" if seeds == 1 else "2 seeds are"
    assert text == (
        f"no winner: {few} too few to compare lstm (90.0 %) and rnn (80.0 %). "
        "A comparison takes at least 3 seeds."
    )
    assert any("--seeds 3" in line for line in lines_of(document))


def test_a_case_with_too_few_seeds_does_not_silence_the_others() -> None:
    document = growing({"rnn": spread(0.8, 0.001), "lstm": spread(0.9, 0.001), "gru": [0.7, 0.7]})
    text = sentences(document)["Accuracy"]
    assert text.startswith("lstm leads: 90.0 %")
    assert "rnn (-10.0 points) is worse. gru has fewer than 3 seeds." in text


def growing(figures: dict[str, list[float]]) -> Document:
    """A run in which some models have fewer seeds than others."""
    document: Any = made({name: (some * 2)[:3] for name, some in figures.items()})
    ids = {case["label"]: case["id"] for case in document["cases"]}
    records = [
        TrialRecord(f"{ids[name]}-s{seed}", ids[name], seed, "ok", "", "accuracy",
                    {"value": value, "last": value, "best": value})
        for name, some in figures.items() for seed, value in enumerate(some)
    ]  # fmt: skip
    cases = [
        {"id": c["id"], "label": c["label"], "train": c["train"], "device": c["device"],
         "model": {"name": c["model"], "params": c["params"], "distribution": "d", "version": "1"},
         "dataset": {"name": c["dataset"], "params": {}, "distribution": "d", "version": "1"}}
        for c in document["cases"]
    ]  # fmt: skip
    trials = [{"id": r.id, "case": r.case, "seed": r.seed} for r in records]
    plan: Any = {"cases": cases, "trials": trials}
    return build_document(
        "results/x", state={"suite": "x", "status": "finished"}, plan=plan, environment={},
        trials=records, cases=[],
    )  # fmt: skip


def test_a_single_case_is_only_described() -> None:
    document = made({"rnn": spread(0.8, 0.001)}, text="datasets: [parity]\nmodels: [rnn]\n")
    assert sentences(document)["Accuracy"] == "rnn: 80.0 % (95 % CI 79.8–80.2)."


def test_errors_are_compared_by_their_ratio() -> None:
    document = made(
        {"rnn": [0.1, 0.11, 0.12], "lstm": [0.001, 0.0011, 0.0012], "gru": [0.02, 0.021, 0.022]},
        dataset="adding",
    )
    text = sentences(document)["mse"]
    assert text.startswith("lstm is best: 0.00110 (95 % CI ")
    assert "gru (typically 19× the mse) and rnn (100×) are worse." in text


def test_a_difference_that_does_not_survive_the_correction_is_named() -> None:
    document = made(
        {"rnn": spread(0.80, 0.003), "lstm": spread(0.812, 0.003), "gru": spread(0.8045, 0.003)}
    )
    text = sentences(document)["Accuracy"]
    assert "p < 0.05, but not after correction for 3 pairs" in text


def test_equivalent_cases_are_named_with_the_margin() -> None:
    document = made(
        {"rnn": spread(0.80, 0.001), "lstm": spread(0.9, 0.001), "gru": spread(0.9005, 0.001)},
        text="datasets: [parity]\nmodels: [rnn, lstm, gru]\nmargin: {accuracy: 1pp}\n",
    )
    text = sentences(document)["Accuracy"]
    assert (
        "rnn (-10.0 points) is worse. lstm (-0.05 points) is equivalent (within 1 point)." in text
    )


def test_a_case_with_a_failed_seed_cannot_lead() -> None:
    document = made(FIGURES, diverged=("lstm",))
    found = sentences(document)
    assert found["Failed"].startswith("1 of 24 trials diverged: lstm (seed 0)")
    assert found["Accuracy"].startswith("gru is best of the cases without failures: 90.7 %")
    assert "lstm is left out, since a seed failed." in found["Accuracy"]
    assert verdict_of(document)[0].statements[1].kind == "uncertain"


def test_skipped_trials_have_not_failed() -> None:
    document: Any = made(FIGURES)
    for trial in document["trials"]:
        if trial["label"] == "lstm":
            trial.update(status="skipped", reason="no device")
    assert "Failed" not in sentences(document)


def test_each_reason_of_a_failure_is_named() -> None:
    document: Any = made(FIGURES)
    for number, trial in enumerate(document["trials"][:8]):
        trial.update(status="failed", reason=f"reason {number % 4}")
    text = sentences(document)["Failed"]
    assert text.count("2 of 24 trials failed: ") == 3
    assert "reason 0" in text
    assert "2 more for other reasons." in text


def test_means_and_typical_values_that_disagree_are_named() -> None:
    document = made(
        {"rnn": [0.001] * 3 + [0.0011] * 4 + [0.09], "lstm": [0.01, 0.011, 0.012, 0.01] * 2},
        text="datasets: [adding]\nmodels: [rnn, lstm]\n", dataset="adding",
    )  # fmt: skip
    text = sentences(document)["mse"]
    assert "rnn typically has better figures, but not on average." in text
    assert "not after correction" not in text
    assert "may be possible" not in text


def test_seeds_that_were_chosen_are_extended() -> None:
    close: Any = made({"rnn": spread(0.80, 0.01), "lstm": spread(0.82, 0.01)}, text=TWO)
    for trial in close["trials"]:
        trial["seed"] += 10
    (command,) = [line for line in lines_of(close) if line.startswith("next:")]
    assert "--set 'seeds=[10, 11, 12, 13, 14" in command


def test_a_task_that_every_case_masters_does_not_separate_them() -> None:
    text = sentences(made({"rnn": [1.0] * 3, "lstm": [1.0] * 3}, text=TWO))["Accuracy"]
    assert text == "no winner: all 2 cases reach 100.0 %, so this task does not separate them."


def test_cases_that_were_trained_differently_are_not_compared_as_models() -> None:
    document: Any = made(APART)
    document["cases"][0]["train"] = {**document["cases"][0]["train"], "epochs": 1}
    text = sentences(document)["Accuracy"]
    assert text.endswith("Training settings differ, so this is not about the models alone.")
    assert not any(line.startswith("next:") for line in lines_of(document))


def test_a_run_in_the_usual_folder_is_named_by_its_id() -> None:
    close: Any = made({"rnn": spread(0.80, 0.01), "lstm": spread(0.82, 0.01)}, text=TWO)
    close["run"] = "results/x/20261127T101500.000Z-1a2b"
    assert any("seqbench run --resume 1a2b --seeds " in line for line in lines_of(close))


def test_small_differences_are_not_zero() -> None:
    document = made({"rnn": spread(0.9992, 0.00002), "lstm": spread(0.9996, 0.00002)}, text=TWO)
    assert "rnn (-0.04 points) is worse." in sentences(document)["Accuracy"]


def test_twenty_cases_are_summed_up() -> None:
    figures = {f"rnn hidden_size={n}": spread(0.5 + 0.02 * n, 0.001) for n in range(1, 21)}
    sizes = ", ".join(map(str, range(1, 21)))
    document = made(
        figures, text=f"datasets: [parity]\nmodels: [{{rnn: {{hidden_size: [{sizes}]}}}}]\n"
    )
    text = sentences(document)["Accuracy"]
    assert text.startswith("rnn hidden_size=20 is best: 90.0 %")
    assert "All others are worse: " in text
    assert "and 15 more." in text
    lines = lines_of(document)
    rows = [line for line in lines if line.startswith("rnn hidden_size=") and "±" in line]
    assert [row.split()[1] for row in rows] == [f"hidden_size={n}" for n in (20, 19, 18, 1)]
    assert sum("… 16 more" in line for line in lines) == 1
    everything = lines_of(document, every=True)
    assert sum("±" in line for line in everything) >= 20
    in_suite_order = lines_of(document, every=True, sort="suite")
    first = next(line for line in in_suite_order if line.startswith("rnn hidden_size="))
    assert first.startswith("rnn hidden_size=1 ")


# ------------------------------------------------------------------------------- latency, memory


def timings(ids: list[str]) -> list[Comparison]:
    """The second is the fastest; the third takes 1.5 times as long, the first about as long."""
    given: list[tuple[int, int, float, Verdict]] = [
        (0, 1, 1.001, "no difference"), (0, 2, 1 / 1.5, "better"), (1, 2, 1 / 1.5, "better"),
    ]  # fmt: skip
    return [
        Comparison(
            "latency", ids[a], ids[b], scale="ratio", effect=effect, low=effect * 0.98,
            high=effect * 1.02, p=0.001, p_corrected=0.003, df=9, verdict=verdict, n=10,
            settings={"batch_size": 1, "threads": 1, "runtime": "eager"},
        )
        for a, b, effect, verdict in given
    ]  # fmt: skip


def test_the_fastest_and_the_factors_of_the_others() -> None:
    document = made(FIGURES, comparisons=timings)
    entry: dict[str, Any] = {
        "batch_size": 1, "threads": 1, "runtime": "eager", "p90_s": None, "p99_s": None, "n": 50,
        "processes": 10, "unstable": False,
    }  # fmt: skip
    for case, median in zip(document["cases"], (2.001e-4, 2e-4, 3e-4), strict=True):
        timed: Any = {"median_s": median, "low_s": median, "high_s": median, **entry}
        case["latency"] = [timed]
    text = sentences(document)["Latency"]
    assert text == (
        "lstm leads at batch 1: 200 µs. rnn is not distinguishable from it. "
        "gru takes 1.50× as long (95 % CI 1.47–1.53)."
    )
    document["comparisons"] = []
    assert sentences(document)["Latency"] == (
        "lstm has the lowest median at batch 1: 200 µs. The cases were not compared."
    )


# ----------------------------------------------------------------------------------- the terminal


@pytest.mark.parametrize("name", ["fashion", "fashion-2020", "fashion-2020-control", "zoo"])
@pytest.mark.parametrize("width", [80, 160])
def test_the_last_lines_answer_the_question(name: str, width: int) -> None:
    """Of every reference run, whose verdict is long, the whole verdict is in the last 23 lines."""
    document = Run.open(REFERENCE / name).document
    last = " ".join(" ".join(lines_of(document, width)[-23:]).split())
    for part in verdict_of(document):
        for statement in part.statements:
            words = f"{statement.subject}{statement.rest}"
            assert words.split()[0] in last
            assert statement.topic in last
    assert "more: seqbench show --explain" in last


def test_the_verdict_is_first_where_everything_fits() -> None:
    document = made(FIGURES)
    tall = lines_of(document, height=60)
    assert next(i for i, line in enumerate(tall) if "leads" in line) < next(
        i for i, line in enumerate(tall) if "test accuracy" in line
    )
    low = lines_of(document, height=8)
    assert next(i for i, line in enumerate(low) if "leads" in line) > next(
        i for i, line in enumerate(low) if "test accuracy" in line
    )


def test_rows_are_sorted_by_the_metric() -> None:
    document = made(APART)

    def labels(**options: Any) -> list[str]:
        return [line.split()[0] for line in lines_of(document, **options) if " ± " in line
                and line.split()[0] in ("rnn", "lstm", "gru")]  # fmt: skip

    assert labels() == ["lstm", "rnn", "gru"]
    assert labels(sort="suite") == ["rnn", "lstm", "gru"]


def test_all_datasets_have_the_same_columns(tmp_path: Path) -> None:
    document = Run.open(REFERENCE / "fashion").document
    other = [{**case, "id": f"{case['id']}-2", "dataset": "other", "dataset_label": "other",
              "latency": []} for case in document["cases"]]  # fmt: skip
    both: Any = {**document, "cases": [*document["cases"], *other]}
    for width in (80, 100, 160):
        lines = lines_of(both, width, height=200)
        heads = [line.split() for line in lines if line.startswith("case ")]
        assert len(heads) == 2
        first, second = ([word for word in head if word not in ("µs",)] for head in heads)
        assert set(second) <= set(first)


def test_explain_says_what_the_sentences_rest_on() -> None:
    words = " ".join(" ".join(lines_of(made(FIGURES), explain=True)).split())
    assert "Welch's t test" in words
    assert "leads: the best figure, but at least one case may be as good" in words
    assert "95 % t interval" in words


def test_markdown_begins_with_the_verdict() -> None:
    text = to_markdown(made(FIGURES))
    assert text.index("leads") < text.index("| case |")


def test_words_of_a_hostile_label_are_shown_as_text() -> None:
    document: Any = made(FIGURES)
    for case in document["cases"]:
        case["label"] = "[red]x[/]\x1b[31m"
    text = "\n".join(lines_of(document))
    assert "[red]x[/]" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_extreme_figures_have_sentences(value: float) -> None:
    document = made({"rnn": [value] * 3, "lstm": [value] * 3, "gru": [0.5] * 3})
    assert all(math.isfinite(len(str(part))) for part in verdict_of(document))
    for error in (0.0, 1e-30, 1e30):
        verdict_of(
            made({"rnn": [error] * 3, "lstm": [error] * 3, "gru": [0.5] * 3}, dataset="adding")
        )
