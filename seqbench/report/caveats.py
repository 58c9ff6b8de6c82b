"""Warnings below the tables: what limits the figures, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from seqbench.devices.registry import device_for, is_device_name
from seqbench.report.columns.column import Case, Document
from seqbench.report.columns.speed import (
    latency_settings,
    measurement_settings,
    named_settings,
    setting_words,
)
from seqbench.report.columns.training import training_requested
from seqbench.report.matching import match_caveats
from seqbench.report.names import (
    by_gradient,
    case_name,
    is_estimator,
    resample_words,
    some,
    trial_words,
    with_own_steps,
)
from seqbench.report.text import clean, command_line, counted
from seqbench.report.verdict.statement import listed
from seqbench.stats.rounding import percent_beside
from seqbench.stats.timing import UNSTABLE_SPREAD

#: How a run with that status is described.
UNFINISHED = {
    "running": "has not finished",
    "interrupted": "was interrupted",
    "killed": "was killed",
    "damaged": "may be incomplete (its run.json cannot be read)",
}


def resume_command(document: Document) -> str:
    """The command that resumes the run; its selection of cases and seeds is kept."""
    # Unknown, or empty for a suite that was given as a dictionary: the run itself has its text.
    file = document.get("file")
    named = [str(file)] if file else []
    return command_line(["seqbench", "run", *named, "--resume", str(document["run"])])


def caveats(document: Document, *, resume: bool = True) -> list[str]:
    """All warnings about a run, one line each, in the order they are shown.

    Args:
        resume: whether to show how to resume a run that did not finish.
    """
    return [
        *_unfinished(document, resume),
        *_missing(document),
        *_unplanned(document),
        *_unlike_training(document),
        *_own_training_steps(document),
        *_held_seeds(document),
        *match_caveats(document),
        *_edited(document),
        *_versions(document),
        *_unchecked(document),
        *_random(document),
        *_ahead_unknown(document),
        *_padding(document),
        *_answers_left_out(document),
        *_same_start(document),
        *_unlike_resamples(document),
        *_unstable(document),
        *_imprecise(document),
        *_too_many_threads(document),
        *_disturbed(document),
        *_noisy_machine(document),
        *_slow_kernels(document),
        *_graph_breaks(document),
    ]


def _unfinished(document: Document, resume: bool) -> list[str]:
    """That the run did not finish, and how to resume it."""
    if document["status"] == "finished":
        return []
    how = UNFINISHED.get(document["status"], "did not finish")
    figures = "; the figures cover only what had finished" if document["trials"] else ""
    line = f"This run {how}{figures}."
    if resume and document["status"] != "running":
        line += f" Resume with: `{clean(resume_command(document))}`"
    return [line]


def _missing(document: Document) -> list[str]:
    """Planned trials without a record, although the run finished."""
    missing = document.get("missing")
    if not missing or document["status"] != "finished":
        return []
    again = clean(resume_command(document))
    return [f"No record of {counted(missing, 'trial')}. Run again with: `{again}`"]


def _unplanned(document: Document) -> list[str]:
    """Trials of the run's folder that its current plan does not have."""
    unplanned = document.get("unplanned")
    if not unplanned:
        return []
    return [f"Not shown: {counted(unplanned, 'trial')} of an earlier plan, still in the folder."]


def _unlike_training(document: Document) -> list[str]:
    """That cases of one dataset were not all trained alike."""
    settings: dict[str, list[Any]] = {}
    for case in by_gradient(document["cases"]):
        known = settings.setdefault(_dataset_of(case), [])
        if case.get("train") not in known:
            known.append(case.get("train"))
    if all(len(known) == 1 for known in settings.values()):
        return []
    return [
        "Training settings differ between the cases, so differences may come from them and not "
        "from the models; the settings: seqbench show --explain"
    ]


def _dataset_of(case: Case) -> str:
    return str(case.get("dataset_label") or case["dataset"])


def _own_training_steps(document: Document) -> list[str]:
    """Models that were trained by their own ``training_step``."""
    own = with_own_steps(document)
    return [f"Trained by the model's own training_step: {some(own)}."] if own else []


def _held_seeds(document: Document) -> list[str]:
    """That only one kind of seed varies, so that intervals are about that alone."""
    lines: dict[str, None] = {}
    for case in document["cases"]:
        for key, held, varied in (
            ("data_seed", "order of the data", "initial weights"),
            ("init_seed", "initial weights", "order of the data"),
        ):
            if key in (case.get("train") or {}):
                line = (
                    f"The seeds vary the {varied} alone: intervals and tests do not include the "
                    f"{held} ({key} {case['train'][key]} for all)."
                )
                lines[line] = None
    return list(lines)


