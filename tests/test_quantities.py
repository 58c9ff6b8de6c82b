"""What is known about quantities, and that one from outside is measured, compared and shown."""

from __future__ import annotations

import csv
import io
import json
import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ROOT

import seqbench
from seqbench.cli.show import show
from seqbench.plugins.discovery import load_plugins
from seqbench.plugins.loading import import_object
from seqbench.quantities import QUANTITIES, Quantity, find, own_metrics
from seqbench.records import Comparison, Keys, Measurement, Number
from seqbench.report.columns.column import Case, Column, Document
from seqbench.report.columns.shared import interval, quantity
from seqbench.runner.start import Request, start_run
from seqbench.suite.files import read_suite
from seqbench.suite.selection import Selection
from seqbench.types import TARGETS, MetricSpec, Task

REFERENCE = ROOT / "results" / "reference"

#: Joules of one forward pass, and the order of the cases in it.
JOULES = (0.25, 0.5, 1.0, 2.0)

ENERGY = Quantity(
    name="energy",
    unit="J",
    better="lower",
    compared="rounds",
    verdicts=("thriftier", "hungrier"),
    figures=f"{__name__}:Energy",
    columns=f"{__name__}:energy_columns",
    notes=f"{__name__}:energy_notes",
)


class Energy(Keys):
    """What ``records.py`` would hold."""

    mean: Number
    low: Number
    high: Number


def energy_columns(cases: Sequence[Case], document: Document) -> Iterable[Column]:
    """What ``report/columns/energy.py`` would hold."""
    entries = [(case["energy"] or [{}])[0] for case in cases]
    column = quantity(
        "energy", ("energy", "batch 1"), [interval(entry, "mean") for entry in entries],
        si=ENERGY.unit, group="speed", better=ENERGY.better, has_interval=True,
    )  # fmt: skip
    yield Column(**{**vars(column), "compared": (ENERGY.name, {})})


def energy_notes(document: Document, columns: Sequence[Column]) -> list[str]:
    return ["energy: of one forward pass."] if any(c.field == "energy" for c in columns) else []


