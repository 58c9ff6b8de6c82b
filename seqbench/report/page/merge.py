"""Several runs as one, for a table with the rows of all; and how their surroundings differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, cast

from seqbench.report.charts.source import RunData
from seqbench.report.names import by_gradient, dataset_label, resample_count
from seqbench.report.notes import training_words
from seqbench.report.text import clean, target_words
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


def merged(runs: Sequence[RunData]) -> RunData:
    """The cases of all runs as one run, each with the name of its run in its label.

    Cases of different runs are not compared: there are no comparisons between them. What was
    measured in another way in each run, so that one column cannot hold it, is left out: see
    :func:`differing`.
    """
    if len(runs) == 1:
        return runs[0]
    names = run_names([run.document for run in runs])
    parts = [_named(run, f"r{n}", name) for n, (run, name) in enumerate(
        zip(runs, names, strict=True))]  # fmt: skip
    document = dict(parts[0].document)
    for key in ("trials", "cases", "comparisons"):
        document[key] = [each for part in parts for each in part.document[key]]
    if _differ([run.document["target"] for run in runs]):
        document["target"] = None
    if _differ([batches for run in runs if (batches := _memory_batches(run))]):
        document["cases"] = [{**case, "memory": None} for part in parts for case in _cases(part)]
    _name_metrics(document)
    document |= {"environment": {}, "run": ", ".join(names)}
    return RunData(
        cast("Any", document),
        _joined(part.curves for part in parts),
        _joined(part.calls for part in parts),
        _joined(part.no_calls for part in parts),
        runs=len(runs),
    )


def _name_metrics(document: dict[str, Any]) -> None:
    """Add the primary metric to the label of a dataset that runs rank by different ones, as a suite
    that ranks it by several does: each has a table of its own.
    """
    found: dict[str, set[str]] = {}
    for case in document["cases"]:
        found.setdefault(dataset_label(case), set()).add(_primary(case))
    labels = {
        case["id"]: f"{dataset_label(case)} primary_metric={_primary(case)}"
        for case in document["cases"]
        if _primary(case) and len(found[dataset_label(case)]) > 1
    }
    for key, of in (("cases", "id"), ("trials", "case")):
        document[key] = [
            {**each, "dataset_label": labels[each[of]]} if each[of] in labels else each
            for each in document[key]
        ]


def _primary(case: Mapping[str, Any]) -> str:
    """The primary metric of a case; "" if it is the task's own."""
    return str((case.get("primary_metric") or {}).get("name", ""))


def _cases(run: RunData) -> Sequence[Mapping[str, Any]]:
    return run.document["cases"]


def _joined(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}


def _named(run: RunData, prefix: str, name: str) -> RunData:
    """The same run with ids that no other run has, and with its name in the labels."""

    def own(key: str) -> str:
        return f"{prefix}-{key}"

    document: dict[str, Any] = dict(run.document)
    document["cases"] = [
        {**case, "id": own(case["id"]), "label": f"{case['label']} ({name})"}
        for case in run.document["cases"]
    ]
    document["trials"] = [
        {**trial, "id": own(trial["id"]), "case": own(trial["case"])}
        for trial in run.document["trials"]
    ]
    document["comparisons"] = [
        {**each, "a": own(each["a"]), "b": own(each["b"])} for each in run.document["comparisons"]
    ]
    return RunData(
        cast("Any", document),
        {own(key): value for key, value in run.curves.items()},
        {own(key): value for key, value in run.calls.items()},
        {own(key): value for key, value in run.no_calls.items()},
    )


def differing(runs: Sequence[RunData]) -> list[str]:
    """What differs between the runs, so that their figures are not comparable: one line each."""
    names = run_names([run.document for run in runs])
    found: dict[str, list[object]] = {
        title: [_known(key, run.document["environment"].get(key)) for run in runs]
        for key, title in SURROUNDINGS.items()
    }
    found["protocol"] = [run.protocol for run in runs]
    found["training"] = [_training(run) for run in runs]
    found["primary metric"] = [_primaries(run) for run in runs]
    found["seeds"] = [_seeds(run) for run in runs]
    found["target (steps to it are left out)"] = [_target(run) for run in runs]
    batches = [_memory_batches(run) for run in runs]
    if _differ([each for each in batches if each]):
        found["batch of memory (left out)"] = [", ".join(map(str, each)) for each in batches]
    return [
        f"{title}: "
        + listed([f"{clean(_shown(v))} ({name})" for name, v in zip(names, values, strict=True)])
        for title, values in found.items()
        if _differ(values)
    ]


def _differ(values: Sequence[object]) -> bool:
    return any(value != values[0] for value in values)


def _training(run: RunData) -> str:
    cases = by_gradient(run.document["cases"])
    return "; ".join(sorted({training_words(case["train"]) for case in cases}))


def _primaries(run: RunData) -> str:
    return ", ".join(sorted({_primary(case) or "the task's own" for case in _cases(run)}))


def _seeds(run: RunData) -> str:
    """Those of training, and how many resamples were pooled."""
    seeds = ", ".join(map(str, sorted({trial["seed"] for trial in run.document["trials"]})))
    pooled = sorted({resample_count(case) for case in run.document["cases"]} - {0})
    return seeds + (f" on {listed(list(map(str, pooled)))} resamples" if pooled else "")


def _known(key: str, value: object) -> object:
    """The value; of memory in whole GiB, since what the system keeps for itself varies."""
    if key == "memory_bytes" and isinstance(value, int):
        return f"{value / 2**30:.0f} GiB"
    return value


def _target(run: RunData) -> str:
    target = run.document["target"]
    return target_words(target) if target else "none"


def _memory_batches(run: RunData) -> list[int]:
    return sorted(
        {case["memory"]["batch_size"] for case in run.document["cases"] if case["memory"]}
    )


def _shown(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "none"
    return str(value)
