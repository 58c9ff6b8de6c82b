"""The registry of all quantities that seqbench measures. Imports nothing heavy.

To add a quantity:

1. add a file that measures it, such as ``measure/energy.py``: it returns
   :class:`.records.Measurement` objects with the name as ``quantity``, and has the functions
   ``measured`` and ``requests`` of the entry; the type of their values goes into ``records.py``;
2. add a file that shows it, such as ``report/columns/energy.py``;
3. add an entry to :data:`QUANTITIES`, and to ``suite/keys.py`` the key that requests it, if it has
   settings.

No other file compares names: code that needs to know something about a quantity looks it up with
:func:`find`. The exception is the summary, which defines the keys in the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Better = Literal["higher", "lower"]

#: How two cases are compared: by the ratio of their timings in the rounds that both took part in,
#: or by their figures over the seeds.
Compared = Literal["rounds", "seeds"]

#: The statistical test used for each, as text.
TESTS: Mapping[Compared, str] = {
    "rounds": "t test of paired rounds",
    "seeds": "Welch's t test over seeds",
}


#: That of figures over the resamples of a dataset, instead of seeds.
RESAMPLED_TEST = "paired t test over resamples"


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A quantity and its properties. Functions are given as ``"package.module:function"``.

    Args:
        name: as in records, in the document and in the names of exported columns.
        unit: SI: ``s``, ``1/s``, ``B``, ``J``; ``1`` for counts and fractions.
        better: which direction is better; None if neither is.
        share: whether it is a fraction, shown in percent.
        targets: of a task's own metric: the kinds of target (:class:`.types.Task`) of these tasks.
        compared: how two cases are compared; None if they are not.
        verdicts: the words for a case that is better, and for one that is worse.
        document: how its figures are stored in a case of the document, under its name. ``"list"``:
            an entry for each measurement, with its settings; ``"values"``: that of the only
            measurement, or None; ``"own"``: under other keys, defined by :mod:`seqbench.summary`.
        figures: the type of its measurement's ``values``, against which stored ones are validated.
            Empty if they are not validated, or if it is not a measurement of its own.
        settings: the settings that each of its measurements has, besides optional ones.
        measured: the function that measures it, as a job of a worker.
        requests: the function that returns what to measure for a case: called with the suite's
            ``measure`` settings and a :class:`.measure.payloads.TrainedModel`, it returns a payload
            of ``measured`` for each job, by a key such as ``memory/training``. Empty if it is
            measured together with another quantity, or in a contest.
        columns: the function that makes its columns: called with the cases of a table and the
            document, it yields :class:`.report.columns.column.Column` objects. Tables show them in
            the order of the entries; a function that several quantities share is called once, at
            the first of them.
        growth: for a quantity measured at several lengths, the dataset's own first: the function
            that makes the columns of its growth, which follow all others. Called like ``columns``.
        notes: the function that explains it under the tables: called with the document and the
            columns shown, it returns lines of text.
    """

    name: str
    unit: str = "1"
    better: Better | None = None
    share: bool = False
    targets: tuple[str, ...] = ()
    compared: Compared | None = None
    verdicts: tuple[str, str] = ("better", "worse")
    document: Literal["list", "values", "own"] = "list"
    figures: str = ""
    settings: tuple[str, ...] = ()
    measured: str = ""
    requests: str = ""
    columns: str = ""
    growth: str = ""
    notes: str = ""

    @property
    def higher_is_better(self) -> bool:
        return self.better == "higher"

    @property
    def test(self) -> str:
        """The statistical test used to compare two cases, as text."""
        return TESTS[self.compared or "seeds"]

    def verdict(self, conclusion: str) -> str:
        """The word for a case that is ``better`` or ``worse``, such as ``faster``."""
        return self.verdicts[("better", "worse").index(conclusion)]


_RECORDS = "seqbench.records"
_TRAINING = "seqbench.training.evaluation"
_MEASURE = "seqbench.measure"
_COLUMNS = "seqbench.report.columns"
_NOTES = "seqbench.report.notes"

