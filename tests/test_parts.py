"""Figures by test set and by length, from the record of a trial to every table and export."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from click.testing import CliRunner
from conftest import install, runner_environment
from made_documents import made, shown
from readers import html_tables, latex_tables, markdown_tables, svg_lines
from test_lengths import CPU, DATA, Known

from seqbench import Run
from seqbench.cli import cli
from seqbench.errors import StoreError
from seqbench.report.exports.html import to_html
from seqbench.report.exports.latex import to_latex
from seqbench.report.exports.markdown import to_markdown
from seqbench.report.page.methods import methods
from seqbench.report.terminal.report import print_report
from seqbench.report.terminal.sheets import print_view
from seqbench.report.views.lengths import lengths_view
from seqbench.summary.schema import Document
from seqbench.training.data_checks import checked_splits
from seqbench.training.evaluation import evaluate
from seqbench.training.parts import Parts
from seqbench.types import Splits, Task

#: Student's t at 97.5 % with 2 degrees of freedom.
T_2 = 4.302652729911275

SETS = {"short": (5, 12), "long": (41, 100)}


def part(name: str, value: float | None, ends: tuple[int, int] = (5, 12), **more: Any) -> Any:
    return {"name": name, "shortest": ends[0], "longest": ends[1], "sequences": 300,
            "value": value, **more}  # fmt: skip


def with_sets(label: str, seed: int) -> dict[str, Any]:
    """The figure in tables is the mean over both sets; that of ``short`` is 0.1 larger."""
    base = {"rnn": 0.6, "lstm": 0.7, "gru": 0.8}[label] + 0.02 * seed
    parts = [part(name, base + 0.1 * (name == "short"), ends) for name, ends in SETS.items()]
    return {"parts": parts, "headline": list(SETS), "value": base + 0.05, "last": base + 0.05}


def with_ranges(label: str, seed: int) -> dict[str, Any]:
    return {"parts": [part("", 0.9, (7, 7)), part("", 0.7 + 0.1 * seed, (8, 1200))]}


THREE = {"rnn": [0.5] * 3, "lstm": [0.5] * 3, "gru": [0.5] * 3}


def case_of(document: Document, label: str) -> Any:
    return next(case for case in document["cases"] if case["label"] == label)


def view(document: Document, width: int = 80) -> str:
    return shown(document, width, of=lambda d, console: print_view(lengths_view(d), console))


def lines_with(text: str, start: str) -> list[list[str]]:
    """The words of every line that starts with a name."""
    return [line.split() for line in text.splitlines() if line.startswith(start)]


# ------------------------------------------------------------------------------ records


def test_a_part_without_a_figure_says_why() -> None:
    task = Task("features", 2, "label_per_step", 2, 3)
    x = [np.zeros((3, 2), "float32"), np.full((1, 2), np.nan, "float32"), np.zeros((2, 2), "f4")]
    y = [np.zeros(3, int), np.zeros(1, int), np.full(2, -100)]
    clean = [np.nan_to_num(each) for each in x]
    splits = checked_splits(Splits(task, (clean, y), (clean, y)), DATA)
    splits.test.inputs[3:4] = math.nan
    parts = Parts(splits.test)
    evaluate(Known(), splits.test, device=CPU, meters=[parts])
    found = [(one["shortest"], one["value"], one.get("reason")) for one in parts.result()["parts"]]
    assert found == [
        (1, None, "an answer of the model is NaN or infinite"),
        (2, None, "no target counts"),
        (3, 1.0, None),
    ]
    assert "headline" not in parts.result()  # no test sets


# ------------------------------------------------------------------------------ document


def test_the_document_has_the_mean_over_seeds_of_each_part() -> None:
    document = made(THREE, of_trial=with_sets)
    short, long = case_of(document, "gru")["parts"]
    assert (short["name"], short["shortest"], short["longest"]) == ("short", 5, 12)
    assert (short["sequences"], short["headline"]) == (300, True)
    assert (short["n"], short["reason"]) == (3, "")
    half = T_2 * 0.02 / math.sqrt(3)  # of 0.90, 0.92 and 0.94
    assert short["mean"] == pytest.approx(0.92)
    assert (short["low"], short["high"]) == pytest.approx((0.92 - half, 0.92 + half))
    mean = case_of(document, "gru")["metric"]["mean"]
    assert mean == pytest.approx((short["mean"] + long["mean"]) / 2)


def test_a_failed_seed_has_no_part_in_the_figures() -> None:
    document = made(THREE, of_trial=with_sets, diverged=("gru",))
    short = case_of(document, "gru")["parts"][0]
    assert (short["mean"], short["n"]) == (pytest.approx(0.93), 2)
    text = view(document)
    assert ["gru", "2", "of", "3"] in [words[:4] for words in lines_with(text, "gru")]
    assert ["lstm", "3", "of", "3"] in [words[:4] for words in lines_with(text, "lstm")]


def broken(label: str, seed: int, *, how: str) -> dict[str, Any]:
    found = with_sets(label, seed)
    if (label, seed) != ("gru", 1):
        return found
    if how == "missing":
        del found["parts"][1]
    elif how == "null":
        found["parts"][1] |= {"value": None, "reason": "no target counts"}
    elif how == "other data":
        found["parts"][1] |= {"sequences": 299}
    else:
        del found["parts"], found["headline"]
    return found


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("missing", "seed 1: no figure was recorded"),
        ("null", "seed 1: no target counts"),
        ("other data", "seed 1: no figure was recorded"),
        ("older", "seed 1: no figure was recorded"),
    ],
)
def test_a_part_that_a_seed_lacks_has_a_reason_instead_of_a_mean(how: str, reason: str) -> None:
    """The mean of the other seeds would be biased."""
    document = made(THREE, of_trial=partial(broken, how=how))
    long = case_of(document, "gru")["parts"][1]
    assert (long["mean"], long["low"], long["high"], long["n"]) == (None, None, None, 2)
    assert long["reason"] == reason
    assert case_of(document, "lstm")["parts"][1]["mean"] == pytest.approx(0.72)
    text = " ".join(view(document).split())
    assert f"n/a: gru at {'short, long' if how == 'older' else 'long'}" in text
    assert f": {reason}" in text


def test_an_older_run_has_no_parts_and_says_so() -> None:
    document = made(THREE)
    assert [case["parts"] for case in document["cases"]] == [[], [], []]
    assert "No figures by test set or length on parity: its test split is a" in view(document)
    report = shown(document, of=print_report)
    assert "test set" not in report
    assert "padding" not in report
    assert "no seed succeeded" in view(made(THREE, untrained=("rnn", "lstm", "gru")))


def test_a_case_without_a_successful_seed_is_in_the_table() -> None:
    text = view(made(THREE, of_trial=with_sets, untrained=("rnn",)))
    assert ["rnn", "0", "of", "3", "n/a", "n/a", "n/a"] in lines_with(text, "rnn")
    assert "n/a: rnn: no seed succeeded" in text


def test_without_a_record_of_the_headline_it_is_unknown() -> None:
    def unknown(label: str, seed: int) -> dict[str, Any]:
        return {"parts": with_sets(label, seed)["parts"]}

    document = made(THREE, of_trial=unknown)
    assert [each["headline"] for each in case_of(document, "gru")["parts"]] == [None, None]
    assert "some of 2 test sets; which ones was not recorded" in shown(document, 160, print_report)


# ------------------------------------------------------------------------- below the table


def headline(label: str, seed: int, *, names: list[str]) -> dict[str, Any]:
    return {**with_sets(label, seed), "headline": names}


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["short", "long"], "mean over 2 test sets (short, long); all: seqbench show --lengths."),
        (["long"], "figure on the test set long (of 2); all: seqbench show --lengths."),
    ],
)
def test_tables_say_what_the_figure_of_several_test_sets_is(names: list[str], line: str) -> None:
    document = made(THREE, of_trial=partial(headline, names=names))
    assert f"test accuracy: {line}" in shown(document, 160, print_report)
    for export in (to_markdown, to_latex, to_html):
        text = export(document).replace("\\", "").replace("-{}-", "--")
        assert line.partition(";")[0] in text
    assert f"that is the {line.partition(';')[0]}." in methods(document)


def test_tables_point_at_the_figures_by_length() -> None:
    text = shown(made(THREE, of_trial=with_ranges), of=print_report)
    assert "figures by length: seqbench show --lengths." in text
    assert "test set" not in text


@pytest.mark.parametrize(
    ("shares", "line"),
    [
        ((0.0312, 0.0312, 0.0312), "3.1 %"),
        ((0.0312, 0.05, 0.04), "3.1 to 5.0 %"),
        ((0.0, 0.0, 0.0), "0 %"),
        ((0.0004, 0.0001, 0.0002), "below 0.1 %"),
    ],
)
def test_tables_have_the_share_of_padding(shares: tuple[float, ...], line: str) -> None:
    document = made(THREE, of_trial=lambda label, seed: {"padding": shares[seed]})
    assert f"padding, of all steps in training: {line}." in shown(document, of=print_report)
    assert f"padding, of all steps in training: {line}." in view(document)


# ------------------------------------------------------------------------------- the view

LONG = "sequences of a length that does not occur in training, part"


def many(label: str, seed: int) -> dict[str, Any]:
    """25 test sets, some with long names, two of which are cut to the same text."""
    names = [f"{LONG} {n}" if n < 3 else f"[bold]<b>{n}</b>" for n in range(25)]
    parts = [part(name, (10 * n + seed) / 1000, (n + 1, n + 1)) for n, name in enumerate(names)]
    return {"parts": parts, "headline": names}


@pytest.mark.parametrize("width", [80, 160])
def test_many_test_sets_with_long_names_fit_the_terminal(width: int) -> None:
    """``shown`` checks the width; no figure may be lost or cut."""
    text = view(made(THREE, of_trial=many), width)
    for n in range(25):
        assert f"{n + 0.1:.1f} ± 0.2" in text.replace("±  ", "± ")
    assert "[bold]<b>24</b>" in text
    assert len(lines_with(text, "lstm")) >= 3
    assert "(1 of 3)" in text


def test_one_seed_has_no_interval() -> None:
    text = view(made({name: [0.5] for name in THREE}, of_trial=with_ranges))
    assert ["gru", "50.0", "90.0", "70.0"] in lines_with(text, "gru")
    assert "8–1,200" in text


def timed(document: Any) -> Document:
    """With latency at two lengths; rnn ran out of memory at the longer one."""
    at = {"batch_size": 1, "threads": 1, "runtime": "eager"}
    for case in document["cases"]:
        failed = case["label"] == "rnn"
        lengths = (8,) if failed else (8, 64)
        case["length"] = 8
        case["latency"] = [
            {**at, "length": n, "median_s": n * 1e-4, "low_s": n * 9e-5, "high_s": n * 1.1e-4,
             "p90_s": None, "p99_s": None, "n": 100, "processes": 5, "spread": 0.1,
             "unstable": False, "steady": True} for n in lengths
        ]  # fmt: skip
        if failed:
            case["unmeasured"] = [{"quantity": "latency", "status": "out_of_memory",
                                   "reason": "no room", **at, "length": 64}]  # fmt: skip
    return document  # type: ignore[no-any-return]


def test_latency_with_lengths_as_in_the_data_follows_that_at_each_length() -> None:
    document: Any = timed(made(THREE, of_trial=with_ranges))
    for case in document["cases"]:
        case["latency"].append({**case["latency"][0], "length": "as_data", "median_s": 4e-3})
    text = view(document)
    assert ["case", "8", "64", "as", "data"] in lines_with(text, "case")
    assert ["gru", "800", "6,400", "4,000"] in lines_with(text, "gru")


def test_latency_by_length_is_beside_it() -> None:
    document = timed(made(THREE, of_trial=with_ranges))
    text = view(document)
    assert "latency by length, batch 1, µs" in text
    assert ["gru", "800", "6,400"] in lines_with(text, "gru")
    assert ["rnn", "800", "n/a"] in lines_with(text, "rnn")
    assert "n/a: rnn at 64: no room" in text
    records = [r for sheet in lengths_view(document).sheets for r in sheet.records]
    (found,) = [r for r in records if r["quantity"] == "latency" and r["label"] == "rnn"
                and r["length"] == 64]  # fmt: skip
    assert (found["median_s"], found["missing"]) == (None, "no room")


# ------------------------------------------------------------------------------ a real run

PLUGIN = '''
    import numpy as np
    import seqbench

    @seqbench.hookimpl
    def seqbench_datasets():
        return [seqbench.DatasetSpec("sums", load="sums:load", parameters={"headline": ""}),
                seqbench.DatasetSpec("ragged", load="sums:load_ragged")]

    @seqbench.hookimpl
    def seqbench_metrics():
        return [seqbench.MetricSpec("wrong", build="sums:Wrong", higher_is_better=False)]

    class Wrong:
        """The number of wrong answers."""
        count = 0
        def __init__(self, task): pass
        def update(self, answers, targets):
            self.count += int((answers.argmax(-1) != targets).sum())
        def compute(self): return self.count

    def drawn(seed, count, least, most):
        random = np.random.RandomState(seed)
        x = [random.randn(n, 2).astype("float32") for n in random.randint(least, most, size=count)]
        x[0] = random.randn(most, 2).astype("float32")
        return x, np.array([int(each.sum() > 0) for each in x])

    TASK = seqbench.Task(input="features", input_size=2, target="label", output_size=2, length=20)

    def load(context, headline):
        tests = {"near": drawn(1, 60, 3, 9), "far": drawn(2, 40, 10, 20)}
        return seqbench.Splits(TASK, drawn(0, 200, 3, 9), tests=tests, headline=headline)

    def load_ragged(context):
        return seqbench.Splits(TASK, drawn(0, 100, 3, 20), drawn(1, 60, 3, 20))
    '''

SUITE = """
    name: sums
    datasets: [sums, {sums: {headline: far}, label: far}, ragged]
    models: [{gru: {hidden_size: 4}}]
    train: {epochs: 2, batch_size: 20}
    metrics: [wrong]
    seeds: 2
    devices: [cpu]
    measure: {accuracy: }
    """


@pytest.fixture(scope="session")
def summed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run on two test sets, and on sequences of unequal length."""
    folder = tmp_path_factory.mktemp("summed")
    (folder / "sums.yaml").write_text(textwrap.dedent(SUITE))
    install(folder / "site", "sums", {"sums": PLUGIN}, "sums = sums")
    command = [sys.executable, "-m", "seqbench", "run", "sums.yaml", "--json"]
    environment = runner_environment(folder, folder / "site")
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return folder / str(json.loads(done.stdout)["run"])


