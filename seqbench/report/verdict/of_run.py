"""The verdict of a run, one part for each dataset and device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqbench.quantities import find
from seqbench.records import fingerprint
from seqbench.report.columns.column import Case, Column, Document
from seqbench.report.columns.letters import at_settings
from seqbench.report.columns.quality import metric_of
from seqbench.report.columns.speed import named_settings, setting_words
from seqbench.report.columns.table import ResultTable, result_tables
from seqbench.report.columns.training import training_words
from seqbench.report.names import (
    by_gradient,
    repeats_of,
    resample_count,
    several_devices,
    unit_of,
)
from seqbench.report.numbers import Estimate
from seqbench.report.text import clean, counted, label
from seqbench.report.verdict.failures import failure_statements
from seqbench.report.verdict.memory import memory_statement
from seqbench.report.verdict.quality import quality_statement
from seqbench.report.verdict.settle import Proposal, proposal_for
from seqbench.report.verdict.speed import speed_statement
from seqbench.report.verdict.standing import Standing, standing
from seqbench.report.verdict.statement import Statement

#: With more parts than this, each part has only its failures and its metric.
MOST_COMPLETE = 2


@dataclass(frozen=True)
class Part:
    """The verdict on the cases of one dataset and device.

    Args:
        dataset: its label. about: parameters of the dataset, numbers of models and seeds.
        seeds: the number of seeds that would probably distinguish more cases, if any would.
    """

    dataset: str
    about: str
    statements: tuple[Statement, ...]
    seeds: int | None = None

    def __str__(self) -> str:
        return "\n".join([f"{self.dataset}  {self.about}", *map(str, self.statements)])


def verdict_of(document: Document) -> list[Part]:
    """The verdict of a run; nothing if no trial has finished. Its sentences follow from the
    comparisons.
    """
    if not document["trials"]:
        return []
    tables = [(table, rows) for table in result_tables(document) for rows in _by_device(table)]
    complete = len(tables) <= MOST_COMPLETE
    return [_part(table, rows, document, complete=complete) for table, rows in tables]


def _by_device(table: ResultTable) -> list[list[int]]:
    """The rows of each device."""
    found: dict[str, list[int]] = {}
    for row, case in enumerate(table.cases):
        found.setdefault(case["device"], []).append(row)
    return list(found.values())


def _part(table: ResultTable, rows: list[int], document: Document, *, complete: bool) -> Part:
    cases = [table.cases[row] for row in rows]
    ids = {case["id"] for case in cases}
    compared = [e for e in document.get("comparisons") or () if e["a"] in ids and e["b"] in ids]
    statements = failure_statements(cases, document)
    quality, seeds = _quality(cases, compared, document)
    statements += [quality] if quality else []
    if complete:
        found = [
            _speed(table, rows, compared),
            _training(table, rows, compared),
            _memory(table, rows),
        ]
        statements += [statement for statement in found if statement]
    return Part(table.dataset, _about(table, cases, document), tuple(statements), seeds)


def _about(table: ResultTable, cases: Sequence[Case], document: Document) -> str:
    """``view=rows · 4 cases × 3 seeds on cpu · all 12 trials succeeded``."""
    words = _repeats(cases)
    on = f" on {clean(cases[0]['device'])}" if several_devices(document) else ""
    size = f"{counted(len(cases), 'case')} × {words}{on}"
    total = sum(sum(case["seeds"].values()) for case in cases)
    good = sum(case["seeds"].get("ok", 0) for case in cases)
    done = document["status"] == "finished" and not document.get("missing")
    all_good = f"all {total} trials succeeded" if done and good == total > 1 else ""
    return " · ".join(filter(None, [table.about, size, all_good]))


def _repeats(cases: Sequence[Case]) -> str:
    """``3 seeds``, ``2 to 3 seeds``, or ``5 resamples × 3 seeds``."""
    alike = set(map(repeats_of, cases))
    if len(alike) == 1:
        return alike.pop()
    seeds = sorted({sum(case["seeds"].values()) for case in cases})
    return f"{seeds[0]} to {seeds[-1]} {'trials' if resample_count(cases[0]) else 'seeds'}"


def _quality(
    cases: Sequence[Case], compared: Sequence[Mapping[str, Any]], document: Document
) -> tuple[Statement | None, int | None]:
    """The statement on the primary metric, and the number of seeds that it proposes.

    It is about the cases of which all seeds succeeded, and names those of which only some did.
    """
    about = metric_of(cases, document)
    sound = [case for case in cases if case["metric"] and set(case["seeds"]) <= {"ok"}]
    excluded = [label(case) for case in cases if case["metric"] and case not in sound]
    figures = {
        case["id"]: Estimate(case["metric"]["mean"], case["metric"]["low"], case["metric"]["high"])
        for case in sound
    }
    of_metric = [each for each in compared if each["quantity"] == about.name]
    found = standing(sound, figures, of_metric, higher_is_better=about.higher_is_better)
    if found is None:
        return None, None
    few, proposal = min(case["metric"]["n"] for case in sound), proposal_for(found)
    if document["status"] != "finished" or document.get("missing"):
        proposal = Proposal()  # first, the run has to be resumed
    elif len({fingerprint(case.get("train")) for case in by_gradient(sound)}) > 1:
        proposal = Proposal("Training settings differ, so this is not about the models alone.")
    statement = quality_statement(
        found,
        about,
        few=counted(few, unit_of(sound[0])),
        excluded=excluded,
        settle=proposal.text,
    )
    return statement, proposal.seeds


def _speed(
    table: ResultTable, rows: Sequence[int], compared: Sequence[Mapping[str, Any]]
) -> Statement | None:
    """Latency at the first setting that is shown."""
    column = next((c for c in table.columns if c.compared and c.compared[0] == "latency"), None)
    if column is None or column.compared is None or column.at is None:
        return None
    found = _standing(table, column, rows, compared)
    every = [c.at for c in table.columns if c.at and c.compared]
    words = setting_words(column.at, named_settings(table.cases, every))
    without = _without(table, column, rows)
    return speed_statement(found, words, without=without) if found else None


def _training(
    table: ResultTable, rows: Sequence[int], compared: Sequence[Mapping[str, Any]]
) -> Statement | None:
    """The time of a training step, if it has a column and all cases have the same batch size."""
    column = next((c for c in table.columns if c.field == "training_step"), None)
    if column is None:
        return None
    setting = training_words([table.cases[row] for row in rows])
    if not setting:
        return None
    found = _standing(table, column, rows, compared)
    without = _without(table, column, rows)
    return speed_statement(found, setting, "Training step", without=without) if found else None


def _without(table: ResultTable, column: Column, rows: Sequence[int]) -> list[str]:
    """The labels of the cases without a figure."""
    return [label(table.cases[row]) for row in rows if column.estimates[row] is None]


def _standing(
    table: ResultTable, column: Column, rows: Sequence[int], compared: Sequence[Mapping[str, Any]]
) -> Standing | None:
    assert column.compared is not None
    quantity, at = column.compared
    figures = {table.cases[row]["id"]: e for row in rows if (e := column.estimates[row])}
    return standing(
        [table.cases[row] for row in rows],
        figures,
        at_settings(compared, quantity, at),
        higher_is_better=find(quantity).higher_is_better,
    )


def _memory(table: ResultTable, rows: list[int]) -> Statement | None:
    column = next((c for c in table.columns if c.field == "memory_inference"), None)
    return memory_statement(table, column, rows) if column else None
