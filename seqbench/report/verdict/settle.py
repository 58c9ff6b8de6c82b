"""What would settle a comparison: how many seeds, and how long they take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from statistics import fmean

from seqbench.devices.registry import device_for, is_device_name
from seqbench.report import numbers
from seqbench.report.columns.column import Document
from seqbench.report.text import command_line, counted, label
from seqbench.report.verdict.standing import Standing
from seqbench.stats.welch import LEAST_SEEDS

#: More seeds than this are not proposed: such a difference rarely matters.
MOST_SEEDS = 30

#: How resamples are added: the command would have to name the dataset's place in the suite.
ADD = "To add some, list more values of the dataset's seed in the suite and resume."

#: Seconds until torch is loaded and the first trial starts.
START = 5.0

#: In a contest, each process of a case takes about so many seconds to start and to warm up.
PROCESS_START = 0.7


@dataclass(frozen=True)
class Proposal:
    """What would show more.

    Args:
        text: a sentence; may be empty.
        seeds: the number of seeds to run; None if none is proposed, or resamples are.
    """

    text: str = ""
    seeds: int | None = None


def proposal_for(found: Standing) -> Proposal:
    """How many seeds, or resamples, may distinguish more cases from the leader.

    Of the cases that at most ``MOST_SEEDS`` seeds would distinguish, the number for the last one.
    """
    unit, pooled = f"{found.unit}s", found.unit != "seed"
    if found.those("too few"):
        text = f"A comparison takes at least {LEAST_SEEDS} {unit}."
        return Proposal(f"{text} {ADD}") if pooled else Proposal(text, LEAST_SEEDS)
    undecided = [r for r in found.those("undecided") if r.figure.value != found.figure.value]
    if not undecided:
        return Proposal()
    leader = label(found.leader)
    within = [r for r in undecided if r.needed is not None and r.needed <= MOST_SEEDS]
    if not within:
        rival = undecided[0]
        number = f"about {rival.needed:,}" if rival.needed else "more than 1,000"
        told = f"{leader} from {label(rival.case)}"
        if pooled and not rival.needed and rival.case["resamples"]["overlap"]:
            return Proposal(f"As the resamples overlap, more of them may not tell {told}.")
        return Proposal(f"To tell {told} may take {number} {unit}.")
    seeds = max(r.needed for r in within if r.needed is not None)
    if len(within) == 1:
        told = f"{leader} from {label(within[0].case)}"
    elif len(within) == len(undecided):
        told = f"{leader} from these"
    else:
        told = f"{leader} from {len(within)} of these"
    text = f"With {seeds} {unit} it may be possible to tell {told}."
    return Proposal(f"{text} {ADD}") if pooled else Proposal(text, seeds)


def seconds_for(seeds: int, document: Document) -> float | None:
    """Estimated time to train every case with so many seeds, given those that have been trained,
    and to time all cases again; None if it is unknown.

    Trials on a CPU run in parallel on as many cores as the machine has, and on other devices one
    after the other.
    """
    cores = (document["environment"] or {}).get("cores") or 1
    taken: dict[str, list[float]] = {}
    for trial in document["trials"]:
        if trial["seconds"] and trial["status"] == "ok":
            taken.setdefault(trial["case"], []).append(trial["seconds"])
    total = longest = 0.0
    for case in document["cases"]:
        times = taken.get(case["id"], [])
        more = seeds - sum(case["seeds"].values())
        if times and more > 0:
            total += fmean(times) * more / _at_once(case["device"], cores, case["train"])
            longest = max(longest, fmean(times))
    if not longest:
        return None
    measure = document.get("measure") or {}
    timing = 0.0
    for kind in ("latency", "training"):
        settings = measure.get(kind) or {}
        timing += settings.get("budget", 0.0) + PROCESS_START * settings.get("processes", 0)
    return float(START + max(total, longest) + timing * len(document["cases"]))


def _at_once(device: str, cores: int, train: object) -> int:
    threads = train.get("threads", 1) if isinstance(train, dict) else 1
    shared = is_device_name(device) and device_for(device).shares_cores
    return max(1, cores // threads) if shared else 1


def next_command(seeds: int, document: Document) -> str:
    """The command that adds seeds to the run, with a comment on how many and how long it takes."""
    known = sorted({trial["seed"] for trial in document["trials"]})
    more = max(0, seeds - len(known))
    if known == list(range(len(known))):
        option = ["--seeds", str(seeds)]
    else:
        option = ["--set", f"seeds={[*known, *range(known[-1] + 1, known[-1] + 1 + more)]}"]
    command = command_line(["seqbench", "run", "--resume", _short(document), *option])
    seconds = seconds_for(seeds, document)
    about = f", about {_rounded(seconds)}" if seconds else ""
    return f"{command} # {counted(more, 'more seed')} per case{about}"


def _short(document: Document) -> str:
    """The id of a run in the usual folder, else its path."""
    path = PurePath(document["run"])
    usual = path.parts[:-1] == ("results", document["suite"])
    return path.name.rpartition("-")[2] if usual else str(path)


def _rounded(seconds: float) -> str:
    """A duration without false precision: ``40 s``, ``9 min``, ``2 h 5 min``."""
    if seconds < 60:
        return f"{max(10, 10 * round(seconds / 10))} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return numbers.duration(60 * round(seconds / 60))
