"""What charts are made from: a run's document, and what its folder holds besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.errors import StoreError
from seqbench.report.columns.column import Case, Column, Document
from seqbench.report.columns.table import ResultTable, result_tables
from seqbench.report.numbers import Estimate
from seqbench.report.text import clean, label, settings
from seqbench.store.run_folder import SUITE_FILE, RunFolder
from seqbench.summary.calls import Calls, calls_of

if TYPE_CHECKING:
    from seqbench.records import Epoch

#: Charts show at most so many cases; the table has all of them.
MOST_CASES = 24


@dataclass(frozen=True)
class Source:
    """A run as charts need it.

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


def read_source(document: Document) -> Source:
    """Read what the folder of a run holds besides the document. Missing files are no error."""
    path = Path(document["run"])
    try:
        folder = RunFolder.open(path)
    except StoreError:
        return Source(
            document, no_calls={case["id"]: f"{path} is missing" for case in document["cases"]}
        )
    calls: dict[str, Sequence[Calls]] = {}
    no_calls: dict[str, str] = {}
    for record in folder.cases():
        try:
            calls[record.case] = calls_of(path, record)
        except StoreError as error:
            no_calls[record.case] = str(error)
    text = path / SUITE_FILE
    protocol = folder.plan_or_empty().get("protocol")
    return Source(
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
        cases: those to draw, at most ``MOST_CASES``: the best by the metric, best first.
        names: a unique name for each case, by its id.
        left_out: the number of cases that are not drawn.
    """

    source: Source
    table: ResultTable
    cases: tuple[Case, ...]
    names: Mapping[str, str]
    left_out: int = 0

    @property
    def order(self) -> list[str]:
        """The names of the cases, best first."""
        return [self.names[case["id"]] for case in self.cases]

    @property
    def title(self) -> str:
        """The dataset with its parameters."""
        return dataset_title(self.table)

    def trials(self, case: Case) -> list[Mapping[str, Any]]:
        """The trials of a case, by seed."""
        found = [t for t in self.source.document["trials"] if t["case"] == case["id"]]
        return sorted(found, key=lambda trial: trial["seed"])

    def estimate(self, column: Column, case: Case) -> Estimate | None:
        """The figure of a case in a column, in SI units."""
        place = next(n for n, one in enumerate(self.table.cases) if one["id"] == case["id"])
        return column.estimates[place]


def dataset_title(table: ResultTable) -> str:
    params = settings(table.params)
    return clean(table.cases[0].get("dataset_label") or table.dataset) + (
        f" ({params})" if params else ""
    )


def groups(source: Source) -> list[Group]:
    """One group for each dataset (with its parameters), in the order of the suite."""
    return [_group(source, table) for table in result_tables(source.document)]


def _group(source: Source, table: ResultTable) -> Group:
    metric = next((c for c in table.columns if c.field == table.metric), None)
    sign = -1 if metric is not None and metric.better == "higher" else 1

    def rank(number: int) -> tuple[bool, float]:
        estimate = metric.estimates[number] if metric else None
        return estimate is None, sign * estimate.value if estimate else 0.0

    ranked = [table.cases[number] for number in sorted(range(len(table.cases)), key=rank)]
    shown = tuple(ranked[:MOST_CASES])
    return Group(source, table, shown, unique_names(table), len(ranked) - len(shown))


def unique_names(table: ResultTable) -> dict[str, str]:
    """A name for each case of a table, by its id: its label, with the device if there are several,
    and with a number if another case has the same one.
    """
    several = len({case["device"] for case in table.cases}) > 1
    names: dict[str, str] = {}
    uses: dict[str, int] = {}
    for case in table.cases:
        name = f"{label(case)} on {clean(case['device'])}" if several else label(case)
        uses[name] = uses.get(name, 0) + 1
        names[case["id"]] = drawable(name if uses[name] == 1 else f"{name} #{uses[name]}")
    return names


#: Names that every object of JavaScript has: Vega would take them for groups that exist already.
TAKEN = ("constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString",
         "toString", "valueOf")  # fmt: skip


def drawable(name: str) -> str:
    """A name that Vega can group by: one of JavaScript's own gets a space that cannot be seen."""
    return f"{name}\u00a0" if name in TAKEN or name.startswith("__") else name
