"""Every quantity that seqbench measures, once. Importing this costs nothing.

To add a quantity:

1. a file that measures it, such as ``measure/energy.py``: it returns
   :class:`.records.Measurement` objects whose ``quantity`` is the name;
2. a file that shows it, such as ``report/columns/energy.py``;
3. an entry in :data:`QUANTITIES`.

Elsewhere nothing compares names: who needs to know something about a quantity looks it up with
:func:`find`. Only the files that measure and show a quantity, and the summary, which gives its
figures their keys in the document, name it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Better = Literal["higher", "lower"]

#: How two cases are compared: by the timings of the rounds in which both took turns (the ratio), or
#: by their figures for each seed (the difference).
Compared = Literal["rounds", "seeds"]

#: The test behind each, in words.
TESTS: Mapping[Compared, str] = {
    "rounds": "t test of paired rounds",
    "seeds": "sign-flip test of paired seeds",
}


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What seqbench knows about a quantity. Functions are named as ``"package.module:function"``.

    Args:
        name: as in records, in the document and in the names of exported columns.
        unit: SI: ``s``, ``1/s``, ``B``, ``J``; ``1`` for counts and shares.
        better: which way is better; None where neither is.
        share: whether it is a share of 1, shown in percent.
        targets: for what decides on the best epoch: the kinds of target (:class:`.types.Task`) it
            judges.
        compared: how two cases are compared; None where they are not.
        verdicts: what a case is called whose figure is better, and one whose figure is worse.
        document: how its figures stand in a case of the document, under its name. ``"list"``: an
            entry for each measurement, with its settings; ``"values"``: the figures of the only
            measurement, or None; ``"own"``: :mod:`seqbench.summary` has keys of its own for them.
        measured: what measures it, as a job of a worker.
        requests: what is to be measured of a case: called with the suite's ``measure`` settings and
            a :class:`.measure.payloads.TrainedModel`, it returns a payload of ``measured`` for each
            job, by a key such as ``memory/training``. Empty where it is measured along with another
            quantity, or while models take turns.
        columns: what makes its columns: called with the cases of a table and the document, it
            yields :class:`.report.columns.column.Column` objects. Tables hold them in the order of
            the entries; quantities that share a function stand where the first of them does.
        growth: for what is measured at several lengths, the dataset's own first: what makes the
            columns of how it grows, which follow all others. Called as ``columns`` is.
        notes: what explains it under the tables: called with the document and the columns shown,
            it returns lines of text.
    """

    name: str
    unit: str = "1"
    better: Better | None = None
    share: bool = False
    targets: tuple[str, ...] = ()
    compared: Compared | None = None
    verdicts: tuple[str, str] = ("better", "worse")
    document: Literal["list", "values", "own"] = "list"
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
        """The test behind a comparison of two cases, in words."""
        return TESTS[self.compared or "seeds"]

    def verdict(self, found: str) -> str:
        """What is said of a case that was found to be ``better`` or ``worse``, such as faster."""
        return self.verdicts[("better", "worse").index(found)]


_TRAINING = "seqbench.training.evaluation"
_MEASURE = "seqbench.measure"
_COLUMNS = "seqbench.report.columns"
_NOTES = "seqbench.report.notes"

#: Every quantity by its name, in the order of the columns of a table. No metric of a plugin may
#: have one of these names.
QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            name="accuracy", better="higher", share=True, targets=("label", "label_per_step"),
            compared="seeds", document="own", measured=f"{_TRAINING}:evaluate",
            columns=f"{_COLUMNS}.quality:quality_columns", notes=f"{_NOTES}:quality_notes",
        ),
        Quantity(
            name="mse", better="lower", targets=("value",),
            compared="seeds", document="own", measured=f"{_TRAINING}:evaluate",
            columns=f"{_COLUMNS}.quality:quality_columns", notes=f"{_NOTES}:quality_notes",
        ),
        Quantity(
            name="latency", unit="s", better="lower", compared="rounds",
            verdicts=("faster", "slower"), measured=f"{_MEASURE}.latency.timer:answer_requests",
            columns=f"{_COLUMNS}.speed:latency_columns", notes=f"{_NOTES}:latency_notes",
        ),
        Quantity(
            name="throughput", unit="1/s", better="higher",
            measured=f"{_MEASURE}.latency.timer:answer_requests",
            columns=f"{_COLUMNS}.speed:throughput_columns",
        ),
        Quantity(
            name="step", unit="s", better="lower", compared="rounds",
            verdicts=("faster", "slower"), measured=f"{_MEASURE}.latency.timer:answer_requests",
            columns=f"{_COLUMNS}.speed:step_columns",
        ),
        Quantity(  # shown as the time to the target
            name="training_step", unit="s", better="lower", compared="rounds",
            verdicts=("faster", "slower"), document="values",
            measured=f"{_MEASURE}.latency.timer:answer_requests",
        ),
        Quantity(
            name="cold", unit="s", document="values",
            measured=f"{_MEASURE}.latency.timer:answer_requests",
            columns=f"{_COLUMNS}.speed:cold_columns",
        ),
        Quantity(
            name="memory", unit="B", better="lower", document="own",
            measured=f"{_MEASURE}.memory:measure_memory",
            requests=f"{_MEASURE}.payloads:memory_requests",
            columns=f"{_COLUMNS}.memory:memory_columns",
            growth=f"{_COLUMNS}.memory:growth_columns", notes=f"{_NOTES}:memory_notes",
        ),
        Quantity(  # stands in the measurement of the cost
            name="parameters", document="own", measured=f"{_MEASURE}.cost:measure_cost",
            columns=f"{_COLUMNS}.cost:parameters_columns",
        ),
        Quantity(
            name="macs", document="own", measured=f"{_MEASURE}.cost:measure_cost",
            columns=f"{_COLUMNS}.cost:macs_columns", growth=f"{_COLUMNS}.cost:growth_columns",
        ),
        Quantity(
            name="cost", document="own", measured=f"{_MEASURE}.cost:measure_cost",
            requests=f"{_MEASURE}.payloads:cost_requests",
            columns=f"{_COLUMNS}.cost:cost_columns",
        ),
        Quantity(  # shown as a warning where the kernels run are slow ones
            name="ops", document="own", measured=f"{_MEASURE}.cost:measure_cost",
        ),
    )
}  # fmt: skip


def find(name: str, scores: Mapping[str, Mapping[str, Any]] | None = None) -> Quantity:
    """The quantity of that name; any other name is that of a plugin's metric.

    Args:
        scores: the metrics of plugins by their label, with ``higher_is_better`` and ``share`` as
            their :class:`.types.MetricSpec` has them (``cases[].scores`` of the document).
    """
    known = QUANTITIES.get(name)
    if known is not None:
        return known
    about = (scores or {}).get(name, {})
    higher, share = about.get("higher_is_better", True), about.get("share", False)
    return Quantity(
        name=name, better="higher" if higher else "lower", share=share, compared="seeds"
    )


def deciding() -> dict[str, Quantity]:
    """Those that decide on the best epoch, by the kind of target (:class:`.types.Task`)."""
    return {target: found for found in QUANTITIES.values() for target in found.targets}


def functions(field: Literal["columns", "growth", "notes"]) -> list[str]:
    """What the entries name in that field, in their order; each function once."""
    names = (getattr(found, field) for found in QUANTITIES.values())
    return list(dict.fromkeys(name for name in names if name))