def _edited(document: Document) -> list[str]:
    """Cases whose model changed during the run."""
    edited = [case_name(case, document) for case in document["cases"] if case.get("edited")]
    if not edited:
        return []
    return [
        "The source of a model was edited during the run, so seeds were trained with different "
        f"code: {some(edited)}. --resume retrains trials made with an older source."
    ]


def _versions(document: Document) -> list[str]:
    """Cases with trials made with another version of their package than planned."""
    cases = {case["id"]: case for case in document["cases"]}
    found: dict[str, list[str]] = {}
    for trial in document.get("trials") or ():
        case: Case = cases.get(trial["case"], {})
        version = trial.get("version")
        if version and version != case.get("version"):
            other = f"{case['distribution']} {version} instead of {case['version']}"
            names = found.setdefault(clean(other), [])
            name = case_name(case, document)
            if name not in names:
                names.append(name)
    if not found:
        return []
    cases_by_version = "; ".join(f"{some(names)} with {other}" for other, names in found.items())
    return [
        "Figures come from different versions of a package, because it was reinstalled during the "
        f"run: {cases_by_version}. --resume retrains trials made with another version."
    ]


def _unchecked(document: Document) -> list[str]:
    """Models that cannot be compared with the trained ones after their weights are loaded."""
    estimators = {case_name(case, document) for case in document["cases"] if is_estimator(case)}
    return [
        f"Not checked whether {some(names)} still answers as trained when its weights are loaded "
        f"to be measured: {why}."
        for why, found in _names_by(document, "unchecked").items()
        if (names := [name for name in found if name not in estimators])  # these are not measured
    ]


def _ahead_unknown(document: Document) -> list[str]:
    """Models on causal tasks that may look ahead, since that could not be tested."""
    return [
        f"Not checked whether {some(names)} looks ahead, which the task does not allow: {why}."
        for why, names in _names_by(document, "ahead_unknown").items()
    ]


def _padding(document: Document) -> list[str]:
    """Models whose answers change with padding, or may do so."""
    cases = {case["id"]: case for case in document["cases"]}
    changes: dict[str, float] = {}
    for trial in document.get("trials") or ():
        change = trial.get("padding_changes", 0)
        if change and trial["case"] in cases:
            name = case_name(cases[trial["case"]], document)
            changes[name] = max(changes.get(name, 0), change)
    lines = [
        f"Not known whether the answers of {some(names)} change with padding: {why}."
        for why, names in _names_by(document, "padding_unknown").items()
    ]
    if changes:
        named = [
            f"{name} (by up to {change:.2g} times the largest answer)"
            for name, change in changes.items()
        ]
        lines.insert(
            0,
            f"Answers change with padding: {some(named)}. These figures depend on which sequences "
            "share a batch. Let the model's forward take lengths and ignore the padding, or train "
            "it with `train: {batches: one_length}`.",
        )
    return lines


def _names_by(
    document: Document, key: Literal["unchecked", "ahead_unknown", "padding_unknown"]
) -> dict[str, list[str]]:
    """The cases with trials that have a text under ``key``, by this text."""
    cases = {case["id"]: case for case in document["cases"]}
    found: dict[str, list[str]] = {}
    for trial in document.get("trials") or ():
        if trial.get(key) and trial["case"] in cases:
            names = found.setdefault(clean(trial[key]), [])
            name = case_name(cases[trial["case"]], document)
            if name not in names:
                names.append(name)
    return found


def _random(document: Document) -> list[str]:
    """Models that are random in evaluation mode."""
    cases = {case["id"]: case for case in document["cases"]}
    trials = [trial for trial in document.get("trials") or () if trial.get("random")]
    names = [case_name(cases[one["case"]], document) for one in trials if one["case"] in cases]
    if not names:
        return []
    return [
        f"Random in evaluation mode: {some(list(dict.fromkeys(names)))}. Each evaluation gives "
        "other answers, so figures of the same model differ."
    ]


def _answers_left_out(document: Document) -> list[str]:
    """Trials whose answers to the test split were not kept, because of the limit."""
    cases = {case["id"]: case for case in document["cases"]}
    found: dict[str, list[str]] = {}
    for trial in document.get("trials") or ():
        if trial.get("answers_reason") and trial["case"] in cases:
            name = f"{case_name(cases[trial['case']], document)} {trial_words(trial)}"
            found.setdefault(clean(trial["answers_reason"]), []).append(name)
    return [f"Test answers not kept, since {why}: {some(names)}." for why, names in found.items()]


