"""Accuracy with uncertainty: comparisons, letters, confusions, and no picking on test."""

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
from made_documents import FIGURES, TINY, column, made, print_pairs, shown
from small_splits import prepared
from torch import nn

from seqbench.errors import UsageError
from seqbench.records import Comparison, Verdict
from seqbench.report import notes
from seqbench.report.columns.table import result_tables
from seqbench.report.exports.csv import to_csv
from seqbench.report.exports.latex import to_latex
from seqbench.report.exports.markdown import to_markdown
from seqbench.report.terminal.confusion import print_confusion
from seqbench.report.views.confusion import confusions
from seqbench.report.views.pairs import verdict_words
from seqbench.summary.metric_pairs import families
from seqbench.summary.schema import Document
from seqbench.training import best, loop
from seqbench.training.confusion import Confusion
from seqbench.training.evaluation import evaluate
from seqbench.training.loop import train_model
from seqbench.training.split import Split
from seqbench.types import Task

CPU = torch.device("cpu")

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


def test_marks_follow_from_the_comparisons() -> None:
    document = made(FIGURES)
    assert column(document, "accuracy").letters == ("b", "a", "a")
    text = shown(document)
    assert "90.7 ± 0.4*" in text
    assert "90.7 ± 0.4~" in text
    assert "80.4 ± 0.2 " in text
    words = " ".join(text.split())
    assert "*: best of its column; ~: may be as good." in words
    assert "distinguishable: accuracy: Welch's t test over seeds" in words
    lines = [line for line in text.splitlines() if line.startswith(("rnn", "lstm", "gru"))]
    assert len({line.index(" ± ") for line in lines}) == 1


def test_letters_are_exported() -> None:
    document = made(FIGURES)
    rows = list(csv.DictReader(io.StringIO(to_csv(document))))
    assert [row["accuracy_group"] for row in rows] == ["b", "a", "a"]
    assert "| **90.7 ± 0.4** a |" in to_markdown(document)
    assert r"80.4 $\pm$ 0.2\textsuperscript{b}" in to_latex(document)


def test_for_an_error_metric_the_smallest_gets_the_a() -> None:
    document = made(FIGURES, dataset="adding")
    assert column(document, "mse").letters == ("a", "b", "b")
    assert document["comparisons"][0]["verdict"] == "better"


def test_three_seeds_are_enough_for_a_large_difference() -> None:
    document = made({name: some[:3] for name, some in FIGURES.items()})
    assert column(document, "accuracy").letters == ("b", "a", "a")


def test_two_seeds_are_too_few() -> None:
    document = made({name: some[:2] for name, some in FIGURES.items()})
    assert column(document, "accuracy").letters == ("", "", "")
    assert not any(column(document, "accuracy").best)
    assert {one["verdict"] for one in document["comparisons"]} == {"too few seeds"}


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
    assert letters[("lstm", "cpu")] == letters[("lstm", "cuda:0")] == "a"
    assert len(document["comparisons"]) == 6


def test_too_many_cases_are_not_compared_and_this_is_reported() -> None:
    sizes = ", ".join(str(n) for n in range(1, 62))
    text = f"datasets: [parity]\nmodels: [{{rnn: {{hidden_size: [{sizes}]}}}}]\n"
    document = made({"rnn": FIGURES["rnn"]}, text=text)
    assert not document["comparisons"]
    columns = [column for table in result_tables(document) for column in table.columns]
    text = " ".join(notes.explanations(document, columns))
    assert "61 cases are too many to compare in pairs (at most 60)" in text


def latencies(ids: list[str]) -> list[Comparison]:
    """Comparisons of a contest of the three: the second is the fastest at batch 1."""
    at = {"batch_size": 1, "length": 8, "threads": 1, "runtime": "eager"}
    rnn, lstm, gru = ids
    given: list[tuple[str, str, float, Verdict]] = [
        (rnn, lstm, 1.5, "worse"),
        (rnn, gru, 1.0, "no difference"),
        (lstm, gru, 0.6, "better"),
    ]
    return [
        Comparison(
            "latency", a, b, scale="ratio", effect=effect, low=0.98 * effect, high=1.02 * effect,
            p=0.01, verdict=verdict, n=5, settings=settings,
        )
        for settings in ({**at, "batch_size": 64}, at)
        for a, b, effect, verdict in given
        if settings["batch_size"] == 1 or verdict == "no difference"
    ]  # fmt: skip


