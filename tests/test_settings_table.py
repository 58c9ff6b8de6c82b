"""Latency at many settings: all are shown, and imprecise figures are marked."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from made_documents import FIGURES, made, print_pairs, shown

from seqbench.records import Comparison, Verdict
from seqbench.report.exports.csv import to_csv
from seqbench.report.exports.latex import to_latex

AXES: dict[str, tuple[Any, ...]] = {
    "runtime": ("eager", "compile"),
    "threads": (1, 2),
    "length": (20, 80),
    "batch_size": (1, 64),
}
SETTINGS = [dict(zip(AXES, values, strict=True)) for values in itertools.product(*AXES.values())]


def entry(settings: dict[str, Any], median: float, half: float = 0.01) -> dict[str, Any]:
    return {
        **settings, "median_s": median, "low_s": median * (1 - half), "high_s": median * (1 + half),
        "p90_s": None, "p99_s": None, "n": 50, "processes": 5, "unstable": half > 0.1,
        "precise": half <= 0.02,
    }  # fmt: skip


def verdicts(ids: list[str]) -> list[Comparison]:
    """The second is the fastest at every setting; the others do not differ."""
    given: list[tuple[int, int, float, Verdict]] = [
        (0, 1, 1.5, "worse"),
        (0, 2, 1.0, "no difference"),
        (1, 2, 0.6, "better"),
    ]
    return [
        Comparison(
            "latency", ids[a], ids[b], scale="ratio", effect=effect, low=0.9 * effect,
            high=1.1 * effect, p=0.01, verdict=verdict, n=5, settings=settings,
        )
        for settings in SETTINGS
        for a, b, effect, verdict in given
    ]  # fmt: skip


@pytest.fixture
def document() -> Any:
    """Three cases at sixteen settings; the first is very imprecise at one of them."""
    found: Any = made(FIGURES, comparisons=verdicts)
    for case, median in zip(found["cases"], (3e-4, 2e-4, 3.1e-4), strict=True):
        case["latency"] = [
            entry(at, median * at["length"] * (1 + at["batch_size"] / 20)) for at in SETTINGS
        ]
    found["cases"][0]["latency"][-1] |= entry(SETTINGS[-1], 0.192, half=2.0)
    found["measure"] = {"latency": {"precision": 0.02}}
    return found


@pytest.mark.parametrize("width", [60, 80, 160])
def test_every_setting_has_a_row(document: Any, width: int) -> None:
    text = shown(document, width)
    table = text.partition("latency at each setting")[2].partition("?:")[0]
    rows = [line.split() for line in table.splitlines()]
    for at in SETTINGS:
        lead = [at["runtime"], at["threads"], at["batch_size"], at["length"]]
        found = [row for row in rows if row[:4] == [str(value) for value in lead]]
        assert found, lead
        assert sum(len(row) - 5 for row in found) == 3  # three figures
    batch_1_length_20 = next(row for row in rows if row[:4] == ["eager", "1", "1", "20"])
    assert batch_1_length_20[4:] == ["ms", "6.30", "4.20*", "6.51"]


def test_other_tables_have_only_the_first_settings(document: Any) -> None:
    text = shown(document, 160)
    assert len([c for c in text.split("latency at each")[0].split() if c == "latency"]) == 2
    assert to_latex(document).count(r"\multicolumn{2}{c}{latency}") == 1
    head = to_csv(document).splitlines()[0].split(",")
    assert len([name for name in head if name.startswith("latency_") and name.endswith("_s")]) >= 16


def test_few_settings_have_columns_and_no_rows(document: Any) -> None:
    for case in document["cases"]:
        case["latency"] = case["latency"][:4]
    assert "latency at each setting" not in shown(document)


@pytest.mark.parametrize("settings", [2, 8])
def test_another_length_is_named_even_if_it_is_the_only_one(document: Any, settings: int) -> None:
    for case in document["cases"]:
        case["latency"] = [e for e in case["latency"] if e["length"] == 20][:settings]
        case["length"] = 20
    own, document = shown(document), copy.deepcopy(document)
    assert "length 20" not in own
    assert "batch  length" not in own
    for case in document["cases"]:
        case["length"] = 40
    other = shown(document).partition("models:")[0]
    assert "batch 1, length 20" in " ".join(other.split())
    assert settings < 7 or "batch  length" in other
    assert "latency_batch_1_length_20" in to_csv(document)


def test_an_imprecise_figure_is_marked(document: Any) -> None:
    text = shown(document)
    assert "192?" in text
    assert text.count("?") == 2  # and its explanation
    assert "wider than ±10 %" in text
    words = " ".join(text.split())
    assert "Unstable latency: rnn (batch 64, length 80, 2 threads, compile)" in words
    assert "rnn (±200.0 % at batch 64, length 80, 2 threads, compile)" in words


def test_a_pair_that_was_unstable_is_marked(document: Any) -> None:
    text = shown(document, 100, of=print_pairs)
    assert text.count("(unstable)") == 2  # both pairs of that case, at that setting only
    assert "unstable: the interquartile range of one case's calls" in text
    assert "corrected for all pairs" in text


def test_columns_that_do_not_fit_are_named(document: Any) -> None:
    for case in document["cases"]:
        case["cold"] = {"first_call_s": 0.001}
    assert "Not shown at 60 columns: " in shown(document, 60)
    assert "cold first call" in " ".join(shown(document, 60).split())
    assert "Not shown" not in shown(document, 240)


def test_more_threads_than_cores_are_a_warning(document: Any) -> None:
    document["environment"] = {"cores": 1}
    assert "Latency on 2 threads: this machine has 1 core;" in shown(document, 160)
    document["environment"] = {"cores": 2}
    assert "Latency on 2 threads" not in shown(document, 160)


def test_the_exponent_of_latency_is_a_row_of_its_settings(document: Any) -> None:
    alike = {"runtime": "eager", "threads": 1, "batch_size": 1}
    for case in document["cases"]:
        fits = [{**alike, "exponent": 0.97, "low": 0.96, "high": 0.98}]
        case["exponents"] = {"latency": fits}
    rows = [line.split() for line in shown(document, 160).splitlines()]
    (row,) = [row for row in rows if "exponent" in row and row[0] == "eager"]
    assert row[:4] == ["eager", "1", "1", "exponent"]
    assert row[4:7] == ["0.970", "±", "0.010"]
