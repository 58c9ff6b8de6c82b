"""Several runs as one, for a table with the rows of all; and how their surroundings differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, cast

from seqbench.report.charts.source import Source
from seqbench.report.text import clean
from seqbench.report.verdict.statement import listed

#: What must be the same for figures of two runs to be comparable, and what it is called.
SURROUNDINGS = {
    "cpu": "CPU",
    "cpu_capability": "CPU instructions",
    "cores": "cores",
    "memory_bytes": "memory",
    "devices": "devices",
    "system": "operating system",
    "seqbench": "seqbench",
    "torch": "torch",
    "python": "Python",
    "allocator": "memory allocator",
    "variables": "environment variables",
    "tf32": "TF32",
}


def run_names(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """A short unique name for each run: its id, with a number if that is not unique."""
    short = [
        clean(PurePath(each["run"]).name.rpartition("-")[2] or each["run"]) for each in documents
    ]
    return [
        name if short.count(name) == 1 else f"{name} #{short[: n + 1].count(name)}"
        for n, name in enumerate(short)
    ]


def merged(sources: Sequence[Source]) -> Source:
    """One source with the cases of all runs, each with the name of its run in its label.

    Cases of different runs are not compared: there are no comparisons between them.
    """
    if len(sources) == 1:
        return sources[0]
    names = run_names([source.document for source in sources])
    parts = [_named(source, f"r{n}", name) for n, (source, name) in enumerate(
        zip(sources, names, strict=True))]  # fmt: skip
    document = dict(parts[0].document)
    for key in ("trials", "cases", "comparisons"):
        document[key] = [each for part in parts for each in part.document[key]]
    document |= {"environment": {}, "run": ", ".join(names)}
    return Source(
        cast("Any", document),
        _joined(part.curves for part in parts),
        _joined(part.calls for part in parts),
        _joined(part.no_calls for part in parts),
        runs=len(sources),
    )


def _joined(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}


def _named(source: Source, prefix: str, name: str) -> Source:
    """The same run with ids that no other run has, and with its name in the labels."""

    def own(key: str) -> str:
        return f"{prefix}-{key}"

    document: dict[str, Any] = dict(source.document)
    document["cases"] = [
        {**case, "id": own(case["id"]), "label": f"{case['label']} ({name})"}
        for case in source.document["cases"]
    ]
    document["trials"] = [
        {**trial, "id": own(trial["id"]), "case": own(trial["case"])}
        for trial in source.document["trials"]
    ]
    document["comparisons"] = [
        {**each, "a": own(each["a"]), "b": own(each["b"])}
        for each in source.document["comparisons"]
    ]
    return Source(
        cast("Any", document),
        {own(key): value for key, value in source.curves.items()},
        {own(key): value for key, value in source.calls.items()},
        {own(key): value for key, value in source.no_calls.items()},
    )


def differing(sources: Sequence[Source]) -> list[str]:
    """What differs between the runs, so that their figures are not comparable: one line each."""
    names = run_names([source.document for source in sources])
    lines = []
    for key, title in SURROUNDINGS.items():
        values = [source.document["environment"].get(key) for source in sources]
        if any(value != values[0] for value in values):
            texts = [
                f"{clean(_shown(value))} ({name})"
                for name, value in zip(names, values, strict=True)
            ]
            lines.append(f"{title}: {listed(texts)}")
    protocols = [source.protocol for source in sources]
    if any(protocol != protocols[0] for protocol in protocols):
        texts = [f"{p or 'unknown'} ({name})" for name, p in zip(names, protocols, strict=True)]
        lines.append(f"protocol: {listed(texts)}")
    return lines


def _shown(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "none"
    return str(value)