def with_latencies() -> Document:
    document = made(FIGURES, comparisons=latencies)
    entry = {"threads": 1, "p90_s": None, "p99_s": None, "n": 50, "processes": 5, "unstable": False}
    for case, median in zip(document["cases"], (3e-4, 2e-4, 3.1e-4), strict=True):
        timed: list[Any] = [
            {"batch_size": size, "median_s": median, "low_s": median, "high_s": median, **entry}
            for size in (1, 64)
        ]
        case["latency"] = timed
    return document


def test_latency_has_letters_for_each_setting() -> None:
    document = with_latencies()
    assert column(document, "latency_batch_1").letters == ("b", "a", "b")
    assert column(document, "latency_batch_64").letters == ("", "", "")  # none is different
    assert "200*" in shown(document, 120)
    assert "latency: t test of paired rounds" in shown(document, 200)


def test_nothing_is_marked_that_was_not_compared() -> None:
    document = with_latencies()
    document["comparisons"] = []
    assert column(document, "latency_batch_1").letters is None
    assert "200*" not in shown(document, 120)  # nothing was compared


def test_pairs_are_shown_one_table_each() -> None:
    text = shown(with_latencies(), 100, of=print_pairs)
    titles = [line for line in text.splitlines() if " on parity, cpu" in line]
    assert len(titles) == 3
    for words in ("a is faster", "a is slower", "a is worse", "cannot tell", "a ÷ b",
                  "a - b, points", "1.470 to 1.530", "-10.3"):  # fmt: skip
        assert words in text
    few = made({name: some[:2] for name, some in FIGURES.items()})
    assert "too few seeds (3 needed)" in shown(few, of=print_pairs)
    assert "n/a" in shown(made({n: some[:1] for n, some in FIGURES.items()}), of=print_pairs)
    assert "No cases were compared" in shown({**few, "comparisons": []}, of=print_pairs)


def test_verdicts_in_words() -> None:
    found = {"quantity": "accuracy", "verdict": "too few seeds", "needed": None}
    assert verdict_words(found) == "too few seeds"
    assert verdict_words({**found, "verdict": "better"}) == "a is better"


# ------------------------------------------------------------------------- confusion matrices


