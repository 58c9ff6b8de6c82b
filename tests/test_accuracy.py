"""Accuracy with uncertainty: comparisons, letters, confusions, targets, and no picking on test."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from rich.cells import cell_len
from rich.console import Console
from suite_registry import REGISTRY
from torch import nn

from seqbench import training
from seqbench.errors import SuiteError, UsageError
from seqbench.measure import accuracy
from seqbench.plan import plan
from seqbench.records import Comparison, TrialRecord
from seqbench.report import notes
from seqbench.report.columns import Column, result_tables
from seqbench.report.confusion import confusions, print_confusion
from seqbench.report.document import document as made_document
from seqbench.report.export import to_csv, to_latex, to_markdown
from seqbench.report.pair_tables import print_pairs, verdict_words
from seqbench.report.target import NO_VALIDATION
from seqbench.report.terminal import print_report
from seqbench.suite import parse_suite
from seqbench.suite.schema import json_schema
from seqbench.suite.target import PATTERN
from seqbench.types import Splits, Task

CPU = torch.device("cpu")
#: Far apart, close, and far below: 8 seeds tell 3 pairs apart where all differences point one way.
FIGURES = {
    "rnn": [0.80 + 0.001 * n for n in range(8)],
    "lstm": [0.90 + 0.002 * n for n in range(8)],
    "gru": [0.90 + 0.002 * n + 0.001 * (-1) ** n for n in range(8)],
}
TINY = """
    datasets: [adding, parity]
    models: [rnn, lstm, gru]
    """


def made(
    figures: dict[str, list[float]],
    *,
    text: str = TINY,
    dataset: str = "parity",
    diverged: tuple[str, ...] = (),
    comparisons: Callable[[list[str]], list[Comparison]] = lambda ids: [],
    **metrics: Any,
) -> dict[str, Any]:
    """A document as a run of that suite would leave it, with these figures of one dataset."""
    suite = parse_suite(textwrap.dedent(text), registry=REGISTRY)
    seeds = max((len(some) for some in figures.values()), default=0)
    suite = suite.model_copy(update={"seeds": tuple(range(seeds))})
    planned = plan(suite, REGISTRY, devices={"auto": "cpu"}, datasets=[dataset])
    trials = []
    for trial in planned.trials:
        value = figures[trial.case.model.name][trial.seed]
        status = "diverged" if trial.case.label in diverged and trial.seed == 0 else "ok"
        found = {"value": value, "last": value, "best": value, **metrics}
        given = (status, "", "mse" if dataset == "adding" else "accuracy", found)
        trials.append(TrialRecord(trial.id, trial.case.id, trial.seed, *given))
    return made_document(
        "results/x",
        state={"suite": "x", "status": "finished"},
        plan=planned.to_dict(),
        environment={},
        trials=trials,
        cases=[],
        comparisons=comparisons([case.id for case in planned.cases]),
    )


def shown(document: dict[str, Any], width: int = 80, of: Callable[..., None] = print_report) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    of(document, console=console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(cell_len(line) for line in text.splitlines()) <= width
    return text


def column(document: dict[str, Any], field: str) -> Column:
    return next(c for c in result_tables(document)[0].columns if c.field == field)


# ------------------------------------------------------------------------ comparisons and letters


def test_the_document_compares_all_pairs_of_a_dataset() -> None:
    document = made(FIGURES)
    found = document["comparisons"]
    ids = {case["id"]: case["label"] for case in document["cases"]}
    assert [(ids[one["a"]], ids[one["b"]], one["verdict"]) for one in found] == [
        ("rnn", "lstm", "worse"), ("rnn", "gru", "worse"), ("lstm", "gru", "no difference"),
    ]  # fmt: skip
    assert {one["quantity"] for one in found} == {"accuracy"}
    json.dumps(document, allow_nan=False)


def test_letters_stand_after_the_figures_instead_of_marks() -> None:
    document = made(FIGURES)
    assert column(document, "accuracy").letters == ("b", "a", "a")
    text = shown(document)
    assert "90.7 ± 0.4 a" in text
    assert "80.4 ± 0.2 b" in text
    assert "*" not in text
    assert "share a letter cannot be told apart" in " ".join(text.split())
    assert "sign-flip test" in " ".join(text.split())
    lines = [line for line in text.splitlines() if line.startswith(("rnn", "lstm", "gru"))]
    assert len({line.index(" ± ") for line in lines}) == 1


def test_letters_are_exported() -> None:
    document = made(FIGURES)
    rows = list(csv.DictReader(io.StringIO(to_csv(document))))
    assert [row["accuracy_group"] for row in rows] == ["b", "a", "a"]
    assert "| **90.7 ± 0.4** a |" in to_markdown(document)
    assert r"80.4 $\pm$ 0.2\textsuperscript{b}" in to_latex(document)


def test_for_an_error_the_smallest_gets_the_a() -> None:
    document = made(FIGURES, dataset="adding")
    assert column(document, "mse").letters == ("a", "b", "b")
    assert document["comparisons"][0]["verdict"] == "better"


def test_too_few_seeds_are_said_once_with_how_many_would_do() -> None:
    document = made({name: some[:3] for name, some in FIGURES.items()})
    assert column(document, "accuracy").letters == ("", "", "")
    assert not any(column(document, "accuracy").best)
    text = " ".join(shown(document).split())
    assert (
        "accuracy: 3 seeds are too few to tell any two cases apart (sign-flip test, 3 pairs); "
        "rnn and gru would probably be told apart with 7." in text
    )
    assert "share a letter" not in text


def test_a_case_that_diverged_once_is_not_compared() -> None:
    document = made(FIGURES, diverged=("lstm",))
    (found,) = document["comparisons"]
    assert found["verdict"] == "worse"
    assert column(document, "accuracy").letters == ("b", "", "a")
    assert column(document, "accuracy").top == (False, False, True)


def test_devices_have_letters_of_their_own() -> None:
    document = made(FIGURES, text=f"{textwrap.dedent(TINY)}devices: [cpu, cuda]\n")
    letters = {
        (case["label"], case["device"]): letter
        for case, letter in zip(
            result_tables(document)[0].cases,
            column(document, "accuracy").letters or (),
            strict=True,
        )
    }
    assert letters[("lstm", "cpu")] == letters[("lstm", "cuda")] == "a"
    assert len(document["comparisons"]) == 6


def test_too_many_cases_are_not_compared_and_that_is_said() -> None:
    sizes = ", ".join(str(n) for n in range(1, 62))
    text = f"datasets: [parity]\nmodels: [{{rnn: {{hidden_size: [{sizes}]}}}}]\n"
    document = made({"rnn": FIGURES["rnn"]}, text=text)
    assert not document["comparisons"]
    said = " ".join(notes.explanations(document, result_tables(document), "*", "~"))
    assert "61 cases are too many to compare in pairs, at most 60 are" in said


def latencies(ids: list[str]) -> list[Comparison]:
    """What a contest of the three leaves: the second is the fastest at batch 1."""
    at = {"batch_size": 1, "length": 8, "threads": 1, "runtime": "eager"}
    rnn, lstm, gru = ids
    given = [
        (rnn, lstm, 1.5, "worse"),
        (rnn, gru, 1.0, "no difference"),
        (lstm, gru, 0.6, "better"),
    ]
    return [
        Comparison("latency", a, b, "ratio", effect, 0.98 * effect, 1.02 * effect, 0.01, verdict, 5,
                   settings)
        for settings in ({**at, "batch_size": 64}, at)
        for a, b, effect, verdict in given
        if settings["batch_size"] == 1 or verdict == "no difference"
    ]  # fmt: skip


def with_latencies() -> dict[str, Any]:
    document = made(FIGURES, comparisons=latencies)
    entry = {"threads": 1, "p90_s": None, "p99_s": None, "n": 50, "processes": 5, "unstable": False}
    for case, median in zip(document["cases"], (3e-4, 2e-4, 3.1e-4), strict=True):
        case["latency"] = [
            {"batch_size": size, "median_s": median, "low_s": median, "high_s": median, **entry}
            for size in (1, 64)
        ]
    return document


def test_latency_has_letters_for_each_setting() -> None:
    document = with_latencies()
    assert column(document, "latency_batch_1").letters == ("b", "a", "b")
    assert column(document, "latency_batch_64").letters == ("a", "", "a")
    assert "200 a" in shown(document, 120)
    assert "latency: t test of paired rounds" in shown(document, 200)


def test_old_runs_keep_their_marks() -> None:
    document = with_latencies()
    document["comparisons"] = []
    assert column(document, "latency_batch_1").letters is None
    assert "200*" in shown(document, 120)


def test_pairs_are_shown_one_table_each() -> None:
    text = shown(with_latencies(), of=print_pairs)
    titles = [line for line in text.splitlines() if " on parity, cpu" in line]
    assert len(titles) == 3
    for words in ("a is faster", "a is slower", "a is worse", "no difference found", "a ÷ b",
                  "a - b, points", "1.470 to 1.530", "-10.3"):  # fmt: skip
        assert words in text
    few = made({name: some[:3] for name, some in FIGURES.items()})
    assert "too few seeds (7 would" in shown(few, of=print_pairs)
    assert "n/a" in shown(made({n: some[:1] for n, some in FIGURES.items()}), of=print_pairs)
    assert "No cases were compared" in shown({**few, "comparisons": []}, of=print_pairs)


def test_verdicts_in_words() -> None:
    found = {"quantity": "accuracy", "verdict": "too few seeds", "needed": None}
    assert verdict_words(found) == "too few seeds"
    assert verdict_words({**found, "verdict": "better"}) == "a is better"


# ------------------------------------------------------------------- classes taken for each other


class Says(nn.Module):
    """Answers what its input says: features are the scores of the classes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.per_step else x[:, -1]

    def __init__(self, per_step: bool = False):
        super().__init__()
        self.per_step = per_step


