"""What the export formats share: a run, read once, with its names, timings and samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from seqbench.errors import StoreError
from seqbench.quantities import find, own_metrics
from seqbench.records import CaseRecord, Measurement, TrialRecord
from seqbench.report.columns.column import Case, Document
from seqbench.report.names import measured_id, some, status_lines, trial_words
from seqbench.report.parts import plain_names
from seqbench.report.run import Run
from seqbench.report.text import clean, label
from seqbench.summary.calls import SETTINGS, Calls, calls_of


@dataclass(frozen=True)
class Exported:
    """A text, and lines about what was left out of it."""

    text: str
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Timing:
    """One timing of a case: ``latency``, ``step`` or ``training_step`` at one setting.

    Args:
        case: of the document. name: the name of the case.
        measurement: with the figures, in seconds (:class:`seqbench.records.Timing`).
    """

    case: Case
    name: str
    measurement: Measurement

    @property
    def at(self) -> str:
        """``batch_size=1 length=28 threads=1 runtime=eager``."""
        return settings_words(self.measurement.settings)


@dataclass(frozen=True)
class Source:
    """A run to export.

    Args:
        path: its folder.
        trials: records of the trials that have ended, in the order of the plan.
        records: measurements by case id.
        names: a unique name of each case, by its id: ``parity/lstm/cpu``. It does not depend on
            which other cases a run has, so that tools find the same case in several runs.
    """

    path: Path
    document: Document
    trials: Sequence[TrialRecord]
    records: Mapping[str, CaseRecord]
    names: Mapping[str, str]

    @classmethod
    def open(cls, path: Path) -> Source:
        """Read a run. Raises StoreError."""
        run = Run.open(path)
        found = {record.id: record for record in run.records}
        planned = [trial["id"] for trial in run.document["trials"]]
        return cls(
            run.path,
            run.document,
            [found[name] for name in planned if name in found],
            _measurements(run),
            _names(run.document["cases"]),
        )

    @property
    def run_name(self) -> str:
        """``suite/time-id``."""
        return f"{self.path.parent.name}/{self.path.name}"

    def measurements(self, case: Case) -> list[Measurement]:
        """The successful measurements of a case."""
        record = self.records.get(case["id"])
        return [one for one in record.measurements if one.status == "ok"] if record else []

    def timings(self) -> list[Timing]:
        """Every successful timing of every case."""
        return [
            Timing(case, self.names[case["id"]], one)
            for case in self.document["cases"]
            for one in self.measurements(case)
            if find(one.quantity).compared == "rounds"
        ]

    def untimed(self) -> list[str]:
        """Lines that name the cases, or settings of cases, without a timing."""
        lines = []
        timed = {timing.case["id"] for timing in self.timings()}
        for case in self.document["cases"]:
            name = self.names[case["id"]]
            if case["id"] not in timed:
                lines.append(_with_status(case, name))
                continue
            lines += [
                f"{name} {one['quantity']} {settings_words(one)} ({clean(one['reason'])})"
                for one in case["unmeasured"]
                if find(one["quantity"]).compared == "rounds"
            ]
        return [f"left out, without a timing: {some(lines, '; ')}"] if lines else []

    def calls(self, case: Case) -> list[Calls]:
        """The calls of a case by cell. Raises Damaged if a file of samples cannot be used."""
        return calls_of(self.path, self.records[case["id"]])

    def unfinished(self) -> list[str]:
        """A line about planned trials that have not ended, if any."""
        missing, status = self.document["missing"], self.document["status"]
        if not missing:
            return []
        total = missing + len(self.document["trials"])
        return [f"the run is {status}: {missing} of {total} trials are missing"]


def _measurements(run: Run) -> dict[str, CaseRecord]:
    """The measurements of each case of the document, by its id."""
    found = {record.case: record for record in run.cases}
    of_cases = {case["id"]: found.get(measured_id(case)) for case in run.document["cases"]}
    return {name: record for name, record in of_cases.items() if record is not None}


def _names(cases: Iterable[Case]) -> dict[str, str]:
    names = {case["id"]: _name(case) for case in cases}
    count = Counter(names.values())
    return {id_: name if count[name] == 1 else f"{name} {id_}" for id_, name in names.items()}


def _name(case: Case) -> str:
    return "/".join((dataset_of(case), label(case), clean(case["device"])))


def dataset_of(case: Case) -> str:
    """The label of the case's dataset."""
    return clean(case.get("dataset_label") or case["dataset"])


