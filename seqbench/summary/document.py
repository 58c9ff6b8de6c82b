"""The document: a whole run as JSON, from which all tables and exports are made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from seqbench.quantities import QUANTITIES, Quantity, find_metric
from seqbench.records import FORMAT, CaseRecord, Comparison, Measurement, Target, TrialRecord, worst
from seqbench.store.stored_plan import StoredMatching, StoredMetric, StoredPlan, metrics_of
from seqbench.summary import lengths
from seqbench.summary.margins import with_margins
from seqbench.summary.metric_pairs import metric_comparisons
from seqbench.summary.parts import parts_of, parts_reason, score_sets
from seqbench.summary.rows import Row, beside_of, interval_of, own_name, rows_of, scores_of
from seqbench.summary.steps_to_target import towards
from seqbench.types import ESTIMATOR

if TYPE_CHECKING:
    from seqbench.summary import schema


def build_document(
    run: str,
    *,
    state: Mapping[str, Any],
    plan: StoredPlan,
    environment: Mapping[str, Any],
    trials: Iterable[TrialRecord],
    cases: Iterable[CaseRecord],
    comparisons: Iterable[Comparison] = (),
) -> schema.Document:
    """Build the document of a run, format 2 (:mod:`seqbench.summary.schema`, docs/results.md).

    Args:
        run: the run's folder.
        state, plan, environment: contents of ``run.json``, ``plan.json``, ``environment.json``.
        trials, cases, comparisons: the records available so far.
    """
    found_trials = list(trials)
    ended = _in_plan_order(found_trials, plan)
    rows = rows_of(plan, ended)
    home = {case["id"]: row for row in rows for case in row.cases}
    measured = {record.case: record for record in cases}
    metrics = plan.get("metrics", ())
    found = _cases(plan, rows, measured)
    timed = _timed(comparisons, home, measured)
    compared = [*metric_comparisons(found, rows, metrics), *timed]
    return {
        "format": FORMAT,
        "suite": state["suite"],
        "file": state.get("file"),
        "run": run,
        "status": state["status"],
        "started": state.get("started"),
        "seconds": state.get("seconds"),
        "notes": plan.get("notes", ""),
        "measure": dict(plan.get("measure", {})),
        "target": plan.get("target"),
        "environment": cast("schema.Environment", dict(environment)),
        "unplanned": len(found_trials) - len(ended),
        "missing": len(plan["trials"]) - len(ended),
        "trials": [
            _trial(record, home[record.case], metrics_of(plan, home[record.case].first))
            for record in ended
        ],
        "cases": cast("list[schema.Case]", found),
        "comparisons": [
            cast("schema.Comparison", dict(vars(each)))
            for each in with_margins(compared, found, plan.get("margin", {}))
        ],
    }


def _timed(
    comparisons: Iterable[Comparison], home: Mapping[str, Row], measured: Mapping[str, CaseRecord]
) -> list[Comparison]:
    """The comparisons of timings that are still those of the figures of both rows.

    Args:
        home: the row of each case of the plan.
    """
    found = []
    for each in comparisons:
        rows = [home[case] for case in (each.a, each.b) if case in home]
        records = [row.measured(measured) for row in rows]
        shown = [record.case for record in records if record is not None]
        if len(rows) < 2 or not all(
            row.pooled is None or case in shown
            for row, case in zip(rows, (each.a, each.b), strict=True)
        ):
            continue
        met = [[job.get("met") for job in record.jobs] for record in records if record is not None]
        if not each.met or (len(met) == 2 and all(each.met in some for some in met)):
            found.append(replace(each, a=rows[0].id, b=rows[1].id))
    return found


def _in_plan_order(records: Iterable[TrialRecord], plan: StoredPlan) -> list[TrialRecord]:
    order = {trial["id"]: number for number, trial in enumerate(plan["trials"])}
    return sorted((r for r in records if r.id in order), key=lambda record: order[record.id])


def _trial(record: TrialRecord, row: Row, metrics: Sequence[StoredMetric]) -> schema.Trial:
    kept, case = record.kept_answers, row.first
    found: schema.Trial = {
        "id": record.id,
        "case": row.id,
        "label": case["label"],
        "model": case["model"]["name"],
        "dataset": case["dataset"]["name"],
        "dataset_label": row.dataset_label,
        "device": case["device"],
        "seed": record.seed,
        "status": record.status,
        "reason": record.reason,
        "metric": record.metric,
        "metric_about": record.metric_about,
        "metrics": record.metrics.copy(),
        "scores": {
            metric["label"]: record.scores[metric["id"]].get("value")
            for metric in metrics
            if metric["id"] in record.scores
        },
        "score_sets": score_sets(record, metrics),
        "version": record.version,
        "initial": record.initial,
        "unchecked": record.answers["reason"] if record.answers else "",
        "random": bool(record.answers and record.answers.get("random")),
        "ahead_unknown": record.ahead_unknown,
        "padding_changes": record.padding_changes,
        "padding_unknown": record.padding_unknown,
        "seconds": record.seconds,
        "answers_reason": kept["reason"] if kept else "",
        "log": record.log,
        "lines": list(record.lines),
        "attempts": [attempt.copy() for attempt in record.attempts],
    }
    if row.pooled is not None:
        found["resample"] = row.value_of(record)
    return found


def _cases(
    plan: StoredPlan, rows: Sequence[Row], measured: Mapping[str, CaseRecord]
) -> list[dict[str, Any]]:
    """Every case of the plan; the resamples of a dataset as one."""
    target: Target | None = plan.get("target")
    own = {_dataset_of(row): name for row in rows if (name := own_name(row))}
    peers: dict[str, list[Row]] = {}
    for row in rows:
        peers.setdefault(_dataset_of(row), []).append(row)
    found = []
    for row in rows:
        record, same = row.measured(measured), peers[_dataset_of(row)]
        measurements = record.measurements if record else ()
        metrics = metrics_of(plan, row.first)
        entry = _case(row, measurements, metrics)
        entry["parts"] = parts_of(row, metrics, same)
        primary = row.first.get("primary_metric")
        if primary:
            entry["primary_metric"] = _primary(primary)
        if target and row.trials:
            name = primary["label"] if primary else own.get(_dataset_of(row), "")
            entry["target"] = towards(target, row, _step_time(measurements), name)
        if matching := row.first.get("matching"):
            entry["match"] = _match(matching)
        if row.pooled is not None:
            entry["resamples"] = _resamples(row, record, same)
        found.append(entry)
    return found


def _primary(metric: StoredMetric) -> schema.PrimaryMetric:
    """The primary metric of a case, if it is not the task's own."""
    return {
        "name": metric["label"],
        "higher_is_better": metric["higher_is_better"],
        "share": metric["share"],
        "unit": metric.get("unit", ""),
    }