def test_the_confusion_matrix_and_recall_by_hand() -> None:
    task = Task("features", 3, "label", 3, 1, ("x", "y", "z"))
    answers = nn.functional.one_hot(torch.tensor([0, 1, 1, 1, 0]), 3).float()[:, None]
    found = accuracy.by_class(Says(), answers, torch.tensor([0, 0, 0, 1, 1]), task=task, device=CPU)
    assert found["confusion"] == [[1, 2, 0], [1, 1, 0], [0, 0, 0]]
    assert found["recall"] == [pytest.approx(1 / 3), 0.5, None]
    assert found["classes"] == ["x", "y", "z"]


def test_with_a_label_per_step_every_step_counts() -> None:
    task = Task("features", 2, "label_per_step", 2, 3)
    targets = torch.tensor([[0, 1, 1], [1, 0, 0]])
    answers = nn.functional.one_hot(torch.tensor([[0, 1, 0], [1, 1, 0]]), 2).float()
    found = accuracy.by_class(Says(per_step=True), answers, targets, task=task, device=CPU)
    assert found["confusion"] == [[2, 1], [1, 2]]
    assert found["classes"] == ["0", "1"]


def test_numbers_have_no_classes_and_thousands_of_classes_no_matrix() -> None:
    x, y = torch.zeros(2, 1, 3), torch.zeros(2, dtype=torch.int64)
    value = Task("features", 3, "value", 3, 1)
    assert accuracy.by_class(Says(), x, y, task=value, device=CPU) == {}
    many = Task("features", 3, "label", 5000, 1)
    found = accuracy.by_class(Says(), x, y, task=many, device=CPU)
    assert list(found) == ["confusion_reason"]


