"""Export to a local store of MLflow: a database and a folder of artifacts."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from seqbench.errors import StoreError, UsageError
from seqbench.records import TrialRecord
from seqbench.report.columns.column import Case
from seqbench.report.interchange.figures import Figure, figures_of
from seqbench.report.interchange.source import (
    Source,
    cases_of,
    epoch_ends,
    moment,
    names_of_trials,
    own_metric,
    parameters_of,
    require,
    values_on_parts,
)
from seqbench.report.text import clean, counted

#: Files in the folder that is exported to. Newer versions of MLflow no longer write plain folders
#: by default, so the store is a database.
DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"

#: The tag by which an earlier export of the same run is found.
RUN_TAG = "seqbench.run"

#: Longest value of a parameter or tag, in characters, in all versions of MLflow.
LONGEST = 500

#: The most parameters, tags and metrics in one request.
AT_ONCE = {"params": 100, "tags": 100, "metrics": 1000}

#: The status in MLflow for that of a run; ``FAILED`` for all others.
STATUSES = {
    "finished": "FINISHED",
    "running": "RUNNING",
    "interrupted": "KILLED",
    "killed": "KILLED",
}

#: Files of the run that belong to it as a whole.
RUN_FILES = ("suite.yaml", "plan.json", "environment.json", "run.json", "run.log")


def export(source: Source, path: Path) -> list[str]:
    """Write one MLflow run for the run, and below it one for each case, with its figures, and one
    for each trial, with its learning curve.

    An earlier export of the same run is replaced: its MLflow runs are deleted, as MLflow deletes
    runs, so that they can still be restored.

    Raises:
        StoreError: no trial has ended, or the store cannot be written. OSError: likewise.
        UsageError: the path cannot be that of a store.
    """
    require(source.trials, "trials", source)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # an export uses no network
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    for name in ("mlflow", "alembic"):  # after the import, which sets them
        logging.getLogger(name).setLevel(logging.WARNING)
    place = path.resolve()
    if wrong := re.search("[%?#]", str(place)):
        raise UsageError(f"--output {path}: MLflow does not accept {wrong[0]!r} in a path")
    path.mkdir(exist_ok=True)
    try:
        client = MlflowClient(tracking_uri=f"sqlite:///{place / DATABASE}")
        store = _Store(client, _experiment(client, source, place), source)
        earlier = store.earlier()
        notes = store.write()
        for run in earlier:
            client.delete_run(run)
    except MlflowException as error:
        raise StoreError(f"cannot write {path}: {clean(error)}") from error
    if earlier:
        what = counted(len(earlier), "MLflow run")
        notes.append(f"replaced the earlier export of {source.run_name} ({what} deleted)")
    return notes


def _experiment(client: Any, source: Source, place: Path) -> str:
    """The id of the experiment, which has the name of the suite; created if there is none."""
    name = clean(source.document["suite"])
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    folder = place / ARTIFACTS / re.sub(r"[^\w.-]", "_", name)
    return str(client.create_experiment(name, artifact_location=f"file://{quote(str(folder))}"))


@dataclass(frozen=True)
class _Store:
    """Writes MLflow runs into one experiment."""

    client: Any
    experiment: str
    source: Source

    def earlier(self) -> list[str]:
        """The ids of the MLflow runs of an earlier export of this run."""
        name = self.source.run_name.replace("'", "")
        query = f"tags.`{RUN_TAG}` = '{name}'"
        found: list[str] = []
        page = None
        while page is None or page:
            runs = self.client.search_runs([self.experiment], query, page_token=page)
            found += [run.info.run_id for run in runs]
            page = runs.token or ""
        return found

    def write(self) -> list[str]:
        """Write everything; returns what was left out."""
        document = self.source.document
        begun = _milliseconds(document["started"])
        length = document["seconds"]
        end = begun + round(1000 * length) if begun and length else None
        parent = self._create(self.source.run_name, begun, {"seqbench.kind": "run"})
        try:
            self._log(parent, params={"suite": document["suite"]}, tags=_tags_of_run(self.source))
            self._attach(parent, RUN_FILES)
            figures, notes = figures_of(self.source)
            for case in (case for case in document["cases"] if case["seeds"]):
                own = [figure for figure in figures if figure.case["id"] == case["id"]]
                self._case(case, own, parent, begun)
            cases, names = cases_of(self.source), names_of_trials(self.source)
            for record in self.source.trials:
                self._trial(record, cases[record.id], names[record.id], parent)
        except BaseException:
            self.client.set_terminated(parent, "KILLED")
            raise
        status = STATUSES.get(document["status"], "FAILED")
        if status != "RUNNING":
            self.client.set_terminated(parent, status, end)
        return notes

    def _case(self, case: Case, figures: Sequence[Figure], parent: str, begun: int | None) -> None:
        tags = {"seqbench.kind": "case", **_parent(parent), **_tags_of_case(case)}
        name = self.source.names[case["id"]]
        run = self._create(name, begun, tags)
        metrics = [
            _Metric(f"{figure.measure}{suffix} {figure.benchmark.removeprefix(name)}", value, 0)
            for figure in figures
            for suffix, value in (("", figure.value), (".low", figure.low), (".high", figure.high))
            if value is not None
        ]
        tags = {
            "seqbench.status": case["status"] or "not run",
            "seqbench.reason": case["reason"] or "",
        }
        self._log(run, params=parameters_of(case), tags=tags, metrics=metrics)
        ended = "FINISHED" if case["status"] == "ok" else "FAILED"
        self.client.set_terminated(run, ended, begun)

    def _trial(self, record: TrialRecord, case: Case, name: str, parent: str) -> None:
        begun = _milliseconds(record.started)
        tags = {"seqbench.kind": "trial", **_parent(parent), **_tags_of_case(case)}
        run = self._create(name, begun, {**tags, "seqbench.trial": record.id})
        self._log(
            run,
            params={**parameters_of(case), "seed": record.seed},
            tags={
                "seqbench.status": record.status,
                "seqbench.reason": record.reason,
                "seqbench.seed": record.seed,
                "seqbench.device": case["device"],
                **_environment(self.source, ("seqbench", "torch")),
            },
            metrics=[*_curve(record), *_final(record)],
        )
        self._attach(run, (f"trials/{record.id}.json", record.log, record.weights))
        end = begun + round(1000 * record.seconds) if begun else None
        self.client.set_terminated(run, "FINISHED" if record.status == "ok" else "FAILED", end)

    def _create(self, name: str, begun: int | None, tags: Mapping[str, str]) -> str:
        tags = {**tags, RUN_TAG: self.source.run_name.replace("'", "")}
        run = self.client.create_run(self.experiment, begun, tags, run_name=name)
        return str(run.info.run_id)

    def _log(
        self,
        run: str,
        *,
        params: Mapping[str, Any],
        tags: Mapping[str, Any],
        metrics: Sequence[_Metric] = (),
    ) -> None:
        """Write values in as few requests as MLflow allows."""
        from mlflow.entities import Metric, Param, RunTag

        accepted = {name: key for key, name in _named({m.name: m.name for m in metrics}).items()}
        found = {
            "params": [Param(name, _text(value)) for name, value in _named(params).items()],
            "tags": [
                RunTag(name, _text(value)) for name, value in _named(tags).items() if value != ""
            ],
            "metrics": [Metric(accepted[m.name], m.value, m.time, m.step) for m in metrics],
        }
        for kind, values in found.items():
            rest = iter(values)
            while part := list(islice(rest, AT_ONCE[kind])):
                self.client.log_batch(run, **{kind: part})

    def _attach(self, run: str, names: Sequence[str]) -> None:
        """Copy files of the run's folder, if they exist, and are in it."""
        folder = self.source.path.resolve()
        for name in filter(None, names):
            path = (folder / name).resolve()
            if path.is_relative_to(folder) and path.is_file():
                self.client.log_artifact(run, str(path))


