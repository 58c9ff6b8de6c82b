"""Figures by test set and by length where a row pools the resamples of a dataset."""

from __future__ import annotations

import io
import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pandas
import pytest
import scipy.stats
from conftest import install
from made_documents import shown
from suite_registry import REGISTRY
from test_parts import lines_with, part, view
from test_resamples import GENERATED, Figures, made

from seqbench import Run
from seqbench.report.caveats import caveats
from seqbench.report.page.methods import methods
from seqbench.report.terminal.report import print_report
from seqbench.summary.schema import Document, check_document

#: Three resamples with two seeds each; those of a resample are alike.
SOME: Figures = {
    "rnn": [[0.50, 0.52], [0.60, 0.62], [0.76, 0.78]],
    "lstm": [[0.60, 0.60], [0.70, 0.70], [0.80, 0.80]],
}


def sets(resample: int, value: float) -> dict[str, Any]:
    """The test split of each resample has another size, and other lengths."""
    near = part("near", value + 0.1, (5, 12 + resample), sequences=30 + resample)
    far = part("far", value - 0.1, (40 - resample, 100), sequences=20)
    return {"parts": [near, far], "headline": ["near", "far"], "padding": 0.01 * (resample + 1)}


def two_lengths(resample: int, value: float) -> dict[str, Any]:
    found = [part("", value, (7, 7)), part("", value / 2, (9, 9))]
    return {"parts": found[: 1 if resample == 2 else 2]}


def ranges(resample: int, value: float) -> dict[str, Any]:
    return {"parts": [part("", value, (3, 7 + resample)), part("", value, (8 + resample, 20))]}


def rnn(document: Document) -> Any:
    check_document(document)
    return next(case for case in document["cases"] if case["label"] == "rnn")


@pytest.mark.parametrize("overlap", [0.0, 25 / 100])
def test_the_figure_of_a_test_set_is_the_mean_over_resamples(overlap: float) -> None:
    registry = REGISTRY if overlap else GENERATED
    near, far = rnn(made(SOME, metrics=sets, registry=registry))["parts"]
    means = [mean(one) for one in SOME["rnn"]]
    half = scipy.stats.t.ppf(0.975, 2) * np.std(means, ddof=1) * (1 / 3 + overlap) ** 0.5
    assert near["mean"] == pytest.approx(mean(means) + 0.1)
    assert near["high"] - near["mean"] == pytest.approx(half)
    assert far["mean"] == pytest.approx(mean(means) - 0.1)
    assert (near["n"], far["n"]) == (3, 3)
    assert (near["sequences"], near["shortest"], near["longest"]) == (30 + 31 + 32, 5, 14)
    assert (far["sequences"], far["shortest"], far["longest"]) == (60, 38, 100)


def test_a_failed_trial_leaves_the_parts_of_all_cases_the_same() -> None:
    """Of a resample on which one model failed, the other ones tell how large it is. Like the
    resample's mean, that of a part is of the seeds that are left.
    """
    document = made(
        {**SOME, "lstm": [[v] for v in (0.6, 0.7, 0.8)], "rnn": [[v] for v in (0.5, 0.6, 0.7)]},
        metrics=sets,
        failed=("rnn", 2, 0),
    )
    for one, other in zip(*(case["parts"] for case in document["cases"]), strict=True):
        assert [one[k] for k in ("shortest", "longest", "sequences")] == [
            other[k] for k in ("shortest", "longest", "sequences")
        ]
    assert rnn(document)["parts"][0]["n"] == 2
    text = view(document, 100)
    assert lines_with(text, "rnn")[0][:5] == ["rnn", "2", "of", "3", "trials"]


def test_the_view_says_what_is_averaged() -> None:
    document = made(SOME, metrics=sets)
    text = view(document, 100)
    assert "sequences of all resamples" in text
    assert ["near", "93", "5–14", "yes"] in lines_with(text, "near")
    words = " ".join(text.split())
    assert "metrics: mean over resamples (of each the mean over its seeds) ±" in words
    assert "padding, of all steps in training: 1.0 to 3.0 %." in words
    tables = " ".join(shown(document, 120, of=print_report).split())
    assert "test accuracy: mean over 2 test sets (near, far)" in tables
    assert "that is the mean over 2 test sets (near, far)" in methods(document)


def test_a_seed_without_a_figure_of_a_part_leaves_the_row_without() -> None:
    def lacking(resample: int, value: float) -> dict[str, Any]:
        found = sets(resample, value)
        if resample == 1 and value == 0.62:
            found["parts"][1] |= {"value": None, "reason": "no target counts"}
        return found

    near, far = rnn(made(SOME, metrics=lacking))["parts"]
    assert near["reason"] == ""
    assert far["mean"] is None
    assert (far["n"], far["reason"]) == (2, "resample 11: no target counts")