def classified(n: int, names: list[str] | None = None) -> dict[str, Any]:
    """A document whose cases confuse each class with the next, in 1 of 10."""
    counts = [[90 if p == t else 10 if p == (t + 1) % n else 0 for p in range(n)] for t in range(n)]
    classes = names or [f"class {number}" for number in range(n)]
    return made(FIGURES, confusion=counts, recall=[0.9] * n, classes=classes)


def confusion_text(document: dict[str, Any], name: str, width: int = 80) -> str:
    return shown(
        document, width, of=lambda document, console: print_confusion(document, name, console)
    )


def test_ten_classes_fit_eighty_columns() -> None:
    names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
             "Bag", "Ankle boot"]  # fmt: skip
    text = confusion_text(classified(10, names), "lstm")
    (row,) = [line for line in text.splitlines() if line.startswith("Ankle boot")]
    assert row.split() == ["Ankle", "boot", "10", *["0"] * 8, "90", "90.0"]
    assert "Trous" in text
    assert "8 seeds, 8,000 answers" in text


def test_many_classes_are_listed() -> None:
    text = confusion_text(classified(30), "rnn")
    assert text.count("  90.0") == 30
    assert text.count("     80\n") == 10
    (confusion,) = confusions(classified(30), "rnn")
    assert len(confusion.most_frequent()) == 10


