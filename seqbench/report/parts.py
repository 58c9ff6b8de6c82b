"""The parts of a test split, its test sets or ranges of length, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqbench.quantities import Quantity, find_in
from seqbench.report.columns.column import Case, Document
from seqbench.report.columns.quality import metric_of
from seqbench.report.columns.shared import interval
from seqbench.report.columns.table import ResultTable
from seqbench.report.names import dataset_label, some
from seqbench.report.numbers import Estimate
from seqbench.report.text import LONGEST_LABEL, clean

#: A part of a case in the document (``cases[].parts[]``).
Part = Mapping[str, Any]

#: Mean and interval over the seeds.
Figure = Mapping[str, Any]

#: What tells the parts of a dataset apart.
Key = tuple[str, int, int, int]

COMMAND = "seqbench show --lengths"


@dataclass(frozen=True)
class PartMetric:
    """A metric that has a figure on each part of a dataset, and where the document has it.

    Args:
        field: its name in exported columns.
        whole: its figure in the result table. on: its figure on a part.
    """

    about: Quantity
    field: str
    whole: Callable[[Case], Figure | None]
    on: Callable[[Part], Figure | None]

    def estimate(self, case: Case, part: Part) -> Estimate | None:
        """The figure of a case on a part."""
        own = part_of(case, part)
        return interval(self.on(own), "mean") if own else None


def metrics_on_parts(cases: Sequence[Case], document: Document) -> Iterator[PartMetric]:
    """The metric of the task, and those of plugins that were computed for each test set."""
    own = metric_of(cases, document)
    yield PartMetric(own, own.name, lambda case: case["metric"], lambda part: part)
    scores = [part["scores"] for case in cases for part in case.get("parts") or ()]
    for name in dict.fromkeys(name for found in scores for name in found):
        yield _plugin_metric(name, cases)


def _plugin_metric(name: str, cases: Sequence[Case]) -> PartMetric:
    about = find_in(next((c for c in cases if name in c["scores"]), {}), name)
    return PartMetric(
        about,
        f"score_{name}",
        lambda case: case["scores"].get(name),
        lambda part: part["scores"].get(name),
    )


def key_of(part: Part) -> Key:
    """What tells a part from the others of its dataset."""
    return part["name"], part["shortest"], part["longest"], part["sequences"]


def parts_of(cases: Iterable[Case]) -> list[Part]:
    """The parts that any of the cases of a dataset has, each once; ranges by their length."""
    found: dict[Key, Part] = {}
    for case in cases:
        for part in case.get("parts") or ():
            found.setdefault(key_of(part), part)
    return sorted(found.values(), key=lambda part: 0 if part["name"] else part["shortest"])


def part_of(case: Case, part: Part) -> Part | None:
    """The same part of another case of the dataset."""
    own: Sequence[Part] = case.get("parts") or ()
    return next((one for one in own if key_of(one) == key_of(part)), None)


def part_name(part: Part) -> str:
    """The name of the test set, or the lengths of the range."""
    return clean(part["name"], LONGEST_LABEL) or lengths_of(part)


def part_names(parts: Iterable[Part]) -> list[str]:
    """A unique name for each part: numbered if names are equal once they are cut."""
    return _unique([part_name(part) for part in parts])


def plain_names(parts: Iterable[Part]) -> list[str]:
    """The same for other tools, in ASCII apart from names of test sets: ``7-12`` for a range."""
    return _unique(part_name(part) if part["name"] else _plain_lengths(part) for part in parts)


def _plain_lengths(part: Part) -> str:
    return "-".join(map(str, dict.fromkeys((part["shortest"], part["longest"]))))


def _unique(names: Iterable[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        unique, number = name, 1
        while unique in found:
            number += 1
            unique = f"{name} #{number}"
        found.append(unique)
    return found


def lengths_of(part: Part) -> str:
    """``7–12``, or ``7`` if all sequences have that length."""
    ends = dict.fromkeys((part["shortest"], part["longest"]))
    return "–".join(f"{end:,}" for end in ends)


def are_sets(parts: Iterable[Part]) -> bool:
    """Whether the parts are test sets, not ranges of length."""
    return any(part["name"] for part in parts)


def headline_words(cases: Sequence[Case]) -> str:
    """What the figure of a dataset with several test sets is: ``mean over 2 test sets (short,
    long)``. "" without several.
    """
    parts = parts_of(cases)
    if not are_sets(parts):
        return ""
    chosen = [part_name(part) for part in parts if part["headline"]]
    if any(part["headline"] is None for part in parts):
        return f"figure of some of {len(parts)} test sets; which ones was not recorded"
    if len(chosen) > 1:
        return f"mean over {len(chosen)} test sets ({some(chosen)})"
    of = f" (of {len(parts)})" if len(parts) > 1 else ""
    return f"figure on the test set {some(chosen)}{of}"


def part_lines(document: Document, tables: Sequence[ResultTable]) -> list[str]:
    """For the notes of tables: what the figure of a dataset with several test sets is, where the
    figures of its parts are, and how much padding there was in training.
    """
    lines = []
    for table in tables:
        words = headline_words(table.cases)
        if words:
            lines.append(
                f"test {_metrics(table)}{on_dataset(table, tables)}: {words}; all: {COMMAND}."
            )
    every = [parts_of(table.cases) for table in tables]
    if any(parts and not are_sets(parts) for parts in every):
        lines.append(f"figures by length: {COMMAND}.")
    return [*lines, *padding_lines(document, tables)]


def padding_lines(document: Document, tables: Sequence[ResultTable]) -> list[str]:
    """``padding, of all steps in training: 3.1 %.``, a range if it differs between trials; and at
    which length everything but quality was measured.
    """
    parts, lengths = [], []
    for table in tables:
        ids = {case["id"] for case in table.cases}
        trials = [trial for trial in document["trials"] if trial["case"] in ids]
        shares = [t["metrics"]["padding"] for t in trials if "padding" in t["metrics"]]
        if shares:
            on = on_dataset(table, tables)
            parts.append(f"{_percents(shares)}{on}")
            longest = max(case["length"] or 0 for case in table.cases)
            if longest:
                lengths.append(f"{longest:,} steps{on}")
    if not parts:
        return []
    lines = [f"padding, of all steps in training: {'; '.join(parts)}."]
    if lengths:
        lines.append(
            f"latency, memory and MACs, where measured: at {'; '.join(lengths)}, the length of the "
            "longest sequence."
        )
    return lines


def _metrics(table: ResultTable) -> str:
    """The metrics of a dataset, which all have the same headline."""
    own = [one["name"] for case in table.cases if (one := case.get("own_metric"))]
    scores = [name for case in table.cases for name in case.get("scores") or ()]
    return ", ".join(map(clean, dict.fromkeys([table.metric, *own, *scores])))


def on_dataset(table: ResultTable, tables: Sequence[ResultTable]) -> str:
    """`` on adding``, if there are several datasets; ``on adding length=50`` if its name is that of
    another one, too.
    """
    if len(tables) < 2:
        return ""
    alone = [each.dataset for each in tables].count(table.dataset) == 1
    return f" on {table.dataset if alone else clean(dataset_label(table.cases[0]))}"


def _percents(shares: Sequence[float]) -> str:
    low, high = (_percent(share) for share in (min(shares), max(shares)))
    return f"{high} %" if low == high else f"{low} to {high} %"


def _percent(share: float) -> str:
    """``3.1``; only exactly 0 is shown as 0."""
    return "0" if share == 0 else "below 0.1" if share < 0.0005 else f"{100 * share:.1f}"