def _same_start(document: Document) -> list[str]:
    """Models whose initial weights, and estimators whose answers, do not depend on the seed. With
    ``train.init_seed`` equal weights are what the suite asks for.
    """
    cases = {case["id"]: case for case in document["cases"]}
    starts: dict[tuple[str, str], list[str]] = {}
    for trial in document.get("trials") or ():
        if trial.get("initial") and trial["case"] in cases:
            # Equal seeds on two resamples start from the same weights.
            alike = trial["case"], resample_words(trial)
            starts.setdefault(alike, []).append(trial["initial"])
    same = [case for (case, _), found in starts.items() if len(set(found)) < len(found)]
    found = [cases[case] for case in dict.fromkeys(same)]
    lines = []
    alone = [case for case in by_gradient(found) if "init_seed" not in (case.get("train") or {})]
    if names := [case_name(case, document) for case in alone]:
        lines.append(
            f"Seeds started from the same weights: {some(names)}. The model does not draw its "
            "weights from torch's generator, so its seeds are not independent: its interval may be "
            "too narrow."
        )
    if names := [case_name(case, document) for case in found if is_estimator(case)]:
        lines.append(
            f"Seeds gave the same answers: {some(names)}. The estimator does not depend on the "
            "seed, so its interval says nothing about other training data."
        )
    return lines


def _unlike_resamples(document: Document) -> list[str]:
    """Datasets whose resamples differ in their shape, so that so do latency, memory and cost."""
    found: dict[str, list[str]] = {}
    for case in document["cases"]:
        resamples = case.get("resamples")
        if resamples and resamples["unlike"] and (case["latency"] or case["parameters"]):
            words = listed([name.replace("_", " ") for name in resamples["unlike"]])
            names = found.setdefault(words, [])
            if _dataset_of(case) not in names:
                names.append(_dataset_of(case))
    return [
        f"The resamples of {some([clean(name) for name in names])} differ in {words}: latency, "
        "memory and cost are those of the first resample only."
        for words, names in found.items()
    ]


def _unstable(document: Document) -> list[str]:
    """Timings whose calls vary widely, and those without a steady state before them."""
    lines = []
    measured = document.get("measure") or {}
    what = "timings" if measured.get("training") else "latency"
    unstable = _timed_with(document, lambda entry: bool(entry.get("unstable")))
    if unstable:
        lines.append(
            f"Unstable {what}: {some(unstable)}: the interquartile range of the calls exceeds "
            f"{100 * UNSTABLE_SPREAD:g} % of their median. Close other programs, or raise "
            f"{_keys_of_timing(document, 'budget')}, and run again."
        )
    unsteady = _timed_with(document, lambda entry: entry.get("steady") is False)
    if unsteady:
        lines.append(
            f"Not steady when timing began: {some(unsteady)}: calls were still getting faster or "
            "slower at the end of the warm-up. "
            f"Raise {_keys_of_timing(document, 'warm_up')}."
        )
    return lines


def _keys_of_timing(document: Document, name: str) -> str:
    """``measure.latency.budget``, or where the suite times training steps too, both keys."""
    measure = document.get("measure") or {}
    kinds = [kind for kind in ("latency", "training") if measure.get(kind)] or ["latency"]
    return " or ".join(f"measure.{kind}.{name}" for kind in kinds)


def _timed_with(document: Document, condition: Callable[[Mapping[str, Any]], bool]) -> list[str]:
    """The cases with timings that meet a condition, each with these timings."""
    found = []
    for case in document["cases"]:
        places = [_place(entry, case) for entry in case["latency"] if condition(entry)]
        places += ["step" for entry in case.get("step") or () if condition(entry)]
        training_step = case.get("training_step")
        if training_step and condition(training_step):
            places.append("training step")
        if places:
            found.append(f"{case_name(case, document)} ({some(places, '; ')})")
    return found


def _place(entry: Mapping[str, Any], case: Case) -> str:
    """Where a latency was measured: ``batch 64, 2 threads``."""
    named = named_settings([case], latency_settings([case]))
    return setting_words(measurement_settings(entry), named)