def test_classes_that_begin_alike_are_numbered() -> None:
    text = confusion_text(classified(4), "rnn")
    assert "3 class 3" in text


def test_confusions_that_are_not_there_are_explained() -> None:
    for document, name, words in (
        (classified(4), "lsmt", "no model of this run is called 'lsmt'; there are: rnn, lstm, gru"),
        (made(FIGURES), "lstm", "lstm on parity: this run was made before confusion matrices"),
        (made(FIGURES, dataset="adding"), "gru", "gru on adding: its targets are numbers (mse)"),
        (made(FIGURES, confusion_reason="300 classes"), "gru", "no confusion matrix was kept: 300"),
        (made({"rnn": [], "lstm": [], "gru": []}), "gru", "no seed has ended well"),
    ):
        with pytest.raises(UsageError) as caught:
            confusions(document, name)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


# -------------------------------------------------------------------------------------- the target


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
        ("acuracy >= 0.85", "no metric is called 'acuracy' (did you mean 'accuracy'?)"),
        ("accuracy > 0.85", "accuracy needs >=, not '>': more is better (write accuracy >= 0.85)"),
        ("mse >= 0.1", "mse needs <=, not '>=': less is better (write mse <= 0.1)"),
        ("accuracy >= 85%", "the bound must be a number, not '85%'"),
        ("accuracy >= 85", "at most 1, not 85 (a share of 1: 0.85 stands for 85 %)"),
        ("accuracy >= 0", "must be a number above 0"),
        ("mse <= 1e999", "must be a number above 0"),
        ("accuracy >= nan", "the bound must be a number, not 'nan'"),
    ],
)
def test_a_wrong_target_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse_target(text)
    assert str(caught.value).startswith("suite.yaml:4:9: target: ")
    assert words in str(caught.value)


def test_the_schema_knows_targets() -> None:
    import re

    schema = json_schema(REGISTRY)["properties"]["target"]
    assert {"type": "string", "pattern": PATTERN} in schema["anyOf"]
    assert re.search(PATTERN, "accuracy >= 0.85")
    assert not re.search(PATTERN, "accuracy <= 0.85")


def test_a_target_changes_no_case() -> None:
    tiny = textwrap.dedent(TINY)
    with_, without = (
        [case.id for case in plan(parse_suite(text, registry=REGISTRY), REGISTRY).cases]
        for text in (f"{tiny}target: accuracy >= 0.85\n", tiny)
    )
    assert with_ == without


def curve(*validation: float | None) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"epoch": n, "train_loss": 1.0, "steps": 10 * n, **({"validation": v} if v else {})}
        for n, v in enumerate(validation, 1)
    )