def _match(matching: StoredMatching) -> schema.MatchSummary:
    """How near a case comes to the size that it was to have."""
    found = matching["found"]
    best, wanted = found["best"] if found else None, matching["wanted"]
    return {
        "quantity": matching["quantity"],
        "wanted": wanted,
        "parameter": matching["parameter"],
        "width": best["width"] if best else None,
        "value": best["value"] if best else None,
        "deviation": best["value"] / wanted - 1 if best else None,
        "below": found["below"] if found else None,
        "above": found["above"] if found else None,
        "reason": found["reason"] if found else "its width is not solved yet",
        "remark": found["remark"] if found else "",
    }


def _dataset_of(row: Row) -> str:
    """Tells datasets with their parameters apart."""
    dataset = {**row.first["dataset"], "params": row.dataset_params}
    return json.dumps(dataset, sort_keys=True, default=str)


def _resamples(row: Row, record: CaseRecord | None, peers: Sequence[Row]) -> dict[str, Any]:
    """How the resamples of a row were pooled, and which of them was measured."""
    assert row.pooled is not None
    return {
        "parameter": row.pooled["parameter"],
        "values": row.values,
        "cases": [case["id"] for case in row.cases],
        "generated": row.pooled["generated"],
        "overlap": row.overlap,
        "measured": record.case if record else None,
        "unlike": row.unlike,
        "parts_reason": parts_reason(row, peers),
    }


def _case(
    row: Row, found: Sequence[Measurement], metrics: Sequence[StoredMetric]
) -> dict[str, Any]:
    case, trials = row.first, row.trials
    metric = _metric(row)
    bad = [record for record in trials if record.status != "ok"]
    unmeasured = [
        {"quantity": m.quantity, "status": m.status, "reason": m.reason, **m.settings}
        for m in found
        if m.status != "ok"
    ]
    unmeasured += _without_score(trials, metrics)
    reasons = [f"{row.words(record)}: {record.reason}" for record in bad]
    reasons += [f"{m['quantity']}: {m['reason']}" for m in unmeasured]
    statuses = [record.status for record in trials]
    statuses += [one["status"] for one in unmeasured if one["status"] != "skipped"]
    return {
        "id": row.id,
        "label": case["label"],
        "model": case["model"]["name"],
        "model_kind": case["model"].get("kind", ""),
        "params": dict(case["model"]["params"]),
        "distribution": case["model"]["distribution"],
        "version": case["model"]["version"],
        "source": case["model"].get("source", ""),
        "edited": _edited(case["model"].get("source", ""), trials),
        "dataset": case["dataset"]["name"],
        "dataset_params": row.dataset_params,
        "dataset_label": row.dataset_label,
        "train": dict(case["train"]),
        "device": case["device"],
        "note": case.get("note", ""),
        "reference": dict(case.get("reference", {})),
        "status": worst(statuses) if trials else None,
        "reason": "; ".join(reasons),
        "unmeasured": unmeasured,
        "seeds": _count(record.status for record in trials),
        "metric": metric,
        "accuracy": _only_accuracy(metric) or _only_accuracy(_own_metric(row)),
        "own_metric": _own_metric(row),
        "scores": _scores(row, metrics),
        "parts": [],
        "target": None,
        **_measured(found),
    }


def _edited(source: str, trials: Sequence[TrialRecord]) -> list[int]:
    """Seeds trained with another source of the model than planned."""
    return [record.seed for record in trials if record.source and record.source != source]