#: Every quantity by name, in the order of a table's columns. These names are reserved: no metric
#: of a plugin can have one.
QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            name="accuracy", better="higher", share=True,
            targets=("label", "label_per_step", "labels", "labels_per_step"),
            compared="seeds", document="own", measured=f"{_TRAINING}:evaluate",
            columns=f"{_COLUMNS}.quality:quality_columns", notes=f"{_NOTES}:quality_notes",
        ),
        Quantity(
            name="mse", better="lower", targets=("value", "value_per_step"),
            compared="seeds", document="own", measured=f"{_TRAINING}:evaluate",
            columns=f"{_COLUMNS}.quality:quality_columns", notes=f"{_NOTES}:quality_notes",
        ),
        Quantity(
            name="latency", unit="s", better="lower", compared="rounds",
            verdicts=("faster", "slower"), figures=f"{_RECORDS}:ForwardTiming",
            settings=("batch_size", "threads"),
            measured=f"{_MEASURE}.latency.sampler:answer_requests",
            columns=f"{_COLUMNS}.speed:latency_columns", notes=f"{_NOTES}:latency_notes",
        ),
        Quantity(
            name="throughput", unit="1/s", better="higher",
            figures=f"{_RECORDS}:Rate", settings=("batch_size", "threads"),
            measured=f"{_MEASURE}.latency.sampler:answer_requests",
            columns=f"{_COLUMNS}.speed:throughput_columns",
        ),
        Quantity(
            name="step", unit="s", better="lower", compared="rounds",
            verdicts=("faster", "slower"), figures=f"{_RECORDS}:Timing",
            settings=("batch_size", "threads"),
            measured=f"{_MEASURE}.latency.sampler:answer_requests",
            columns=f"{_COLUMNS}.speed:step_columns",
        ),
        Quantity(  # with a target, also part of the time to it
            name="training_step", unit="s", better="lower", compared="rounds",
            verdicts=("faster", "slower"), document="values",
            figures=f"{_RECORDS}:TrainingTiming",
            measured=f"{_MEASURE}.latency.sampler:answer_requests",
            columns=f"{_COLUMNS}.training:training_columns", notes=f"{_NOTES}:training_notes",
        ),
        Quantity(
            name="training_throughput", unit="1/s", better="higher", document="values",
            figures=f"{_RECORDS}:Rate", measured=f"{_MEASURE}.latency.sampler:answer_requests",
            columns=f"{_COLUMNS}.training:training_columns",
        ),
        Quantity(
            name="cold", unit="s", document="values",
            figures=f"{_RECORDS}:Cold", measured=f"{_MEASURE}.latency.sampler:answer_requests",
            columns=f"{_COLUMNS}.speed:cold_columns",
        ),
        Quantity(
            name="memory", unit="B", better="lower", document="own",
            figures=f"{_RECORDS}:Memory", settings=("mode", "batch_size"),
            measured=f"{_MEASURE}.memory:measure_memory",
            requests=f"{_MEASURE}.payloads:memory_requests",
            columns=f"{_COLUMNS}.memory:memory_columns",
            growth=f"{_COLUMNS}.memory:growth_columns", notes=f"{_NOTES}:memory_notes",
        ),
        Quantity(  # part of the measurement `cost`
            name="parameters", document="own", measured=f"{_MEASURE}.cost:measure_cost",
            columns=f"{_COLUMNS}.cost:parameters_columns",
        ),
        Quantity(
            name="macs", document="own", figures=f"{_RECORDS}:Macs",
            measured=f"{_MEASURE}.cost:measure_cost",
            columns=f"{_COLUMNS}.cost:macs_columns", growth=f"{_COLUMNS}.cost:growth_columns",
        ),
        Quantity(
            name="cost", document="own", figures=f"{_RECORDS}:Cost",
            measured=f"{_MEASURE}.cost:measure_cost",
            requests=f"{_MEASURE}.payloads:cost_requests",
            columns=f"{_COLUMNS}.cost:cost_columns",
        ),
        Quantity(  # shown as a warning if slow kernels were used
            name="ops", document="own", figures=f"{_RECORDS}:Operators",
            measured=f"{_MEASURE}.cost:measure_cost",
        ),
    )
}  # fmt: skip


def find(name: str, scores: Mapping[str, Mapping[str, Any]] | None = None) -> Quantity:
    """Look up a quantity by name; any name not in :data:`QUANTITIES` is a plugin's metric.

    Args:
        scores: the metrics of plugins by label, with ``higher_is_better``, ``share`` and ``unit``
            as in their :class:`.types.MetricSpec` (``cases[].scores`` of the document).
    """
    known = QUANTITIES.get(name)
    if known is not None:
        return known
    return _metric(name, (scores or {}).get(name, {}))


def _metric(name: str, about: Mapping[str, Any]) -> Quantity:
    return Quantity(
        name=name, unit=about.get("unit") or "1", share=about.get("share", False),
        better="higher" if about.get("higher_is_better", True) else "lower", compared="seeds",
    )  # fmt: skip


def find_in(case: Mapping[str, Any], name: str) -> Quantity:
    """Look up a quantity of a case of the document, whose metrics may be those of plugins."""
    primary = case.get("metric") or {}
    return find(name, {**(case.get("scores") or {}), primary.get("name", ""): primary})


def find_metric(record: Any) -> Quantity:
    """The primary metric of a record of a trial."""
    return find(record.metric, {record.metric: record.metric_about or {}})


def own_metrics() -> dict[str, Quantity]:
    """The tasks' own metrics, by kind of target (:class:`.types.Task`)."""
    return {target: metric for metric in QUANTITIES.values() for target in metric.targets}


def functions(field: Literal["columns", "growth", "notes"]) -> list[str]:
    """The functions that the entries give in a field, in their order; each once."""
    paths = (getattr(quantity, field) for quantity in QUANTITIES.values())
    return list(dict.fromkeys(path for path in paths if path))
