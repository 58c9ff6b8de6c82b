"""Names and statuses of cases, as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seqbench.plan.labels import as_text
from seqbench.report.columns.column import Case, Document
from seqbench.report.text import clean, counted, label, settings
from seqbench.types import ESTIMATOR

MOST_NAMED = 4

#: More values that tell resamples apart are counted instead of listed.
MOST_VALUES = 8


def status_lines(case: Case) -> list[str]:
    """``["ok"]``, or what failed: ``["1 of 3 diverged"]``."""
    seeds: Mapping[str, int] = case["seeds"]
    total = sum(seeds.values())
    if not total:
        return ["not run"]
    bad = [
        f"{n} of {total} {status_words(status)}" for status, n in seeds.items() if status != "ok"
    ]
    if not bad and case["status"] not in (None, "ok"):
        return [f"measuring: {status_words(case['status'])}"]
    return bad or ["ok"]


def resample_count(case: Case) -> int:
    """The number of resamples that the case pools; 0 if it pools none."""
    return len(case["resamples"]["values"]) if case.get("resamples") else 0


def is_estimator(case: Case) -> bool:
    """Whether the case was fitted and not trained by gradient: no training settings apply to it."""
    return case.get("model_kind") == ESTIMATOR


def by_gradient(cases: Sequence[Case]) -> list[Case]:
    """The cases without estimators."""
    return [case for case in cases if not is_estimator(case)]


def measured_id(case: Case) -> str:
    """The id under which the measurements of the case are stored."""
    resamples: Mapping[str, Any] = case.get("resamples") or {}
    return str(resamples.get("measured") or case["id"])


def unit_of(case: Case) -> str:
    """What the independent figures of the case are: ``seed``, or ``resample``."""
    return "resample" if case.get("resamples") else "seed"


def with_own_steps(document: Document) -> list[str]:
    """The labels of the models that were trained by their own ``training_step``."""
    trials = document.get("trials") or ()
    own = {t["label"]: None for t in trials if t["metrics"].get("training_step")}
    return [clean(label) for label in own]


def period_word(cases: Iterable[Case]) -> str:
    """What lies between two evaluations in training: ``epoch``, or ``evaluation`` if a training is
    given in steps.
    """
    return "evaluation" if any(case["train"].get("steps") for case in cases) else "epoch"


def averaged_over(cases: Sequence[Case]) -> str:
    """What metrics are means over: ``over successful seeds``, or resamples, or either."""
    pooled = [case for case in cases if case.get("resamples")]
    over = "over resamples (of each the mean over its seeds)"
    if len(pooled) < len(cases):
        return f"over successful seeds{f', or {over}' if pooled else ''}"
    return over


def repeats_words(trials: int, resamples: int = 0) -> str:
    """``3 seeds``, or of resamples ``5 resamples × 3 seeds``."""
    if not resamples:
        return counted(trials, "seed")
    each = counted(resamples, "resample")
    if trials % resamples:
        return f"{counted(trials, 'trial')} of {each}"
    return f"{each} × {counted(trials // resamples, 'seed')}"


def repeats_of(case: Case) -> str:
    """The seeds of the case, or its resamples and seeds, as text."""
    return repeats_words(sum(case["seeds"].values()), resample_count(case))


def trial_words(trial: Mapping[str, Any]) -> str:
    """``seed 0``, or ``resample 2, seed 0``."""
    return f"{resample_words(trial)}seed {trial['seed']}"


def resample_words(trial: Mapping[str, Any]) -> str:
    """``resample 2, ``; empty if the trial is of none."""
    return f"resample {as_text(trial['resample'])}, " if "resample" in trial else ""


def repetition(trial: Mapping[str, Any]) -> int | str:
    """What tells a trial of a case from the others: its seed, or ``2/0`` of resample 2, seed 0."""
    seed: int = trial["seed"]
    return f"{as_text(trial['resample'])}/{seed}" if "resample" in trial else seed


def seeds_words(trials: Sequence[Mapping[str, Any]], most: int | None = None) -> str:
    """``seed 0``, ``seeds 0, 2``, or ``resample 1, seeds 0, 2; resample 2, seed 0``.

    Args:
        most: more seeds, or resamples, are not listed.
    """
    found: dict[str, list[str]] = {}
    for trial in trials:
        found.setdefault(resample_words(trial), []).append(str(trial["seed"]))
    parts = [
        f"{of}seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds[:most])}"
        + (", …" if most is not None and len(seeds) > most else "")
        for of, seeds in found.items()
    ]
    return "; ".join(parts[:most]) + ("; …" if most is not None and len(parts) > most else "")


def several_devices(document: Document) -> bool:
    """Whether the cases of the document ran on different devices."""
    cases = document["cases"]
    return any(case["device"] != cases[0]["device"] for case in cases)


def case_name(case: Case, document: Document) -> str:
    """The label; with the dataset and the device if the document has several."""
    parts = [label(case)]
    cases = document["cases"]
    if any(dataset_label(other) != dataset_label(cases[0]) for other in cases):
        parts.append(f"on {clean(dataset_label(case))}")
    if several_devices(document):
        parts.append(f"on {clean(case['device'])}")
    return " ".join(parts)


def dataset_words(case: Case) -> tuple[str, str]:
    """The dataset as headings name it, and its name (unless that says it) and all parameters.

    ``("parity-8", "parity, length=8")``
    """
    shown, params = dataset_label(case), case["dataset_params"]
    for name, value in params.items():
        shown = shown.replace(f" {name}={as_text(value)}", "")
    resamples = case.get("resamples")
    if resamples and len(resamples["values"]) > MOST_VALUES:
        params = {**params, resamples["parameter"]: f"{len(resamples['values'])} values"}
    hidden = "" if shown.split(":")[-1].startswith(case["dataset"]) else clean(case["dataset"])
    return clean(shown), ", ".join(filter(None, [hidden, settings(params)]))


def dataset_label(case: Case) -> str:
    """The label of the case's dataset, which tells the datasets of a run apart."""
    return str(case.get("dataset_label") or case["dataset"])


def status_words(status: str) -> str:
    """``out of memory`` for ``out_of_memory``."""
    return clean(status).replace("_", " ")


def some(names: Sequence[str], between: str = ", ") -> str:
    """The first four of ``names``, then ``and 3 more``."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return between.join(names[:MOST_NAMED]) + more