@dataclass(frozen=True)
class _Metric:
    """``time`` in milliseconds since 1970; 0 if unknown."""

    name: str
    value: float
    time: int
    step: int = 0


def _curve(record: TrialRecord) -> Iterator[_Metric]:
    """The learning curve; the step is the epoch."""
    for epoch, end in zip(record.curve, epoch_ends(record), strict=True):
        time = round(1000 * end) if end else 0
        for name in ("train_loss", "validation", "validation_loss"):
            if name in epoch:
                value: Any = epoch[name]
                yield _Metric(name, value, time, epoch["epoch"])


def _final(record: TrialRecord) -> Iterator[_Metric]:
    """The figures of the trained model on the test split, and the time that training took."""
    begun = _milliseconds(record.started)
    time = begun + round(1000 * record.seconds) if begun else 0
    found: dict[str, Any] = {"seconds": record.seconds}
    names = {"value": "", "last": "_last"}
    if record.status == "ok":
        found |= {
            f"test_{record.metric}{ending}": record.metrics[name]  # type: ignore[literal-required]
            for name, ending in names.items()
        }
        found |= {f"test_{name}": value for name, value in own_metric(record).items()}
    found |= {name: record.metrics.get(name) for name in ("best_epoch", "steps")}
    scores = {f"test_{name}": score["value"] for name, score in record.scores.items()}
    parts = {f"test_{metric} {part}": value for metric, part, value in values_on_parts(record)}
    for name, value in chain(found.items(), scores.items(), parts.items()):
        if value is not None:
            yield _Metric(name, float(value), time)


def _parent(run: str) -> dict[str, str]:
    return {"mlflow.parentRunId": run}


def _tags_of_case(case: Case) -> dict[str, str]:
    version = f"{clean(case['distribution'])} {clean(case['version'])}"
    return {"seqbench.case": case["id"], "seqbench.model_package": version}


def _tags_of_run(source: Source) -> dict[str, Any]:
    """Status, versions and machine."""
    names = ("seqbench", "python", "torch", "numpy", "system", "machine", "cpu", "cores", "git")
    return {
        "seqbench.status": source.document["status"],
        "mlflow.note.content": source.document["notes"],
        **_environment(source, names),
    }


def _environment(source: Source, names: Sequence[str]) -> dict[str, Any]:
    environment: Any = source.document["environment"]
    known = {f"environment.{name}": environment.get(name) for name in names}
    return {name: value for name, value in known.items() if value is not None}


def _milliseconds(time: str | None) -> int | None:
    """A time of ISO 8601 in milliseconds since 1970; None if unknown."""
    found = moment(time or "")
    return None if found is None else round(1000 * found.timestamp())


def _text(value: Any) -> str:
    """A value as MLflow keeps it; one that is no text as JSON."""
    return clean(value if isinstance(value, str) else json.dumps(value), LONGEST)


def _name(text: str) -> str:
    """A name with only the characters that MLflow accepts: ``=`` becomes ``_``. So does ``/``, with
    which it refuses some.
    """
    return re.sub(r"[^\w. :-]", "_", " ".join(text.split()), flags=re.ASCII)[:250]


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the names that MLflow accepts; two names that become equal are numbered."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        accepted, number = _name(name), 2
        while accepted in found:
            accepted, number = f"{_name(name)}_{number}", number + 1
        found[accepted] = value
    return found