def kept(run: Run, case: Any, seed: int) -> dict[str, list[bool]]:
    """Whether each kept answer is right, by test set."""
    found = run.predictions(f"{case['id']}-s{seed}")
    right = np.equal(found.predicted, found.targets).tolist()  # type: ignore[arg-type]
    counts = [60, 40]  # of near and far, which are kept in this order
    return {"near": right[: counts[0]], "far": right[counts[0] :]}


def test_figures_of_a_run_are_those_of_its_kept_answers(summed: Path) -> None:
    run = Run.open(summed)
    for case in run.document["cases"]:
        if case["dataset"] != "sums":
            continue
        right = [kept(run, case, seed) for seed in (0, 1)]
        wanted = {name: np.mean([np.mean(one[name]) for one in right]) for name in right[0]}
        assert {one["name"]: one["mean"] for one in case["parts"]} == pytest.approx(wanted)
        wrong = {name: np.mean([one[name].count(False) for one in right]) for name in right[0]}
        scores = {one["name"]: one["scores"]["wrong"]["mean"] for one in case["parts"]}
        assert scores == pytest.approx(wrong)
        assert case["metric"] is not None
        far = case["dataset_label"] == "far"
        whole = wanted["far"] if far else np.mean(list(wanted.values()))
        assert case["metric"]["mean"] == pytest.approx(whole)
        assert [one["headline"] for one in case["parts"]] == [not far, True]
        assert "padding" in run.document["trials"][0]["metrics"]


