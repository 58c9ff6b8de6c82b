"""Everything that the page shows, made from runs and ready to be laid out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqbench.report import notes, numbers
from seqbench.report.caveats import caveats
from seqbench.report.charts.chart import Chart
from seqbench.report.charts.kinds import KINDS, draw
from seqbench.report.charts.source import Group, RunData, groups
from seqbench.report.columns.column import Document
from seqbench.report.names import status_words, trial_words
from seqbench.report.page.merge import differing, merged, run_names
from seqbench.report.page.methods import citation, methods
from seqbench.report.page.table import Table, table_of
from seqbench.report.text import clean, counted, label, length_words, lines_of
from seqbench.report.verdict.explain import explain_verdict
from seqbench.report.verdict.of_run import Part, verdict_of

#: More failed trials are not listed one by one: the table counts them.
MOST_FAILURES = 100


@dataclass(frozen=True)
class Failure:
    """A trial or measurement that failed.

    Args:
        lines: the last lines of its log.
    """

    case: str
    what: str
    status: str
    reason: str
    log: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunPart:
    """What the page says of one run.

    Args:
        facts: date, machine, versions and so on, each with its title.
        suite_text: the suite as given. document: the run as JSON.
    """

    name: str
    suite: str
    verdict: tuple[Part, ...]
    facts: tuple[tuple[str, str], ...]
    caveats: tuple[str, ...]
    notes: tuple[str, ...]
    explained: tuple[str, ...]
    methods: str
    citation: str
    suite_text: str
    document: str


@dataclass(frozen=True)
class Dataset:
    """The table and the charts of one dataset; ``missing`` are those without data."""

    id: str
    title: str
    short: str
    sentence: str
    table: Table
    charts: tuple[Chart, ...]
    missing: tuple[Chart, ...]


@dataclass(frozen=True)
class Page:
    """The whole page.

    Args:
        differing: how the surroundings of several runs differ.
        failures: what failed, at most ``MOST_FAILURES``; more_failures: how many others did.
    """

    title: str
    runs: tuple[RunPart, ...]
    differing: tuple[str, ...]
    datasets: tuple[Dataset, ...]
    failures: tuple[Failure, ...]
    more_failures: int = 0


def page_of(runs: Sequence[RunData]) -> Page:
    """The page of a run, or of several."""
    whole = merged(runs)
    names = run_names([run.document for run in runs])
    failures = [
        failure
        for run, name in zip(runs, names, strict=True)
        for failure in _failures(run.document, name if len(runs) > 1 else "")
    ]
    suites = dict.fromkeys(clean(run.document["suite"]) for run in runs)
    return Page(
        title=", ".join(suites),
        runs=tuple(_run(run, name) for run, name in zip(runs, names, strict=True)),
        differing=tuple(differing(runs)) if len(runs) > 1 else (),
        datasets=tuple(_dataset(group, n) for n, group in enumerate(groups(whole))),
        failures=tuple(failures[:MOST_FAILURES]),
        more_failures=max(0, len(failures) - MOST_FAILURES),
    )


def _run(run: RunData, name: str) -> RunPart:
    document = run.document
    columns = [column for group in groups(run) for column in group.table.columns]
    explained = [*explain_verdict(document), *notes.explanations(document, columns)]
    return RunPart(
        name=name,
        suite=clean(document["suite"]),
        verdict=tuple(verdict_of(document)),
        facts=tuple(_facts(document, run.protocol)),
        caveats=tuple(caveats(document)),
        notes=tuple(lines_of(document["notes"])),
        explained=tuple(explained),
        methods=methods(document),
        citation=citation(document),
        suite_text=run.suite_text,
        document=json.dumps(document, indent=1),
    )


def _facts(document: Document, protocol: int | None) -> Iterator[tuple[str, str]]:
    environment = document["environment"]
    started = (document["started"] or "").replace("T", " ").replace("+00:00", " UTC")
    status = clean(document["status"])
    if started:
        took = f", {numbers.duration(document['seconds'])}" if document["seconds"] else ""
        yield "started", clean(f"{started}{took}")
    yield "status", f"{status}, {_ended(document)}"
    machine = [clean(name) for name in dict.fromkeys((environment.get("devices") or {}).values())]
    if environment.get("cores"):
        machine.append(counted(environment["cores"], "core"))
    if environment.get("memory_bytes"):
        machine.append(f"{(environment['memory_bytes'] or 0) / 2**30:.0f} GiB")
    if machine:
        yield "machine", ", ".join(machine)
    yield "steadiness", _steadiness(document)
    versions = [
        f"{key} {clean(environment[key])}"
        for key in ("seqbench", "torch", "python", "numpy")
        if environment.get(key)
    ]
    versions += [f"protocol {protocol}"] if protocol is not None else []
    yield "versions", ", ".join(filter(None, [*versions, clean(environment.get("system") or "")]))
    yield "folder", clean(document["run"])


def _ended(document: Document) -> str:
    trials = document["trials"]
    good = sum(trial["status"] == "ok" for trial in trials)
    total = len(trials) + document["missing"]
    return f"{good:,} of {counted(total, 'trial')} succeeded"


def _steadiness(document: Document) -> str:
    doctor = document["environment"].get("doctor")
    if not doctor:
        timed = any(case["latency"] for case in document["cases"])
        return "not recorded" if timed else "not checked: no latency has been measured"
    warned = [
        f"{clean(f['name'])}: {clean(f['value'])}"
        for f in doctor["findings"]
        if f["level"] == "warn"
    ]
    noise = f"the same computation, repeated, varied by ±{100 * doctor['noise']:.1f} %"
    return "; ".join([noise, *warned])


def _dataset(group: Group, number: int) -> Dataset:
    charts = [draw(kind, group) for kind in KINDS]
    cut = len(group.cases) < len(group.table.cases)
    more = f"Charts show the {len(group.cases)} best of them." if cut else ""
    cases = counted(len(group.table.cases), "case")
    return Dataset(
        id=f"d{number}",
        title=group.title,
        short=group.dataset,
        sentence=f"{cases}. {more}".strip(),
        table=table_of(group),
        charts=tuple(chart for chart in charts if not chart.missing),
        missing=tuple(chart for chart in charts if chart.missing),
    )


def _failures(document: Document, run: str) -> Iterator[Failure]:
    at = f" ({run})" if run else ""
    for trial in document["trials"]:
        if trial["status"] != "ok":
            yield Failure(
                f"{label(trial)} on {clean(trial['dataset_label'])}{at}",
                trial_words(trial),
                status_words(trial["status"]),
                clean(trial["reason"]),
                log=clean(trial["log"]),
                lines=tuple(clean(line) for line in trial["lines"]),
            )
    for case in document["cases"]:
        for one in case["unmeasured"]:
            yield Failure(
                f"{label(case)} on {clean(case['dataset_label'])}{at}",
                _measurement(one),
                status_words(one["status"]),
                clean(one["reason"]),
            )


def _measurement(one: Mapping[str, Any]) -> str:
    """``latency, batch 64``."""
    parts = [clean(one["quantity"]).replace("_", " ")]
    if one.get("batch_size"):
        parts.append(f"batch {one['batch_size']}")
    parts += [clean(one[name]) for name in ("mode", "runtime") if one.get(name)]
    if one.get("length"):
        parts.append(length_words(one["length"]))
    return ", ".join(parts)