def _imprecise(document: Document) -> list[str]:
    """Cases whose timings did not reach the requested precision."""

    def latencies(case: Case) -> dict[str, Mapping[str, Any]]:
        return {_place(entry, case): entry for entry in case["latency"]}

    def steps(case: Case) -> dict[str, Mapping[str, Any]]:
        entry = case.get("training_step")
        return {f"batch {entry['batch_size']}": entry} if entry else {}

    lines = _imprecise_in(document, "latency", "Latency", latencies)
    if training_requested(document):
        lines += _imprecise_in(document, "training", "Training steps", steps)
    return lines


def _imprecise_in(
    document: Document,
    key: str,
    topic: str,
    timings: Callable[[Case], Mapping[str, Mapping[str, Any]]],
) -> list[str]:
    """A line about the timings of one kind that are not precise.

    Args:
        key: of the suite's ``measure``.
        timings: of a case, by where they were measured.
    """
    precision = ((document.get("measure") or {}).get(key) or {}).get("precision")
    worst = {}
    for case in document["cases"]:
        widths = {
            place: (entry["high_s"] - entry["low_s"]) / 2 / entry["median_s"]
            for place, entry in timings(case).items()
            if entry.get("precise") is False and entry["low_s"] is not None
        }
        if widths:
            place = max(widths, key=widths.__getitem__)
            most = "up to " if len(widths) > 1 else ""
            shown = percent_beside(widths[place], precision or 0.0)
            width = f"{most}±{shown} % at {place}"
            worst[f"{case_name(case, document)} ({width})"] = widths[place]
    if not worst or precision is None:
        return []
    named = sorted(worst, key=lambda name: -worst[name])
    return [
        f"{topic} did not reach ±{100 * precision:g} % within the time budget: {some(named)}. "
        f"Raise measure.{key}.budget, relax measure.{key}.precision, or close other programs."
    ]


def _too_many_threads(document: Document) -> list[str]:
    """Latencies with more threads than the machine has cores."""
    cores = (document["environment"] or {}).get("cores")
    if not cores:
        return []
    found = {
        entry["threads"]
        for case in document["cases"]
        for entry in case["latency"]
        if _shares_cores(case["device"]) and entry["threads"] > cores
    }
    return [
        f"Latency on {threads} threads: this machine has {counted(cores, 'core')}; "
        "`threads: all` uses one thread per core."
        for threads in sorted(found)
    ]


def _shares_cores(device: str) -> bool:
    """Whether jobs on this device occupy CPU cores; False for an unknown kind of device."""
    return is_device_name(device) and device_for(device).shares_cores


def _disturbed(document: Document) -> list[str]:
    """That another run was timing at the same time."""
    line = (
        "Another seqbench run was timing on this machine at the same time, which distorts the "
        "latency of both. Run them one after the other."
    )
    return [line] if document["environment"].get("disturbed") else []


def _noisy_machine(document: Document) -> list[str]:
    """That the machine, right before timing, was too noisy for the requested precision."""
    doctor = document["environment"].get("doctor")
    noise = doctor["noise"] if doctor else None
    measure = document.get("measure") or {}
    wanted = [(measure.get(kind) or {}).get("precision") for kind in ("latency", "training")]
    precision = min((one for one in wanted if one is not None), default=None)
    if noise is None or precision is None or noise <= precision:
        return []
    what = "latency" if measure.get("latency") else "training steps"
    return [
        f"The machine was too noisy to measure {what} to ±{100 * precision:g} %: a repeated "
        f"computation varied by ±{percent_beside(noise, precision)} %. "
        "Remedies: `seqbench devices --check`"
    ]


def _graph_breaks(document: Document) -> list[str]:
    """Models that a runtime ran partly in eager mode."""
    names: dict[str, list[str]] = {}
    for case in document["cases"]:
        for runtime in dict.fromkeys(
            e["runtime"] for e in case["latency"] if e.get("graph_breaks")
        ):
            names.setdefault(clean(runtime), []).append(case_name(case, document))
    return [
        f"Runtime {runtime} ran part of {some(who)} in eager mode (graph breaks), so its figures "
        "are those of a partly compiled model."
        for runtime, who in names.items()
    ]


def _slow_kernels(document: Document) -> list[str]:
    """What makes models slower than necessary; models with the same warning share a line."""
    names: dict[str, list[str]] = {}
    for case in document["cases"]:
        for warning in case.get("warnings", ()):
            names.setdefault(clean(warning), []).append(case_name(case, document))
    return [f"{', '.join(who)}: {warning}." for warning, who in names.items()]