def test_figures_by_length_are_those_of_the_kept_answers(summed: Path) -> None:
    run = Run.open(summed)
    for case in (case for case in run.document["cases"] if case["dataset"] == "ragged"):
        assert len(case["parts"]) == 10
        assert sum(one["sequences"] for one in case["parts"]) == 60
        for one in case["parts"]:
            shares = []
            for seed in (0, 1):
                found = run.predictions(f"{case['id']}-s{seed}")
                right = np.equal(np.asarray(found.predicted), found.targets)
                lengths = np.asarray(found.lengths)
                own = (lengths >= one["shortest"]) & (lengths <= one["longest"])
                assert own.sum() == one["sequences"]
                shares.append(right[own].mean())
            assert one["mean"] == pytest.approx(np.mean(shares))


def test_rows_of_parts_give_the_figures_of_the_document(summed: Path) -> None:
    run = Run.open(summed)
    frame = pandas.DataFrame(run.parts())
    assert set(frame["metric"]) == {"accuracy", "wrong"}
    own = frame[frame["metric"] == "accuracy"]
    means = own.groupby(["case", "test_set", "shortest"])["value"].mean()
    wanted = {(case["id"], one["name"], one["shortest"]): one["mean"]
              for case in run.document["cases"] for one in case["parts"]}  # fmt: skip
    assert means.to_dict() == pytest.approx(wanted)
    assert all(not isinstance(v, (list, dict)) for row in run.to_dicts() for v in row.values()
               if v not in ([], {}))  # fmt: skip
    done = CliRunner().invoke(cli, ["export", str(summed), "--format", "csv", "--table", "parts"])
    exported = pandas.read_csv(io.StringIO(done.stdout))
    assert exported["value"].tolist() == frame["value"].tolist()
    assert exported["run"].nunique() == 1


