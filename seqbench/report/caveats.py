"""What the reader must know before believing the figures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from seqbench.devices.registry import device_for, is_device_name
from seqbench.report.columns.column import Case, Document
from seqbench.report.columns.speed import latency_settings, measurement_settings, setting_words
from seqbench.report.names import case_name, some
from seqbench.report.text import clean, counted

HOW_ENDED = {
    "running": "is not finished",
    "interrupted": "was interrupted",
    "killed": "was killed",
    "damaged": "may not have come to its end (its run.json cannot be read)",
}


def how_to_go_on(document: Document) -> str:
    """The command; what was chosen for the run is taken over."""
    file = document.get("file") or "SUITE"
    return shlex.join(["seqbench", "run", str(file), "--resume", str(document["run"])])


def caveats(document: Document) -> list[str]:
    """What the reader must know before believing the figures."""
    lines = []
    if document["status"] != "finished":
        how = HOW_ENDED.get(document["status"], "did not come to its end")
        figures = ": the figures are of what had ended by then" if document["trials"] else ""
        lines.append(f"This run {how}{figures}.")
        if document["status"] != "running":
            lines[-1] += f" `{clean(how_to_go_on(document))}` goes on with it."
    if (missing := document.get("missing")) and document["status"] == "finished":
        lines.append(
            f"Of {counted(missing, 'trial')} there is no record: "
            f"`{clean(how_to_go_on(document))}` runs {'them' if missing != 1 else 'it'} again."
        )
    if unplanned := document.get("unplanned"):
        lines.append(
            f"{counted(unplanned, 'trial')} of an earlier plan of this run "
            f"{'are' if unplanned != 1 else 'is'} in its folder, and not shown."
        )
    edited = [case_name(case, document) for case in document["cases"] if case.get("edited")]
    if edited:
        lines.append(
            f"The source of a model was edited while the suite ran: {some(edited)} did not train "
            "with one and the same. --resume trains anew what is not of the source of now."
        )
    lines += _versions(document)
    shaky = [
        f"{case_name(case, document)} ({some(places, '; ')})"
        for case in document["cases"]
        if (places := [_place(e, case) for e in case["latency"] if e.get("unstable")])
    ]
    if shaky:
        lines.append(
            f"Unstable latency: {some(shaky)}: calls differ by more than 25 % of their median. "
            "Close other programs, or raise measure.latency.budget, and run again."
        )
    lines += [
        *_imprecise(document),
        *_too_many_threads(document),
        *_disturbed(document),
        *_noisy_machine(document),
        *_slow_kernels(document),
    ]
    return [*lines, *_graph_breaks(document)]


def _versions(document: Document) -> list[str]:
    """Rows that were trained with another version of their package than the plan was made with."""
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
    told = "; ".join(f"{some(names)} with {other}" for other, names in found.items())
    return [
        "Different versions of a package are held against each other, since it was installed anew "
        f"while the suite ran: {told}. --resume trains anew what is not of the version of now."
    ]


def _place(entry: Mapping[str, Any], case: Case) -> str:
    """Where a latency was measured: ``batch 64, 2 threads``."""
    return setting_words(measurement_settings(entry), latency_settings([case]))


def _imprecise(document: Document) -> list[str]:
    """The cases whose latency is not known as well as was asked for."""
    precision = ((document.get("measure") or {}).get("latency") or {}).get("precision")
    worst = {}
    for case in document["cases"]:
        entries: Sequence[Mapping[str, Any]] = case["latency"]
        widths = {
            _place(entry, case): (entry["high_s"] - entry["low_s"]) / 2 / entry["median_s"]
            for entry in entries
            if entry.get("precise") is False and entry["low_s"] is not None
        }
        if widths:
            place = max(widths, key=widths.__getitem__)
            most = "at most " if len(widths) > 1 else ""
            width = f"{most}±{100 * widths[place]:.1f} % at {place}"
            worst[f"{case_name(case, document)} ({width})"] = widths[place]
    if not worst or precision is None:
        return []
    named = sorted(worst, key=lambda name: -worst[name])
    return [
        f"The time ended before latency was known to ±{100 * precision:g} %: {some(named)}. "
        "Raise measure.latency.budget or precision, or close other programs."
    ]


def _too_many_threads(document: Document) -> list[str]:
    """Threads beyond the cores of the machine disturb each other."""
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
        "`threads: all` takes as many as there are."
        for threads in sorted(found)
    ]


def _shares_cores(device: str) -> bool:
    """Whether jobs on it occupy CPU cores; a run may come from a machine with other devices."""
    return is_device_name(device) and device_for(device).shares_cores


def _disturbed(document: Document) -> list[str]:
    line = (
        "Another run of seqbench was timing on this machine at the same time: the latency of both "
        "suffers. Run them one after the other."
    )
    return [line] if document["environment"].get("disturbed") else []


def _noisy_machine(document: Document) -> list[str]:
    """Whether the machine was too restless, just before, for the precision asked of latency."""
    doctor = document["environment"].get("doctor")
    noise = doctor["noise"] if doctor else None
    precision = ((document.get("measure") or {}).get("latency") or {}).get("precision")
    if noise is None or precision is None or noise <= precision:
        return []
    return [
        f"The machine was too noisy for latency to ±{100 * precision:g} %: the same computation "
        f"varied by ±{100 * noise:.1f} %. `seqbench devices --check` says what to do."
    ]


def _graph_breaks(document: Document) -> list[str]:
    """Which models a runtime left to eager mode in part."""
    names: dict[str, list[str]] = {}
    for case in document["cases"]:
        for runtime in dict.fromkeys(
            e["runtime"] for e in case["latency"] if e.get("graph_breaks")
        ):
            names.setdefault(clean(runtime), []).append(case_name(case, document))
    return [
        f"Runtime {runtime} leaves a part of {some(who)} to eager mode (graph breaks): its "
        "figures say nothing of that part."
        for runtime, who in names.items()
    ]


def _slow_kernels(document: Document) -> list[str]:
    """What makes models slower than they need be, once for each kind."""
    names: dict[str, list[str]] = {}
    for case in document["cases"]:
        for warning in case.get("warnings", ()):
            names.setdefault(clean(warning), []).append(case_name(case, document))
    return [f"{', '.join(who)}: {warning}." for warning, who in names.items()]
