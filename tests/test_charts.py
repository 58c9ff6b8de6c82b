"""Charts: their figures are those of the document, and their choices do what they say."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import ROOT
from made_documents import made

pytestmark = pytest.mark.extra

altair = pytest.importorskip("altair")
vl_convert = pytest.importorskip("vl_convert")

from seqbench.report.charts.chart import Chart, changed, differences  # noqa: E402
from seqbench.report.charts.figure import chosen, figure_spec, write_figure  # noqa: E402
from seqbench.report.charts.kinds import KINDS, draw  # noqa: E402
from seqbench.report.charts.source import Group, RunData, groups, read_run  # noqa: E402
from seqbench.report.run import Run  # noqa: E402

if TYPE_CHECKING:
    from seqbench.summary.schema import Document

FASHION = ROOT / "results/reference/fashion"
RUNS = ("fashion", "fashion-2020", "zoo", "timed")


@pytest.fixture(scope="module", params=RUNS)
def group(request: pytest.FixtureRequest) -> Group:
    if request.param == "timed":
        path = request.getfixturevalue("timed")
    else:
        path = ROOT / "results/reference" / request.param
    return groups(read_run(Run.open(path).document))[0]


@pytest.fixture(scope="module")
def fashion() -> Group:
    return groups(read_run(Run.open(FASHION).document))[0]


def drawn(group: Group) -> list[Chart]:
    found = [draw(kind, group) for kind in KINDS]
    return [chart for chart in found if not chart.missing]


def combinations(chart: Chart) -> list[dict[str, str]]:
    """Every combination of up to four options of each choice."""
    options = [[option.name for option in choice.options[:4]] for choice in chart.choices]
    names = [choice.name for choice in chart.choices]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*options)]


def test_every_chart_is_valid_and_draws_something(group: Group) -> None:
    for chart in drawn(group):
        for options in combinations(chart):
            spec = chosen(chart, options)
            altair.Chart.from_dict(spec).to_dict()  # raises if it is not valid Vega-Lite
        scene = json.dumps(vl_convert.vegalite_to_scenegraph(chart.spec))
        assert scene.count('"marktype"') > 3, chart.kind


def test_choices_do_not_touch_the_same_parts(group: Group) -> None:
    """Otherwise what the page shows would depend on the order of clicks."""
    for chart in drawn(group):
        paths = [
            {path for option in choice.changes for path, _ in option} for choice in chart.choices
        ]
        for one, two in itertools.combinations(paths, 2):
            clashes = [(a, b) for a in one for b in two if a[: len(b)] == b or b[: len(a)] == a]
            assert not clashes, chart.kind


def test_differences_are_what_changed_applies() -> None:
    base = {"a": 1, "b": {"c": [1, 2, {"d": 3}]}, "e": None}
    other = {"b": {"c": [1, 5, {"d": 4, "f": [0]}]}, "e": None, "g": {"h": None}}
    assert changed(base, differences(base, other)) == other
    assert base["a"] == 1


def case_of(group: Group, name: str) -> Mapping[str, Any]:
    return next(case for case in group.cases if group.names[case["id"]] == name)


def test_seeds_are_those_of_the_records(group: Group) -> None:
    rows = draw("accuracy", group).rows()
    scale = 100 if group.table.metric == "accuracy" else 1
    metrics = [case["metric"] for case in group.cases]
    # On a logarithmic axis, an interval that reaches zero ends at half of the smallest figure.
    figures = [figure for metric in metrics for figure in (metric["mean"], metric["low"])]
    least = 0.0 if scale == 100 else min(figure for figure in figures if figure > 0) / 2
    for case in group.cases:
        own = [row for row in rows if row["case"] == group.names[case["id"]]]
        mean = next(row for row in own if row["kind"] == "mean")
        metric = case["metric"]
        assert mean["value"] == pytest.approx(scale * metric["mean"])
        most = scale if scale == 100 else math.inf  # what is impossible is cut off
        assert mean["low"] == pytest.approx(max(least, scale * metric["low"]))
        assert mean["high"] == pytest.approx(min(most, scale * metric["high"]))
        seeds = {f"seed {t['seed']}": scale * t["metrics"]["value"] for t in group.trials(case)}
        assert {r["kind"]: r["value"] for r in own if r is not mean} == pytest.approx(seeds)


def test_no_seed_is_drawn_outside_of_the_axis() -> None:
    """Where a seed lies far below the means, or is zero, the axis is linear."""
    far: dict[str, list[float]] = {"rnn": [1e-9, 1.0, 1.0], "lstm": [0.5, 0.5, 0.6]}
    for gru, scale in ([9.0, 9.0, 9.1], None), ([0.0, 9.0, 9.1], None):
        document = made({**far, "gru": gru}, dataset="adding")
        spec = draw("accuracy", groups(RunData(document))[0]).spec
        assert spec["layer"][1]["encoding"]["x"]["scale"].get("type") == scale
    near = made({"rnn": [1.0, 1.1, 1.2], "lstm": [5.0, 5.1, 5.2], "gru": [9.0] * 3},
                dataset="adding")  # fmt: skip
    spec = draw("accuracy", groups(RunData(near))[0]).spec
    assert spec["layer"][1]["encoding"]["x"]["scale"]["type"] == "log"


def test_pareto_has_the_figures_of_the_table(group: Group) -> None:
    chart = draw("pareto", group)
    spec = chosen(chart, {"x": "macs", "y": group.table.metric})
    x = _field(spec, "x")
    for row in chart.rows():
        case = case_of(group, row["case"])
        unit = {"M": 1e6, "k": 1e3, "G": 1e9, "": 1.0}[_unit(spec, "x")]
        if case["macs"] is None:
            assert row[x] is None
        else:
            assert row[x] * unit == pytest.approx(case["macs"])
        time = _field(chart.spec, "x")
        size = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}[_unit(chart.spec, "x")]
        assert row[time] * size == pytest.approx(case["latency"][0]["median_s"])
        assert row[f"{time}_high"] * size == pytest.approx(case["latency"][0]["high_s"])


def _points(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(
        layer for layer in spec["layer"] if layer["mark"].get("type") == "point"
    )
    return found


def _field(spec: Mapping[str, Any], channel: str) -> str:
    return str(_points(spec)["encoding"][channel]["field"])


def _unit(spec: Mapping[str, Any], channel: str) -> str:
    title = _points(spec)["encoding"][channel]["title"]
    return title.rpartition("(")[2].rstrip(")") if "(" in title else ""


def test_front_is_what_no_case_beats(group: Group) -> None:
    """The line joins exactly the cases that no other is at least as good as in both figures."""
    chart = draw("pareto", group)
    for x in [option.name for option in chart.choices[0].options[:6]]:
        spec = chosen(chart, {"x": x})
        first, second = f"{_field(spec, 'x')}_cost", f"{_field(spec, 'y')}_cost"
        costs = {
            (row[first], row[second])
            for row in chart.rows()
            if row.get(first) is not None and row.get(second) is not None
        }
        front = {
            one for one in costs
            if not any(o != one and o[0] <= one[0] and o[1] <= one[1] for o in costs)
        }  # fmt: skip
        only_front = {**spec, "layer": [spec["layer"][0]]}
        scene = vl_convert.vegalite_to_scenegraph(only_front)
        assert sum(len(mark["items"]) for mark in marks(scene, "line")) == len(front), x


def marks(node: Any, kind: str) -> Iterator[Any]:
    """Every mark of a kind in a scene."""
    if isinstance(node, dict):
        if node.get("marktype") == kind:
            yield node
        node = list(node.values())
    for item in node if isinstance(node, list) else ():
        yield from marks(item, kind)


def test_curves_are_those_of_the_records(group: Group) -> None:
    chart = draw("curves", group)
    path = Path(group.data.document["run"])
    scale = 100 if group.table.metric == "accuracy" else 1
    for row in chart.rows():
        record = json.loads((path / f"trials/{row['line']}.json").read_text())
        entry = next(e for e in record["curve"] if e["epoch"] == row["epoch"])
        validation = entry.get("validation")
        assert row["validation"] == (
            None if validation is None else pytest.approx(scale * validation)
        )
        assert row["train_loss"] == entry["train_loss"]
        before = [e["seconds"] for e in record["curve"] if e["epoch"] <= row["epoch"]]
        assert row["seconds"] == pytest.approx(sum(before))
        last = record["curve"][-1]["epoch"]
        assert row["chosen"] == ((record["metrics"]["best_epoch"] or last) == row["epoch"])


def test_pairs_are_the_comparisons_both_ways(group: Group) -> None:
    rows = draw("pairs", group).rows()
    ids = {name: key for key, name in group.names.items()}
    found = {(e["a"], e["b"]): e for e in group.data.document["comparisons"]
             if e["quantity"] == group.table.metric}  # fmt: skip
    assert len([row for row in rows if row["of"] == 0]) == 2 * len(found)
    for row in rows:
        if row["of"]:
            continue
        pair = ids[row["row"]], ids[row["column"]]
        each = found.get(pair) or found[pair[::-1]]
        verdict: str = each["verdict"]
        if pair not in found:
            verdict = {"better": "worse", "worse": "better"}.get(verdict, verdict)
        words = {"better": "row is better", "worse": "row is worse"}
        assert row["verdict"] == words.get(verdict, row["verdict"])
        assert (row["verdict"] in words.values()) == (verdict in words)
        if each["scale"] == "difference":
            effect = each["effect"] if pair in found else -each["effect"]
            assert float(row["text"]) == pytest.approx(100 * effect, abs=0.06)
        else:
            effect = each["effect"] if pair in found else 1 / each["effect"]
            assert float(row["text"].replace(",", "")) == pytest.approx(effect, rel=0.01)


def test_memory_adds_up_to_the_total(group: Group) -> None:
    chart = draw("memory", group)
    for case in group.cases:
        for mode, parts in case["memory"]["breakdown"].items():
            own = [row["value"] for row in chart.rows()
                   if row["case"] == group.names[case["id"]] and row["mode"] == mode]  # fmt: skip
            assert sum(own) * 2**20 == pytest.approx(parts["total"])


def test_calls_are_those_of_the_samples(timed: Path) -> None:
    """A row says which share of a process's counted calls took at most so long."""
    group = groups(read_run(Run.open(timed).document))[0]
    chart = draw("latency", group)
    unit = 1e3 if "µs" in chart.spec["encoding"]["x"]["title"] else 1e6  # in nanoseconds
    for case in group.cases:
        path = timed / f"samples/{case['id']}.json.gz"
        stored = json.loads(gzip.decompress(path.read_bytes()))
        cell = next(n for n, c in enumerate(stored["cells"]) if c["quantity"] == "latency")
        calls: dict[int, list[int]] = {}
        for block in stored["blocks"]:
            if block["cell"] == cell:
                calls.setdefault(block["process"], []).extend(block["ns"][stored["dropped"] :])
        own = [row for row in chart.rows() if row["case"] == group.names[case["id"]]]
        assert {row["process"] for row in own} == set(calls)
        for row in own:
            times = calls[row["process"]]
            limit = row["value"] * unit * (1 + 1e-4)  # five digits are kept
            share = sum(ns <= limit for ns in times) / len(times)
            assert share >= row["share"] - 1e-4
            less = sum(ns < row["value"] * unit * (1 - 1e-4) for ns in times) / len(times)
            assert less < row["share"]