def targeted(curves: list[tuple[dict[str, Any], ...]], step_s: float | None = None) -> Any:
    """The document of one case with a target of 0.85; a curve of () is a seed that diverged."""
    from seqbench.records import CaseRecord, Measurement

    text = f"{textwrap.dedent(TINY)}target: accuracy >= 0.85\nseeds: {len(curves)}\n"
    suite = parse_suite(text, registry=REGISTRY)
    planned = plan(suite, REGISTRY, devices={"auto": "cpu"}, datasets=["parity"], models=["rnn"])
    trials = [
        TrialRecord(
            trial.id, trial.case.id, trial.seed, "ok" if one else "diverged", "",
            "accuracy" if one else "", {"value": 0.9, "last": 0.9, "best": 0.9}, one,
        )
        for trial, one in zip(planned.trials, curves, strict=True)
    ]  # fmt: skip
    step = Measurement("training_step", "s", {"batch_size": 100}, {"median_s": step_s})
    cases = [CaseRecord(planned.cases[0].id, (step,))] if step_s else []
    return made_document(
        "results/x", state={"suite": "x", "status": "finished"}, plan=planned.to_dict(),
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


def test_what_is_not_to_be_had_says_why() -> None:
    none = targeted([curve(None, None)])
    assert none["cases"][0]["target"]["reason"] == NO_VALIDATION
    assert "steps to target: n/a: there is no validation split" in " ".join(shown(none).split())
    assert "time to target: n/a: the step time was not" in " ".join(
        shown(targeted([curve(0.9)])).split()
    )
    other = made(
        FIGURES, text=f"{textwrap.dedent(TINY)}target: accuracy >= 0.85\n", dataset="adding"
    )
    assert other["cases"][0]["target"]["reason"] == "the metric of this dataset is mse"


def test_without_a_target_nothing_is_said_of_it() -> None:
    document = made(FIGURES)
    assert document["target"] is None
    assert {case["target"] for case in document["cases"]} == {None}
    assert "target" not in shown(document)


# --------------------------------------------------------------------------- no picking on test


def test_no_figure_is_the_best_on_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test split is looked at once per set of weights reported, and never while training."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(90, 4, 2, generator=draw)
    y = (x.sum(dim=(1, 2)) > 0).long()
    noise = torch.randint(0, 2, (30,), generator=draw)
    parts = Splits(Task("features", 2, "label", 2, 4), (x[:30], y[:30]), (x[30:60], noise),
                   (x[60:], y[60:]))  # fmt: skip
    real, seen = training.evaluate, []

    def evaluate(model: nn.Module, inputs: torch.Tensor, *rest: Any, **options: Any) -> float:
        figure = real(model, inputs, *rest, **options)
        seen.append(("test" if inputs is parts.test[0] else "validation", figure))
        return figure

    monkeypatch.setattr(training, "evaluate", evaluate)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 2))
    settings = {"epochs": 8, "batch_size": 5, "optimizer": {"name": "sgd", "params": {"lr": 2.0}},
                "schedule": None, "clip_norm": None}  # fmt: skip
    trained = training.train(model, parts, settings, device=CPU, seed=0)
    assert [what for what, _ in seen[:8]] == ["validation"] * 8
    on_test = [figure for what, figure in seen if what == "test"]
    assert len(on_test) == len(seen) - 8 <= 2
    metrics = trained.metrics
    assert {metrics["value"], metrics["last"], metrics["best"]} == set(on_test)
    chosen = trained.curve[metrics["best_epoch"] - 1]["validation"]
    assert chosen == max(entry["validation"] for entry in trained.curve) == metrics["validation"]
    assert not {name for name in metrics if "test" in name}
    assert [entry["steps"] for entry in trained.curve] == [6 * n for n in range(1, 9)]


# ------------------------------------------------------------------------------- the whole program


def test_a_real_run_shows_pairs_confusions_and_its_target(
    seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path]
) -> None:
    suite = write_suite(
        """
        datasets:
          - parity: {length: 4, train_size: 100, validation_size: 50, test_size: 50}
        models: [{rnn: {hidden_size: 4}}, {gru: {hidden_size: 4}}]
        train: {epochs: 2, batch_size: 20}
        seeds: 6
        target: accuracy >= 0.99
        measure: [accuracy]
        """
    )
    done = seqbench_cli("run", suite)
    assert done.returncode == 0, done.stderr
    assert "steps to target" in done.stdout
    document = json.loads(seqbench_cli("show", "--format", "json").stdout)
    for trial in document["trials"]:
        counts = trial["metrics"]["confusion"]
        right = sum(counts[n][n] for n in range(len(counts)))
        assert right / sum(map(sum, counts)) == trial["metrics"]["value"]
    assert len(document["comparisons"]) == 1
    pairs = seqbench_cli("show", "--pairs")
    assert pairs.returncode == 0
    assert "verdict" in pairs.stdout
    assert "recall" in seqbench_cli("show", "--confusion", "gru").stdout
    wrong = seqbench_cli("show", "--confusion", "lstm")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: no model of this run is called 'lstm'")


def test_the_dry_run_says_the_target(seqbench_cli: Callable[..., Any]) -> None:
    suite = ROOT / "suites" / "quick.yaml"
    done = seqbench_cli("run", suite, "--dry-run", "--set", "target=accuracy >= 0.9")
    assert "target: accuracy >= 0.9" in done.stdout