def measure_energy(joules: float) -> Measurement:
    """What ``measure/energy.py`` would return."""
    values = {"mean": joules, "low": 0.99 * joules, "high": 1.01 * joules}
    return Measurement("energy", "J", {"batch_size": 1}, values, method="made up")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run in whose records there is energy, too; of the last case it could not be measured."""
    monkeypatch.setitem(QUANTITIES, "energy", ENERGY)
    folder = tmp_path / "fashion"
    shutil.copytree(REFERENCE / "fashion", folder)
    records = sorted((folder / "cases").glob("*.json"))
    for path, joules in zip(records, JOULES, strict=True):
        found = measure_energy(joules)
        if joules == JOULES[-1]:
            found = Measurement("energy", "J", status="failed", reason="no meter")
        record = json.loads(path.read_text())
        record["measurements"].append(asdict(found))
        path.write_text(json.dumps(record))
    ids = [path.stem for path in records]
    compared = [
        asdict(
            Comparison(
                "energy", a, b, scale="ratio", effect=0.5, low=0.4, high=0.6, p=0.001,
                verdict="better", n=7, settings={"batch_size": 1},
            )
        )
        for a, b in combinations(ids[:-1], 2)
    ]  # fmt: skip
    text = json.dumps({"format": 1, "comparisons": compared})
    (folder / "comparisons" / "energy-cpu.json").write_text(text)
    return folder


def shown(*arguments: object, width: int = 230) -> str:
    options = ["--all", "--explain"] if len(arguments) == 1 else []
    given = [*map(str, arguments), *options]
    done = CliRunner(env={"COLUMNS": str(width)}).invoke(show, given)
    assert done.exit_code == 0, done.output
    return done.output


# --------------------------------------------------------------------------- one from outside


def test_the_figures_of_a_quantity_from_outside_are_validated(run: Path) -> None:
    path = sorted((run / "cases").glob("*.json"))[0]
    path.write_text(path.read_text().replace('"mean": 0.25', '"mean": "0.25"'))
    with pytest.warns(UserWarning, match=r"\.values\.mean: Input should be a number; left out"):
        shown(run)


def test_a_quantity_from_outside_is_in_the_table(run: Path) -> None:
    text = shown(run)
    lines = text.splitlines()
    assert any("energy" in line and "latency" in line for line in lines)
    (units,) = (line for line in lines if " J " in f"{line} ")
    assert "µs" in units
    assert "0.250*" in text
    assert "0.500 " in text
    assert "measuring energy: failed: no meter" in text
    assert "energy: of one forward pass." in text
    assert "latency, step, energy: t test of paired rounds" in text


def test_a_quantity_from_outside_is_in_the_exports(run: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(shown(run, "--format", "csv"))))
    found = {
        row["case"]: (row["energy_J"], row["energy_low_J"], row["energy_group"]) for row in rows
    }
    first, *_, last = sorted(found)
    assert found[first] == ("0.25", "0.2475", "a")
    assert found[last] == ("", "", "")
    assert "energy, batch 1, J" in shown(run, "--format", "markdown")
    case: Any = next(c for c in seqbench.Run.open(run).document["cases"] if c["id"] == first)
    assert case["energy"] == [{"batch_size": 1, "mean": 0.25, "low": 0.2475, "high": 0.2525}]


def test_a_quantity_from_outside_is_among_the_pairs(run: Path) -> None:
    text = shown(run, "--pairs")
    assert "energy on fashion_mnist, cpu: batch_size=1" in text
    assert "a is thriftier" in text
    assert "a is faster" in text  # latency, as before


def test_its_name_is_reserved(run: Path) -> None:
    with pytest.raises(ValueError, match="metric 'energy'"):
        MetricSpec("energy", "package.module:function")


# ------------------------------------------------------------------------------- what is known


@pytest.mark.parametrize("one", QUANTITIES.values(), ids=lambda one: one.name)
def test_every_function_that_an_entry_names_exists(one: Quantity) -> None:
    assert one.measured
    for name in filter(None, (one.measured, one.columns, one.growth, one.notes)):
        assert callable(import_object(name))


def test_entries_stand_under_their_names() -> None:
    assert all(name == one.name for name, one in QUANTITIES.items())


def test_every_kind_of_target_has_what_decides() -> None:
    assert set(own_metrics()) == set(TARGETS)
    given: dict[str, Any] = {"input": "features", "input_size": 1, "output_size": 1, "length": 1}
    metrics = [
        Task(**given, target=target).metric for target in ("label", "value", "label_per_step")
    ]
    assert metrics == ["accuracy", "mse", "accuracy"]


def test_a_metric_of_a_plugin_is_looked_up_alike() -> None:
    scores = {"hinge": {"higher_is_better": False, "share": False, "mean": 0.1},
              "top_k k=5": {"higher_is_better": True, "share": True, "mean": 0.9}}  # fmt: skip
    hinge, top = find("hinge", scores), find("top_k k=5", scores)
    assert (hinge.better, hinge.share) == ("lower", False)
    assert (top.better, top.share) == ("higher", True)
    assert hinge.test == find("accuracy").test == "Welch's t test over seeds"
    assert hinge.verdict("better") == "better"


def test_times_are_faster_or_slower() -> None:
    for name in ("latency", "step", "training_step"):
        assert [find(name).verdict(found) for found in ("better", "worse")] == ["faster", "slower"]


@pytest.mark.parametrize("name", ["fashion", "fashion-2020", "zoo"])
def test_records_have_the_units_of_the_entries(name: str) -> None:
    cases = seqbench.Run.open(REFERENCE / name).cases
    found = {(one.quantity, one.unit) for case in cases for one in case.measurements}
    assert found
    assert all(QUANTITIES[quantity].unit == unit for quantity, unit in found)


# ------------------------------------------------------------------------------------- reports


def test_a_report_is_one_file_and_one_spec() -> None:
    files = {path.stem for path in (ROOT / "seqbench" / "report" / "exports").glob("*.py")}
    others = {"__init__", "shared", "json", "html", "rows"}  # not plugins
    others |= {"latex_table", "latex_text", "part_rows"}  # parts of others
    exports = {f"seqbench.report.exports.{name}" for name in files - others}
    offers = load_plugins().all_of("report")
    modules = [offer.import_path.partition(":")[0] for offer in offers]
    assert {name for name in modules if name.startswith("seqbench.")} == exports


METER = """
    from dataclasses import dataclass

    NAMES = ("mean", "low", "high")

    @dataclass(frozen=True)
    class EnergyPayload:
        weights: str
        batch_size: int

    def requests(measure, subject):
        return {"energy": EnergyPayload(subject.weights, measure.memory.batch_size)}

    def measure(payload: EnergyPayload, context):
        joules = (context.workspace.run / payload.weights).stat().st_size / 1e9
        settings = {"batch_size": payload.batch_size}
        found = {"quantity": "energy", "unit": "J", "settings": settings}
        return {"measurements": [{**found, "values": dict.fromkeys(NAMES, joules)}]}
    """


def test_a_quantity_from_outside_is_measured_by_the_runner(
    site: Path, write_suite: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "energy_meter.py").write_text(textwrap.dedent(METER))
    entry = replace(ENERGY, requests="energy_meter:requests", measured="energy_meter:measure")
    monkeypatch.setitem(QUANTITIES, "energy", entry)
    suite = write_suite(
        """
        name: energetic
        datasets: [{parity: {length: 6, train_size: 40, validation_size: 20, test_size: 20}}]
        models: [{rnn: {hidden_size: 4}}]
        train: {epochs: 1, batch_size: 20}
        seeds: 1
        measure: {memory: {batch_size: 4}}
        """
    )
    done = start_run(Request(read_suite(suite), Selection()), out=tmp_path)
    case: Any
    (case,) = done.document["cases"]
    size = next(done.path.glob("weights/*")).stat().st_size
    assert case["energy"] == [
        {"batch_size": 4, **dict.fromkeys(("mean", "low", "high"), pytest.approx(size / 1e9))}
    ]