def test_a_run_without_parts_has_no_such_table(finished: Path) -> None:
    done = CliRunner().invoke(cli, ["export", str(finished), "--format", "csv", "--table", "parts"])
    assert isinstance(done.exception, StoreError)
    assert str(done.exception).endswith("has no parts to export")
    assert Run.open(finished).parts() == []


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown", "latex", "svg", "html"])
def test_the_view_in_every_format(
    form: str, summed: Path, seqbench_cli: Callable[..., Any], tmp_path: Path
) -> None:
    drawn = ("--svg", "x.svg") if form == "svg" else ("--format", form)
    done = seqbench_cli("show", summed, "--lengths", *drawn)
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "x.svg").read_text("utf-8") if form == "svg" else done.stdout
    expected = lengths_view(Run.open(summed).document)
    records = [record for sheet in expected.sheets for record in sheet.records]
    titles = [sheet.title for sheet in expected.sheets]
    assert titles == [
        "test accuracy on sums by test set", "test wrong on sums by test set",
        "test sets on sums", "test accuracy on far by test set",
        "test wrong on far by test set", "test sets on far", "test accuracy on ragged by length",
        "sequences on ragged by length",
    ]  # fmt: skip
    readers = {"markdown": markdown_tables, "latex": latex_tables, "html": html_tables}
    if form == "json":
        tables = json.loads(text)["tables"]
        assert [record for table in tables for record in table["records"]] == records
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["mean"] for row in rows] == [str(record["mean"]) for record in records]
    elif form in readers:
        for table, sheet in zip(readers[form](text), expected.sheets, strict=True):
            assert table == [list(sheet.headers), *map(list, sheet.texts)]
    else:
        lines = svg_lines(text) if form == "svg" else text.splitlines()
        for sheet in expected.sheets:  # tables may be divided
            for name, *cells in sheet.texts:
                own = " ".join(" ".join(lines_with_name(lines, name)).split())
                assert all(cell in own for cell in cells), cells