def settings_words(settings: Mapping[str, Any]) -> str:
    """``batch_size=1 length=28 threads=1 runtime=eager``; unknown ones are omitted."""
    known = {name: settings.get(name) for name in SETTINGS}
    return " ".join(f"{name}={clean(value)}" for name, value in known.items() if value is not None)


def failed_trials(case: Case) -> bool:
    """Whether a trial of the case did not succeed: means over its seeds are then biased."""
    return any(n for status, n in case["seeds"].items() if status != "ok")


def moment(text: str) -> datetime | None:
    """A time of ISO 8601 with its zone; None if it is not one."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def epoch_ends(record: TrialRecord) -> list[float | None]:
    """The time at which each epoch of the curve ended, in seconds since 1970; None if unknown."""
    clock = moment(record.started)
    ends: list[float | None] = []
    for epoch in record.curve:
        clock = clock and clock + timedelta(seconds=epoch["seconds"])
        ends.append(clock.timestamp() if clock else None)
    return ends


def cases_of(source: Source) -> dict[str, Case]:
    """The case of each trial, by the trial's id; of pooled resamples, with that of the trial."""
    cases = {case["id"]: case for case in source.document["cases"]}
    return {
        trial["id"]: _of_trial(trial, cases[trial["case"]]) for trial in source.document["trials"]
    }


def _of_trial(trial: Mapping[str, Any], case: Case) -> Case:
    if "resample" not in trial:
        return case
    name = case["resamples"]["parameter"]
    return {**case, "dataset_params": {**case["dataset_params"], name: trial["resample"]}}


def names_of_trials(source: Source) -> dict[str, str]:
    """A unique name of each trial, by its id: ``parity/lstm/cpu seed 0``."""
    return {
        trial["id"]: f"{source.names[trial['case']]} {trial_words(trial)}"
        for trial in source.document["trials"]
    }


def own_metric(record: TrialRecord) -> dict[str, float]:
    """The task's own metric of a successful trial by its name, if another one is primary."""
    names = dict.fromkeys(metric.name for metric in own_metrics().values())
    return {name: record.metrics[name] for name in names if name in record.metrics}  # type: ignore[literal-required]


def values_on_parts(record: TrialRecord) -> Iterator[tuple[str, str, float]]:
    """The metric, the name of the part, and the figure of a trial on each part of the test split.

    The names are unique; those of ranges are ``7-12 steps``.
    """
    parts = record.metrics.get("parts", ()) if record.status == "ok" else ()
    names = plain_names(parts)
    by_set = {part["name"]: name for part, name in zip(parts, names, strict=True)}
    for part, name in zip(parts, names, strict=True):
        if part["value"] is not None:
            yield record.metric, name if part["name"] else f"{name} steps", part["value"]
    for metric, score in record.scores.items():
        for test_set, value in score.get("sets", {}).items():
            if test_set in by_set:
                yield metric, by_set[test_set], value


def parameters_of(case: Case) -> dict[str, Any]:
    """What a trial of the case was made with: ``model.hidden_size``, ``train.epochs``, …"""
    found: dict[str, Any] = {
        "label": clean(case["label"]),
        "model": clean(case["model"]),
        "dataset": clean(case["dataset"]),
        "device": clean(case["device"]),
    }
    for prefix, part in (("model", "params"), ("dataset", "dataset_params"), ("train", "train")):
        found |= {f"{prefix}.{name}": value for name, value in case[part].items()}
    return found


def _with_status(case: Case, name: str) -> str:
    """``parity/lstm/cpu (1 of 3 diverged)``; only the name if it is ok."""
    words = status_lines(case)
    return name if words == ["ok"] else f"{name} ({', '.join(words)})"


def require(found: Sequence[Any], what: str, source: Source) -> None:
    """Raise StoreError if there is nothing to export."""
    if not found:
        cases = source.document["cases"]
        failed = [_with_status(c, source.names[c["id"]]) for c in cases if c["status"] != "ok"]
        reasons = "; ".join([*source.unfinished(), *([some(failed)] if failed else [])])
        more = f" ({reasons})" if reasons else ""
        raise StoreError(f"{source.path} has no {what} to export{more}")
