"""The results of a run, for use in scripts and notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.errors import StoreError
from seqbench.report.text import counted
from seqbench.store.run_folder import RunFolder
from seqbench.summary.overview import NOT_FAILED

if TYPE_CHECKING:
    from torch import nn

    from seqbench.records import CaseRecord, TrialRecord
    from seqbench.report.verdict.of_run import Part
    from seqbench.store.answers import Predictions
    from seqbench.summary.schema import Document
    from seqbench.types import Task

#: Loads a trained model. By its name, since reports do not depend on what builds and runs models.
LOADER = "seqbench.measure.trained:load_trained"

#: Keys of a trial in the document with the suite's metrics.
SCORES = ("scores", "score_sets")


@dataclass(frozen=True, repr=False)
class Run:
    """A run and its results.

    ``path`` is the absolute path of its folder; ``records`` its trials; ``cases`` the measurements
    of each case; ``document`` everything as one JSON document (docs/results.md). A notebook shows
    the tables of a run that is the last value of a cell.
    """

    path: Path
    document: Document

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open an earlier run: its folder, or its name or id if it is under ``results``.

        Raises:
            StoreError: the folder is not that of a run. UsageError: there is no such run.
        """
        from seqbench.store.find import find_run
        from seqbench.summary.document import build_document

        found = Path(path)
        folder = RunFolder.open(found if found.exists() else find_run(Path("results"), str(path)))
        document = build_document(
            str(folder.path),
            state=folder.state(),
            plan=folder.plan(),
            environment=folder.environment(),
            trials=folder.trials(),
            cases=folder.cases(),
            comparisons=folder.comparisons(),
        )
        return cls(folder.path.absolute(), document)  # the working folder may change

    @property
    def records(self) -> list[TrialRecord]:
        """One record for each trial that has ended."""
        return list(RunFolder.open(self.path).trials())

    @property
    def cases(self) -> list[CaseRecord]:
        """The measurements of each case."""
        return list(RunFolder.open(self.path).cases())

    @property
    def ok(self) -> bool:
        """Whether the run finished and every trial and measurement succeeded, apart from skipped
        cases: a model that does not support a dataset is no failure, a missing device is one.
        """
        cases = self.document["cases"]
        devices = (self.document["environment"] or {}).get("devices")
        missing = [case for case in cases if devices and case["device"] not in devices]
        statuses = {case["status"] for case in cases}
        finished = self.document["status"] == "finished"
        return finished and not missing and "ok" in statuses and statuses <= {*NOT_FAILED}

    @property
    def verdict(self) -> list[Part]:
        """Who leads, whether that is certain and what would settle it: a part for each dataset and
        device. ``print(*run.verdict, sep="\\n\\n")`` prints its sentences.
        """
        from seqbench.report.verdict.of_run import verdict_of

        return verdict_of(self.document)

    def table(self) -> list[dict[str, Any]]:
        """The result table: one dictionary per case, ready for ``pandas.DataFrame``.

        Figures are in full precision and SI units, with the unit in the key: ``latency_batch_1_s``,
        ``memory_inference_bytes``; accuracies are fractions. A figure with a 95 % interval has keys
        that end in ``_low`` and ``_high`` (before the unit). All rows have the same keys; missing
        values are None. docs/python.md lists the keys.
        """
        from seqbench.report.exports.rows import to_rows

        return to_rows(self.document)

    def chart(self, kind: str, *, dataset: str | None = None, **options: str) -> Any:
        """A chart of the run as an ``altair.Chart``, which a notebook shows and ``save`` writes.

        Args:
            kind: as in ``seqbench plot RUN KIND``.
            dataset: the dataset to draw, in a run with several.
            options: what to show, as in ``seqbench plot --option x=macs``.

        Raises:
            MissingExtra: a package of the extra ``report`` is missing. UsageError: an unknown kind,
            dataset or option. StoreError: the run does not hold what the chart needs.
        """
        from seqbench.plugins.extras import REPORT, require

        require("a chart", "report", REPORT)
        from seqbench.report.charts.notebook import altair_chart

        return altair_chart(self.document, kind, dataset, options)

    def predictions(
        self, trial: str, seed: int | None = None, *, dataset: str | None = None
    ) -> Predictions:
        """The answers of a trained model to the test split, which were kept when it was trained.

        Args:
            trial: a trial's id; or the id of a case, a label or the name of a model, which then
                needs a seed if there are several.
            seed: the seed.
            dataset: name or label, in a run with several datasets.

        Raises:
            UsageError: there is no such trial, there are several, or it did not succeed.
            StoreError: its answers were not kept, and why; or they are missing or damaged.
        """
        from seqbench.store.answers import kept_predictions

        folder = RunFolder.open(self.path)
        return kept_predictions(self._record(folder, trial, seed, dataset), folder)

    def load_model(
        self, trial: str, seed: int | None = None, *, dataset: str | None = None
    ) -> tuple[nn.Module, Task]:
        """A trained model in evaluation mode, on the CPU, and the task that it was trained for.

        The code of its plugin runs in this process. Before it is returned, its answers to a few
        test sequences are compared with those that it gave when it was trained. torch is set to
        full precision (no TF32), as in training.

        Args:
            trial: as in :meth:`predictions`, like the others.
            seed: the seed.
            dataset: name or label.

        Raises:
            UsageError: there is no such trial, there are several, or it did not succeed.
            PluginError: its plugin has changed since, or it answers differently than it did.
            NotPrepared: its dataset is not in the cache.
            StoreError: its weights are missing or damaged.
        """
        from seqbench.plugins.loading import import_object

        folder = RunFolder.open(self.path)
        record = self._record(folder, trial, seed, dataset)
        loaded: tuple[nn.Module, Task] = import_object(LOADER)(folder, record)
        return loaded

    def _record(
        self, folder: RunFolder, trial: str, seed: int | None, dataset: str | None
    ) -> TrialRecord:
        """The record of a trial as the user names it."""
        from seqbench.report.find_trial import find_trial

        found = find_trial(self.document, trial, seed, dataset=dataset)["id"]
        record = folder.trial(folder.path / "trials" / f"{found}.json")
        if record is None:
            raise StoreError(f"the record of {found} is damaged; resume the run to train it again")
        return record

    def to_dicts(self) -> list[dict[str, Any]]:
        """One flat dictionary per trial, ready for a data frame."""
        cases = {case["id"]: case for case in self.document["cases"]}
        rows = []
        for trial in self.document["trials"]:
            case = cases[trial["case"]]
            row = {k: v for k, v in trial.items() if k not in ("metrics", *SCORES)}
            row |= {f"model.{name}": value for name, value in case["params"].items()}
            row |= {f"dataset.{name}": value for name, value in case["dataset_params"].items()}
            if "resamples" in case:  # the case has those of all its trials
                row[f"dataset.{case['resamples']['parameter']}"] = trial["resample"]
            flat = {k: v for k, v in trial["metrics"].items() if not isinstance(v, list)}
            row |= {f"score.{name}": value for name, value in trial["scores"].items()}
            rows.append({**row, **flat})
        return rows

    def parts(self) -> list[dict[str, Any]]:
        """One flat dictionary per successful trial, part of the test split and metric, ready for a
        data frame.

        Parts are the test sets of a dataset that has several, or ranges of length if its sequences
        differ in length; without either there are none. The metrics of plugins are known for test
        sets only. ``value`` is None, with a ``reason``, if a part has no figure.
        """
        from seqbench.report.exports.part_rows import part_rows

        return part_rows(self.document)

    def __repr__(self) -> str:
        """One line: the suite, the status, how many trials succeeded, and the folder."""
        trials = self.document["trials"]
        ok = sum(trial["status"] == "ok" for trial in trials)
        total = len(trials) + self.document["missing"]
        state = f"{self.document['status']}, {ok} of {counted(total, 'trial')} ok"
        return f"<Run of {self.document['suite']}: {state}, {self.path}>"

    def _repr_html_(self) -> str:
        """The verdict and the tables, for a notebook."""
        from seqbench.report.exports.html import to_html

        return to_html(self.document, [str(part) for part in self.verdict])