def _metric(row: Row) -> dict[str, Any] | None:
    """The primary metric over the successful seeds, at the reported and at the last weights."""
    good = row.good
    if not good:
        return None
    about = find_metric(good[0])
    ends = {record.id: record.metrics["last"] for record in good}
    last = {trial: figure for trial, figure in ends.items() if figure is not None}
    return {
        "name": about.name,
        "higher_is_better": about.higher_is_better,
        "share": about.share,
        "unit": "" if about.unit == "1" else about.unit,
        **interval_of(row, {record.id: record.metrics["value"] for record in good}),
        "last": None if len(last) < len(good) else interval_of(row, last),
        "at": _at(row, good[0]),
    }


def _at(row: Row, record: TrialRecord) -> str:
    """The epoch whose weights count; "" for an estimator."""
    if row.first["model"].get("kind") == ESTIMATOR:
        return ""
    period = "evaluation" if row.first["train"].get("steps") else "epoch"
    last = record.metrics["best"] is None
    return f"last {period}" if last else f"best {period} by validation"


def _own_metric(row: Row) -> dict[str, Any] | None:
    """The task's own metric, if another one is primary."""
    figures = beside_of(row)
    return {"name": own_name(row), **interval_of(row, figures)} if figures else None


def _scores(row: Row, metrics: Sequence[StoredMetric]) -> dict[str, dict[str, Any]]:
    """The metrics of plugins over the successful seeds.

    A metric that one of these seeds lacks is omitted: the mean of the others would be biased.
    """
    found = {}
    for metric in metrics:
        figures = scores_of(row, metric["id"])
        if figures:
            about = {
                "higher_is_better": metric["higher_is_better"], "share": metric["share"],
                "unit": metric.get("unit", ""),
            }  # fmt: skip
            found[metric["label"]] = {**about, **interval_of(row, figures)}
    return found


def _without_score(
    trials: Sequence[TrialRecord], metrics: Sequence[StoredMetric]
) -> list[dict[str, Any]]:
    """Metrics of plugins without a figure, with the reason; identical reasons are listed once."""
    found = {}
    for metric in metrics:
        for record in trials:
            score = record.scores.get(metric["id"])
            if score and score["status"] != "ok":
                key = (metric["label"], score["status"], score["reason"])
                found[key] = dict(zip(("quantity", "status", "reason"), key, strict=True))
    return list(found.values())


def _only_accuracy(metric: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if metric is None or metric["name"] != "accuracy":
        return None
    return {key: metric[key] for key in ("mean", "low", "high", "n")}


def _measured(found: Sequence[Measurement]) -> dict[str, Any]:
    good = [measurement for measurement in found if measurement.status == "ok"]
    cost = _values(good, "cost")
    ops = _values(good, "ops")
    own = lengths.at_own(found)
    plain = {q.name: _plain(good, q) for q in QUANTITIES.values() if q.document != "own"}
    return {
        "length": lengths.own(found),
        "latency": plain.pop("latency"),
        "step": plain.pop("step"),
        "training_step": plain.pop("training_step"),
        "training_throughput": plain.pop("training_throughput"),
        "throughput": plain.pop("throughput"),
        "cold": plain.pop("cold"),
        "memory": _memory([m for m in own if m.quantity == "memory"]),
        "lengths": lengths.at_each(found),
        "exponents": lengths.exponents(found),
        "parameters": cost.get("parameters"),
        "serialized_bytes": cost.get("serialized_bytes"),
        "macs": _values(own, "macs").get("macs"),
        "ops": [dict(op) for op in ops.get("ops", ())],
        "warnings": list(ops.get("warnings", ())),
        **plain,
    }


def _plain(good: Sequence[Measurement], quantity: Quantity) -> Any:
    """The figures of a quantity as measured (see ``Quantity.document``)."""
    found = [{**m.settings, **m.values} for m in good if m.quantity == quantity.name]
    return found if quantity.document == "list" else next(iter(found), None)


def _step_time(found: Sequence[Measurement]) -> float | None:
    """Median time of a training step, with nothing else running."""
    timed = [m for m in found if m.quantity == "training_step" and m.status == "ok"]
    return timed[0].values["median_s"] if timed else None


def _memory(found: Sequence[Measurement]) -> dict[str, Any] | None:
    if not found:
        return None
    modes = {measurement.settings["mode"]: measurement for measurement in found}
    return {
        "inference_bytes": modes["inference"].values["total"] if "inference" in modes else None,
        "training_bytes": modes["training"].values["total"] if "training" in modes else None,
        "spread_bytes": max(m.values["high"] - m.values["low"] for m in found),
        "lower_bound": any(m.values["lower_bound"] for m in found),
        "batch_size": found[0].settings["batch_size"],
        "breakdown": {mode: dict(measurement.values) for mode, measurement in modes.items()},
    }


def _values(found: Sequence[Measurement], quantity: str) -> Mapping[str, Any]:
    return next((m.values for m in found if m.quantity == quantity), {})


def _count(statuses: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for status in statuses:
        counts[status] = counts.get(status, 0) + 1
    return counts
