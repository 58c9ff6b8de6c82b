"""What charts are made from: a run's document, and what its folder holds besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.errors import StoreError
from seqbench.quantities import Quantity
from seqbench.report.columns.column import Case, Column, Document
from seqbench.report.columns.letters import at_settings
from seqbench.report.columns.quality import metric_of, metric_unit
from seqbench.report.columns.table import ResultTable, result_tables
from seqbench.report.exports.shared import table_title
from seqbench.report.names import measured_id
from seqbench.report.numbers import Estimate
from seqbench.report.text import clean, label
from seqbench.store.run_folder import SUITE_FILE, RunFolder
from seqbench.summary.calls import Calls, calls_of

if TYPE_CHECKING:
    from seqbench.records import Epoch

#: Charts show at most so many cases, and a matrix of pairs so many rows; the table has all of them.
MOST_CASES, MOST_ROWS = 24, 16

#: A comparison of two cases, as in the document.
Found = Mapping[str, Any]


@dataclass(frozen=True)
class RunData:
    """A run as charts and the page need it.

    Args:
        document: the run.
        curves: the learning curve of each trial, by its id.
        calls: the samples of latency of each case, by its id.
        no_calls: why a case has none, by its id.
        suite_text: the suite as given; empty if unknown.
        protocol: version of seqbench's protocol; None if unknown.
        runs: the number of runs that it is of; the cases of several are not compared.
    """

    document: Document
    curves: Mapping[str, Sequence[Epoch]] = field(default_factory=dict)
    calls: Mapping[str, Sequence[Calls]] = field(default_factory=dict)
    no_calls: Mapping[str, str] = field(default_factory=dict)
    suite_text: str = ""
    protocol: int | None = None
    runs: int = 1


def read_run(document: Document) -> RunData:
    """Read what the folder of a run holds besides the document. Missing files are no error."""
    path = Path(document["run"])
    try:
        folder = RunFolder.open(path)
    except StoreError as error:
        return RunData(document, no_calls={case["id"]: str(error) for case in document["cases"]})
    calls: dict[str, Sequence[Calls]] = {}
    no_calls: dict[str, str] = {}
    shown = {measured_id(case): case["id"] for case in document["cases"]}
    for record in folder.cases():
        case = shown.get(record.case, record.case)
        try:
            calls[case] = calls_of(path, record)
        except StoreError as error:
            no_calls[case] = str(error)
    text = path / SUITE_FILE
    protocol = folder.plan_or_empty().get("protocol")
    return RunData(
        document,
        curves={record.id: record.curve for record in folder.trials()},
        calls=calls,
        no_calls=no_calls,
        suite_text=text.read_text(encoding="utf-8", errors="replace") if text.is_file() else "",
        protocol=protocol if isinstance(protocol, int) else None,
    )


@dataclass(frozen=True)
class Group:
    """The cases of one dataset, as charts show them.

    Args:
        ranked: the rows of the table by the metric, best first; those without it are last.
        names: a unique name for each case, by its id.
    """

    data: RunData
    table: ResultTable
    ranked: tuple[int, ...]
    names: Mapping[str, str]

    @property
    def cases(self) -> list[Case]:
        """Those to draw, best first."""
        return [self.table.cases[row] for row in self.ranked[:MOST_CASES]]

    @property
    def order(self) -> list[str]:
        """The names of the cases to draw, best first."""
        return [self.names[case["id"]] for case in self.cases]

    @property
    def title(self) -> str:
        """The dataset with its parameters."""
        return table_title(self.table)

    @property
    def dataset(self) -> str:
        """The dataset without its parameters."""
        return self.table.dataset

    @property
    def metric(self) -> Quantity:
        """The primary metric."""
        return metric_of(self.table.cases, self.data.document)

    @property
    def share(self) -> bool:
        """Whether the metric is a fraction, shown in percent."""
        return self.metric.share

    @property
    def metric_title(self) -> str:
        """The metric with its unit: ``accuracy (%)``, ``auroc``."""
        unit = metric_unit(self.metric)
        return f"{self.table.metric} ({unit})" if unit else self.table.metric

    def trials(self, case: Case) -> list[Mapping[str, Any]]:
        """The trials of a case by seed, those of each resample together."""
        found = [t for t in self.data.document["trials"] if t["case"] == case["id"]]
        order = case["resamples"]["values"] if case.get("resamples") else [None]
        return sorted(found, key=lambda trial: (order.index(trial.get("resample")), trial["seed"]))

    def row(self, case: Case) -> int:
        """The row of the table."""
        return next(n for n, one in enumerate(self.table.cases) if one["id"] == case["id"])

    def estimate(self, column: Column, case: Case) -> Estimate | None:
        """The figure of a case in a column, in SI units."""
        return column.estimates[self.row(case)]

    def compared(self, quantity: str = "") -> list[Column]:
        """The columns whose cases were compared in pairs, the metric first."""
        columns = [column for column in self.table.columns if column.compared is not None]
        return [c for c in columns if c.compared and quantity in ("", c.compared[0])]

    def pairs(self, column: Column) -> list[Found]:
        """The comparisons in a column between the cases of a matrix."""
        assert column.compared is not None
        drawn = {case["id"] for case in self.cases[:MOST_ROWS]}
        every = self.data.document.get("comparisons") or ()
        own = [each for each in every if each["a"] in drawn and each["b"] in drawn]
        return at_settings(own, *column.compared) if own else []


def is_sound(case: Case) -> bool:
    """Whether all seeds of a case succeeded: otherwise the figures of the others are a biased
    sample, which is shown but not compared.
    """
    return set(case["seeds"]) == {"ok"}


def groups(data: RunData) -> list[Group]:
    """One group for each dataset (with its parameters), in the order of the suite."""
    return [
        Group(data, table, tuple(_ranked(table)), unique_names(table))
        for table in result_tables(data.document)
    ]


def _ranked(table: ResultTable) -> list[int]:
    metric = next((c for c in table.columns if c.field == table.metric_field), None)
    sign = -1 if metric is not None and metric.higher_is_better else 1

    def rank(row: int) -> tuple[bool, float]:
        estimate = metric.estimates[row] if metric else None
        return estimate is None, sign * estimate.value if estimate else 0.0

    return sorted(range(len(table.cases)), key=rank)


def unique_names(table: ResultTable) -> dict[str, str]:
    """A name for each case of a table, by its id: its label, with the device if there are several,
    and with a number if another case has the same one.
    """
    several = len({case["device"] for case in table.cases}) > 1
    names: dict[str, str] = {}
    for case in table.cases:
        name = f"{label(case)} on {clean(case['device'])}" if several else label(case)
        names[case["id"]] = drawable(_unused(name, set(names.values())))
    return names


def _unused(name: str, taken: set[str]) -> str:
    """The name, or the first of ``name #2``, ``name #3``, … that is not taken."""
    found, number = name, 1
    while drawable(found) in taken:
        number += 1
        found = f"{name} #{number}"
    return found


#: Names that every object of JavaScript has: Vega would take them for groups that exist already.
TAKEN = ("constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString",
         "toString", "valueOf")  # fmt: skip


def drawable(name: str) -> str:
    """A name that Vega can group by: one of JavaScript's own gets a space that cannot be seen."""
    return f"{name}\u00a0" if name in TAKEN or name.startswith("__") else name
