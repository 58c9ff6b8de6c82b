"""What would settle a comparison: how many seeds, and how long they take."""

from __future__ import annotations

from statistics import fmean

from seqbench.devices.registry import device_for, is_device_name
from seqbench.report import numbers
from seqbench.report.columns.column import Document
from seqbench.report.text import label
from seqbench.report.verdict.standing import Rival, Standing
from seqbench.stats.welch import LEAST_SEEDS

#: More seeds than this are not proposed: such a difference rarely matters.
MOST_SEEDS = 30

#: Time of a contest for each second of its budget: processes start and warm up.
AROUND_A_CONTEST = 1.3


def seeds_to_settle(found: Standing) -> int | None:
    """The number of seeds that would probably distinguish one more case from the leader; None if it
    would take too many, or if there is nothing to distinguish.
    """
    if found.those("too few"):
        return LEAST_SEEDS
    easiest = _easiest(found)
    needed = easiest.needed if easiest else None
    return needed if needed and needed <= MOST_SEEDS else None


def settled_by(found: Standing, document: Document) -> str:
    """A sentence on what would distinguish more cases from the leader; may be empty."""
    seeds = seeds_to_settle(found)
    if found.those("too few"):
        return f"It takes at least {LEAST_SEEDS} seeds{_time(LEAST_SEEDS, document)}."
    if not found.those("undecided"):
        return ""
    easiest = _easiest(found)
    if easiest is None:
        return "It would take more than 1,000 seeds: treat them as equal."
    if seeds is None:
        return f"It would take about {easiest.needed:,} seeds: treat them as equal."
    pair = f"{label(found.leader)} from {label(easiest.case)}"
    return f"{seeds} seeds{_time(seeds, document)} would probably tell {pair}."


def _easiest(found: Standing) -> Rival | None:
    """The rival that the fewest seeds would distinguish; None if no number is known to."""
    known = [rival for rival in found.those("undecided") if rival.needed]
    return min(known, key=lambda rival: rival.needed or 0, default=None)


def _time(seeds: int, document: Document) -> str:
    """`` (about 9 min more)``; "" if it is unknown."""
    seconds = seconds_for(seeds, document)
    return f" (about {_rounded(seconds)} more)" if seconds else ""


def seconds_for(seeds: int, document: Document) -> float:
    """Estimated time to train every case with so many seeds, given those that have been trained,
    and to time all cases again.

    Trials on a CPU run in parallel on as many cores as the machine has, and on other devices one
    after the other.
    """
    total = 0.0
    cores = (document["environment"] or {}).get("cores") or 1
    taken: dict[str, list[float]] = {}
    for trial in document["trials"]:
        if trial["seconds"] and trial["status"] == "ok":
            taken.setdefault(trial["case"], []).append(trial["seconds"])
    for case in document["cases"]:
        times = taken.get(case["id"], [])
        more = seeds - sum(case["seeds"].values())
        if times and more > 0:
            total += fmean(times) * more / _at_once(case["device"], cores, case["train"])
    latency = (document.get("measure") or {}).get("latency") or {}
    again = AROUND_A_CONTEST * latency.get("budget", 0.0) * len(document["cases"])
    return total + again if total else 0.0


def _at_once(device: str, cores: int, train: object) -> int:
    threads = train.get("threads", 1) if isinstance(train, dict) else 1
    shared = is_device_name(device) and device_for(device).shares_cores
    return max(1, cores // threads) if shared else 1


def _rounded(seconds: float) -> str:
    """A duration without false precision: ``40 s``, ``9 min``, ``2 h 5 min``."""
    if seconds < 60:
        return f"{max(10, 10 * round(seconds / 10))} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return numbers.duration(60 * round(seconds / 60))