def lines_with_name(lines: list[str], name: str) -> list[str]:
    return [line for line in lines if line.startswith(name)]


def test_figures_and_intervals_are_rounded_as_in_the_result_table(summed: Path) -> None:
    document = Run.open(summed).document
    sheet = lengths_view(document).sheets[0]
    for row, record in zip(sheet.texts, sheet.records[::2], strict=True):
        mean, half = (float(each) for each in row[2].split(" ± "))
        assert mean == pytest.approx(100 * record["mean"], abs=0.051)
        assert half == pytest.approx(50 * (record["high"] - record["low"]), abs=0.051)


def test_bencher_gets_each_test_set_and_range(summed: Path) -> None:
    done = CliRunner().invoke(cli, ["export", str(summed), "--format", "bmf"])
    found = json.loads(done.stdout)
    document = Run.open(summed).document
    case = next(case for case in document["cases"] if case["dataset_label"] == "sums")
    name = f"sums/{case['label']}/cpu"
    for one in case["parts"]:
        figure = found[f"{name} test_set={one['name']}"]["accuracy"]
        assert figure["value"] == one["mean"]
        assert (figure["lower_value"], figure["upper_value"]) == (one["low"], one["high"])
    ranges = [name for name in found if "ragged/" in name and "accuracy" in found[name]]
    assert len(ranges) == 11  # the whole split, and ten ranges


def test_a_confusion_matrix_says_which_test_sets_it_is_of(
    summed: Path, seqbench_cli: Callable[..., Any]
) -> None:
    shown = seqbench_cli("show", summed, "--confusion", "gru", "--format", "markdown").stdout
    assert "on sums: test sets near, far, 2 seeds, 200 predictions" in shown
    assert "on far: test set far, 2 seeds, 80 predictions" in shown
    assert "on ragged: test split, 2 seeds, 120 predictions" in shown
