"""Documents of made-up runs, of every kind that a report may be asked to render."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seqbench.records import AS_DATA, CaseRecord, Measurement, Status, TrialRecord

if TYPE_CHECKING:
    from seqbench.store.stored_plan import StoredPlan
    from seqbench.summary.schema import Document

#: Text that is markup in Markdown, HTML or LaTeX, a formula in a spreadsheet, or a command to a
#: terminal.
HOSTILE = "=cmd()|</td><script>alert(1)</script>\\input{x}\x1b[31m\u202e"

MODELS = ("one", "two")
SEEDS = (0, 1, 2)
TRAINING = {"epochs": 2, "batch_size": 10, "optimizer": {"name": "adam", "params": {"lr": 0.01}}}
AT = {"batch_size": 1, "length": 6, "threads": 1, "runtime": "eager"}


def documents() -> dict[str, Document]:
    """A document of each kind, by its description."""
    ended, measured = list(_trials("accuracy")), list(_measured())
    failed = [_failed(record) for record in ended]
    return {
        "a run with accuracies, a metric, latency and memory": _document(ended, measured),
        "a run with mean squared errors": _document(list(_trials("mse")), measured, metric="mse"),
        "a run with latency at the lengths of the data": _document(
            ended, [_with_mixture(one) for one in measured]
        ),
        "a run with one seed": _document(ended[::3], []),
        "a run with failed trials": _document(
            [*ended[:3], *failed[3:]], [_unmeasured(one) for one in measured], status="finished"
        ),
        "a run in which everything failed": _document(failed, []),
        "an interrupted run without results": _document([], [], status="interrupted"),
        "a run without cases": _document([], [], models=()),
        "a run with text from strangers": _document(
            [_failed(record, HOSTILE) if record.seed else record for record in ended],
            [_unmeasured(one, HOSTILE) for one in measured[1:]], text=HOSTILE,
        ),
    }  # fmt: skip


def _document(
    trials: list[TrialRecord],
    cases: list[CaseRecord],
    *,
    metric: str = "accuracy",
    status: str = "finished",
    models: tuple[str, ...] = MODELS,
    text: str = "",
) -> Document:
    """Arguments: ``text`` replaces labels, notes, and parameters that are text."""
    from seqbench.summary.document import build_document

    plan = _plan(metric, models, text)
    return build_document(
        f"results/sample/{text or '20260101T000000.000Z-0000'}",
        state={"suite": "sample", "status": status, "started": "2026-01-01T00:00:00Z"},
        plan=plan,
        environment={"seqbench": "0.1.0", "cpu": text or "a processor", "cores": 2},
        trials=trials,
        cases=cases,
    )


def _plan(metric: str, models: tuple[str, ...], text: str) -> StoredPlan:
    dataset: dict[str, Any] = {
        "name": "numbers" if metric == "mse" else "words",
        "params": {"length": 6, "view": text or "rows"},
        "distribution": "sample", "version": "1",
    }  # fmt: skip
    cases: list[Any] = [
        {
            "id": name, "label": f"{text or 'model'} {name}", "device": "cpu", "note": text,
            "model": {"name": name, "params": {"hidden_size": 8}, "distribution": "sample",
                      "version": "1"},
            "dataset": dataset, "dataset_label": f"{dataset['name']} {text}".strip(),
            "train": TRAINING, "reference": {},
        }
        for name in models
    ]  # fmt: skip
    return {
        "cases": cases,
        "trials": [{"id": f"{m}-{s}", "case": m, "seed": s} for m in models for s in SEEDS],
        "metrics": [{"id": "m", "label": "recall", "higher_is_better": True, "share": True}],
        "notes": text,
    }


def _trials(metric: str) -> Iterator[TrialRecord]:
    for number, name in enumerate(MODELS):
        for seed in SEEDS:
            value = 0.7 + 0.1 * number + 0.01 * seed
            yield TrialRecord(
                f"{name}-{seed}", name, seed, "ok", metric=metric,
                metrics={"value": value, "last": value - 0.01, "best": value, "best_epoch": 1,
                         "train_loss": 0.3, "steps": 20},
                seconds=1.5, scores={"m": {"status": "ok", "value": value - 0.1, "reason": ""}},
            )  # fmt: skip


def _failed(record: TrialRecord, reason: str = "RuntimeError: no") -> TrialRecord:
    status: Status = "failed" if record.seed else "diverged"
    return TrialRecord(record.id, record.case, record.seed, status, reason, lines=(reason,))


def _measured() -> Iterator[CaseRecord]:
    for number, name in enumerate(MODELS):
        seconds = 1e-4 * (1 + number)
        yield CaseRecord(name, tuple(_measurements(seconds, 1000 * (1 + number))))


def _measurements(seconds: float, parameters: int) -> Iterator[Measurement]:
    yield Measurement("cost", "1", {}, {"parameters": parameters, "serialized_bytes": 5000})
    yield Measurement("macs", "1", {"batch_size": 1, "length": 6}, {"macs": 12 * parameters})
    spread = {"low_s": 0.9 * seconds, "high_s": 1.1 * seconds}
    timing: Mapping[str, Any] = {
        "median_s": seconds, **spread, "p90_s": 1.2 * seconds, "p99_s": 2 * seconds, "n": 500,
        "processes": 5, "process_medians_s": [seconds] * 5, "spread": 0.02, "unstable": False,
        "steady": True, "precise": True,
    }  # fmt: skip
    yield Measurement("latency", "s", AT, timing)
    rate = {"per_s": 1 / seconds, "low_per_s": 0.9 / seconds, "high_per_s": 1.1 / seconds, "n": 5}
    yield Measurement("throughput", "1/s", AT, rate)
    for mode in ("inference", "training"):
        at = {"mode": mode, "batch_size": 64, "length": 6}
        yield Measurement("memory", "B", at, _memory(mode, 4 * parameters))


def _memory(mode: str, held: int) -> dict[str, Any]:
    training = {"gradients": held, "optimizer": 2 * held} if mode == "training" else {}
    return {
        "parameters": held, "buffers": 0, **training, "activations": 9000, "working": 9000,
        "peaks": [9000, 9000], "total": held + 9000, "low": held + 9000, "high": held + 9000,
        "baseline": 0, "peak": 9000, "lower_bound": False, "missing": {},
    }  # fmt: skip


def _with_mixture(record: CaseRecord) -> CaseRecord:
    """The same measurements, and latency with lengths as in the data."""
    at = {**AT, "length": AS_DATA}
    mixture = {"calls": 16, "shortest": 2, "longest": 6, "mean_length": 4.5, "padding": 0.0}
    (latency,) = (one for one in record.measurements if one.quantity == "latency")
    (throughput,) = (one for one in record.measurements if one.quantity == "throughput")
    values = {**latency.values, "p99_s": None, "mixture": mixture}
    mixed = (replace(latency, settings=at, values=values), replace(throughput, settings=at))
    return replace(record, measurements=(*record.measurements, *mixed))


def _unmeasured(record: CaseRecord, reason: str = "TypeError: no") -> CaseRecord:
    """The same measurements, of which those of latency failed."""
    failed = Measurement("latency", "s", AT, status="failed", reason=reason)
    others = [one for one in record.measurements if one.quantity not in ("latency", "throughput")]
    return CaseRecord(record.case, (*others, failed))