def test_single_lengths_are_pooled_and_one_that_a_resample_lacks_is_not() -> None:
    seven, nine = rnn(made(SOME, metrics=two_lengths))["parts"]
    assert (seven["shortest"], seven["sequences"], seven["n"]) == (7, 900, 3)
    assert seven["mean"] == pytest.approx(mean(map(mean, SOME["rnn"])))
    assert (nine["mean"], nine["n"]) == (None, 2)
    assert nine["reason"] == "resample 12: no figure was recorded"


def test_ranges_that_differ_between_resamples_are_not_pooled() -> None:
    document = made(SOME, metrics=ranges)
    assert rnn(document)["parts"] == []
    assert "other ranges of length" in rnn(document)["resamples"]["parts_reason"]
    words = " ".join(view(document, 100).split())
    assert "No figures by test set or length on parity: its resamples have sequences of" in words
    same = made(SOME, metrics=lambda resample, value: ranges(0, value))
    assert [one["longest"] for one in rnn(same)["parts"]] == [7, 20]
    assert rnn(same)["resamples"]["parts_reason"] == ""


def test_answers_that_change_with_padding_are_named_once_for_a_row() -> None:
    document: Any = made(SOME, metrics=sets)
    for number, trial in enumerate(document["trials"]):
        trial["padding_changes"] = 0.1 * number if trial["label"] == "rnn" else 0
    (line,) = [line for line in caveats(document) if "change with padding" in line]
    assert line.startswith("Answers change with padding: rnn (by up to 0.")
    assert line.count("rnn") == 1


PLUGIN = """
    import numpy as np
    import seqbench

    @seqbench.hookimpl
    def seqbench_datasets():
        return [seqbench.DatasetSpec("sums", load="resums:load", parameters={"seed": 0}),
                seqbench.DatasetSpec("uneven", load="resums:uneven", parameters={"seed": 0})]

    TASK = seqbench.Task(input="features", input_size=2, target="label", output_size=2, length=20)

    def drawn(random, count, least, most):
        x = [random.randn(n, 2).astype("float32") for n in random.randint(least, most, size=count)]
        x[0] = random.randn(most, 2).astype("float32")
        return x, np.array([int(each.sum() > 0) for each in x])

    def load(context, seed):
        random = np.random.RandomState(seed)
        tests = {"near": drawn(random, 60, 3, 9), "far": drawn(random, 40, 10, 20)}
        return seqbench.Splits(TASK, drawn(random, 100, 3, 9), tests=tests)

    def uneven(context, seed):
        random = np.random.RandomState(seed)
        return seqbench.Splits(TASK, drawn(random, 100, 3, 20), drawn(random, 60, 3, 20))
    """

SUITE = """
    datasets: [sums: {seed: [0, 1, 2]}, uneven: {seed: [0, 1, 2]}]
    models: [{gru: {hidden_size: 4}}]
    repeats: dataset.seed
    train: {epochs: 1, batch_size: 20}
    metrics: [cross_entropy]
    seeds: 2
    devices: [cpu]
    measure: {accuracy: }
    """


def test_a_real_run_and_its_exports(
    seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path], site: Path, tmp_path: Path
) -> None:
    install(site, "resums", {"resums": PLUGIN}, "resums = resums")
    done = seqbench_cli("run", write_suite(textwrap.dedent(SUITE)), "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    cases = {case["dataset"]: case for case in document["cases"]}
    parts = pandas.DataFrame(Run.open(tmp_path / document["run"]).parts())
    own = parts[(parts["dataset"] == "sums") & (parts["metric"] == "accuracy")]
    wanted = own.groupby(["test_set", "resample"])["value"].mean().groupby("test_set").mean()
    found = {one["name"]: one["mean"] for one in cases["sums"]["parts"]}
    assert found == pytest.approx(wanted.to_dict())
    assert mean(found.values()) == pytest.approx(cases["sums"]["metric"]["mean"])
    assert [one["scores"]["cross_entropy"]["n"] for one in cases["sums"]["parts"]] == [3, 3]
    assert cases["uneven"]["parts"] == []
    assert len(parts[parts["dataset"] == "uneven"]) == 3 * 2 * 10
    exported = seqbench_cli("export", "--format", "csv", "--table", "parts")
    rows = pandas.read_csv(io.StringIO(exported.stdout))
    assert sorted(rows["resample"].unique()) == [0, 1, 2]
    bencher = seqbench_cli("export", "--format", "bmf")
    figures = json.loads(bencher.stdout)
    near = figures["sums/gru/cpu test_set=near"]["accuracy"]["value"]
    assert near == pytest.approx(found["near"])
    assert "ranges of length" in " ".join(bencher.stderr.split())
    text = " ".join(seqbench_cli("show", "--lengths").stdout.split())
    assert "No figures by test set or length on uneven: its resamples have" in text
    assert "test accuracy on sums by test set" in text