class Identity(nn.Module):
    """Returns its input: the features are the scores of the classes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.per_step else x[:, -1]

    def __init__(self, per_step: bool = False):
        super().__init__()
        self.per_step = per_step


def by_class(
    model: nn.Module, pair: tuple[torch.Tensor, torch.Tensor], task: Task
) -> dict[str, Any]:
    confusion = Confusion(task)
    evaluate(model, Split(task, *pair), device=CPU, meters=[confusion])
    return confusion.result()


def test_the_confusion_matrix_and_recall_by_hand() -> None:
    task = Task("features", 3, "label", 3, 1, ("x", "y", "z"))
    answers = nn.functional.one_hot(torch.tensor([0, 1, 1, 1, 0]), 3).float()[:, None]
    found = by_class(Identity(), (answers, torch.tensor([0, 0, 0, 1, 1])), task)
    assert found["confusion"] == [[1, 2, 0], [1, 1, 0], [0, 0, 0]]
    assert found["recall"] == [pytest.approx(1 / 3), 0.5, None]
    assert found["classes"] == ["x", "y", "z"]


def test_with_a_label_per_step_every_step_counts() -> None:
    task = Task("features", 2, "label_per_step", 2, 3)
    targets = torch.tensor([[0, 1, 1], [1, 0, 0]])
    answers = nn.functional.one_hot(torch.tensor([[0, 1, 0], [1, 1, 0]]), 2).float()
    found = by_class(Identity(per_step=True), (answers, targets), task)
    assert found["confusion"] == [[2, 1], [1, 2]]
    assert found["classes"] == ["0", "1"]


def test_numbers_have_no_classes_and_thousands_of_classes_no_matrix() -> None:
    x, y = torch.zeros(2, 1, 3), torch.zeros(2, dtype=torch.int64)
    value = Task("features", 3, "value", 3, 1)
    assert by_class(Identity(), (x, torch.zeros(2, 3)), value) == {}
    many = Task("features", 5000, "label", 5000, 1)
    found = by_class(Identity(), (torch.zeros(2, 1, 5000), y), many)
    assert list(found) == ["confusion_reason"]


def classified(n: int, names: list[str] | None = None) -> Document:
    """A document whose cases confuse each class with the next, in 1 of 10 sequences."""
    counts = [[90 if p == t else 10 if p == (t + 1) % n else 0 for p in range(n)] for t in range(n)]
    classes = names or [f"class {number}" for number in range(n)]
    return made(FIGURES, confusion=counts, recall=[0.9] * n, classes=classes)


def confusion_text(document: Document, name: str, width: int = 80) -> str:
    return shown(
        document, width, of=lambda document, console: print_confusion(document, name, console)
    )


def test_ten_classes_fit_eighty_columns() -> None:
    names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
             "Bag", "Ankle boot"]  # fmt: skip
    text = confusion_text(classified(10, names), "lstm")
    (row,) = [line for line in text.splitlines() if line.startswith("9 Ankle boot")]
    assert row.split() == ["9", "Ankle", "boot", "10", *["0"] * 8, "90", "90.0"]
    assert "1 Trouser" in text
    assert "Trous  Pullo" in confusion_text(classified(10, names), "lstm", 100)
    assert "8 seeds, 8,000 predictions" in text


def test_many_classes_are_listed() -> None:
    text = confusion_text(classified(30), "rnn")
    assert text.count("  90.0") == 30
    assert text.count("     80\n") == 10
    (confusion,) = confusions(classified(30), "rnn")
    assert len(confusion.most_frequent()) == 10


def test_classes_that_begin_alike_are_numbered() -> None:
    text = confusion_text(classified(4), "rnn")
    assert "3 class 3" in text


def test_missing_confusion_matrices_are_explained() -> None:
    for document, name, words in (
        (classified(4), "lsmt", "this run has no model 'lsmt'; did you mean 'lstm'?"),
        (made(FIGURES), "lstm", "lstm on parity: this run predates confusion matrices"),
        (made(FIGURES, dataset="adding"), "gru", "gru on adding: its targets are numbers (mse)"),
        (
            made(FIGURES, confusion_reason="300 classes"),
            "gru",
            "no confusion matrix was recorded: 300",
        ),
        (made({"rnn": [], "lstm": [], "gru": []}), "gru", "no trial has run yet"),
    ):
        with pytest.raises(UsageError) as caught:
            confusions(document, name)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


# --------------------------------------------------------------------------- no picking on test


def test_no_figure_is_the_best_on_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test split is evaluated once per reported set of weights, and never during training."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(90, 4, 2, generator=draw)
    y = (x.sum(dim=(1, 2)) > 0).long()
    noise = torch.randint(0, 2, (30,), generator=draw)
    parts = prepared(Task("features", 2, "label", 2, 4), (x[:30], y[:30]), (x[30:60], noise),
                     (x[60:], y[60:]))  # fmt: skip
    seen = []

    def watched(model: nn.Module, split: Any, **options: Any) -> float:
        figure = evaluate(model, split, **options)
        seen.append(("test" if split is parts.test else "validation", figure))
        return figure

    for module in (loop, best):
        monkeypatch.setattr(module, "evaluate", watched)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 2))
    settings = {"epochs": 8, "batch_size": 5, "optimizer": {"name": "sgd", "params": {"lr": 2.0}},
                "schedule": None, "clip_norm": None}  # fmt: skip
    trained = train_model(model, parts, settings, device=CPU, seed=0)
    assert [what for what, _ in seen[:8]] == ["validation"] * 8
    on_test = [figure for what, figure in seen if what == "test"]
    # The best weights, once restored, are first compared with the best epoch on validation.
    assert [what for what, _ in seen[8:]] in (["test"], ["test", "validation", "test"])
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
    assert wrong.stderr.startswith("error: --confusion lstm: this run has no model 'lstm'")


def test_datasets_with_the_same_name_from_two_packages_are_not_compared() -> None:
    document = made(FIGURES)
    for case in document["cases"][1:]:
        case["dataset_label"] = "acme:parity"
    assert [len(family) for family in families(document["cases"])] == [1, len(FIGURES) - 1]
    assert len(result_tables(document)) == 2
