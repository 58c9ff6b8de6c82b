"""The results of a run, for use in scripts and notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.report.text import counted
from seqbench.store.run_folder import RunFolder

if TYPE_CHECKING:
    from seqbench.records import CaseRecord, TrialRecord
    from seqbench.report.verdict.of_run import Part
    from seqbench.summary.schema import Document


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
        """Whether the run finished and every trial and measurement succeeded."""
        finished = self.document["status"] == "finished"
        return finished and all(case["status"] == "ok" for case in self.document["cases"])

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

    def to_dicts(self) -> list[dict[str, Any]]:
        """One flat dictionary per trial, ready for a data frame."""
        cases = {case["id"]: case for case in self.document["cases"]}
        rows = []
        for trial in self.document["trials"]:
            case = cases[trial["case"]]
            row = {k: v for k, v in trial.items() if k not in ("metrics", "scores")}
            row |= {f"model.{name}": value for name, value in case["params"].items()}
            row |= {f"dataset.{name}": value for name, value in case["dataset_params"].items()}
            flat = {k: v for k, v in trial["metrics"].items() if not isinstance(v, list)}
            row |= {f"score.{name}": value for name, value in trial["scores"].items()}
            rows.append({**row, **flat})
        return rows

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