def test_confusion_is_that_of_the_records(fashion: Group) -> None:
    rows = draw("confusion", fashion).rows()
    for case in fashion.cases:
        tables = [trial["metrics"]["confusion"] for trial in fashion.trials(case)]
        classes = fashion.trials(case)[0]["metrics"]["classes"]
        own = {(row["true"], row["predicted"]): row["count"] for row in rows
               if row["case"] == fashion.names[case["id"]]}  # fmt: skip
        for t, true in enumerate(classes):
            for p, predicted in enumerate(classes):
                assert own[true, predicted] == sum(table[t][p] for table in tables)


def test_what_is_missing_names_the_file(fashion: Group) -> None:
    for kind in ("latency", "drift", "pair-rounds"):
        chart = draw(kind, fashion)
        assert "samples/" in chart.missing
        assert "is missing" in chart.missing


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_figures_in_every_format(group: Group, suffix: str, tmp_path: Path) -> None:
    for chart in drawn(group):
        spec = figure_spec(chart, group, options={}, width="single", title=True)
        content = write_figure(spec, tmp_path / f"x{suffix}")
        starts = {".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix]
        assert content.startswith(starts)
        if suffix == ".svg":
            assert group.title.partition(" (")[0].encode() in content
        if suffix == ".pdf":
            assert b"/FontFile" in content or b"/ObjStm" in content


def plot(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seqbench", "plot", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_command(tmp_path: Path) -> None:
    done = plot(str(FASHION), "pareto", "--option", "x=macs", "-o", "a.pdf", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert done.stdout == "pareto: a.pdf\n"
    done = plot(str(FASHION), "accuracy", "--width", "double", "--no-title", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "accuracy.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("paretto",), "unknown kind of chart 'paretto'; did you mean 'pareto'?"),
        (("pareto", str(FASHION)), "the run comes first"),
        ((str(FASHION), "pareto", "--option", "x=mac"), "did you mean 'macs'?"),
        ((str(FASHION), "pareto", "--option", "z=1"), "available: x, y"),
        ((str(FASHION), "pareto", "--option", "x"), "NAME=VALUE"),
        ((str(FASHION), "pareto", "-o", "x.jpg"), ".svg, .png, .pdf"),
        ((str(FASHION), "pareto", "-o", "no/x.svg"), "the folder no does not exist"),
        ((str(FASHION), "latency"), "samples/gru-a030fd7b2d.json.gz is missing"),
        ((str(FASHION), "pareto", "--dataset", "cifar"), "available: fashion_mnist"),
    ],
)
def test_errors_are_one_line(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = plot(*arguments, folder=tmp_path)
    assert done.returncode != 0
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_document_is_not_changed(fashion: Group) -> None:
    before: Document = Run.open(FASHION).document
    drawn(fashion)
    assert fashion.data.document == before
