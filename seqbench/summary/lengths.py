"""Growth of memory, multiply-accumulates and latency with the length of the sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqbench.quantities import find
from seqbench.records import AS_DATA, Measurement
from seqbench.stats.growth import growth_exponent, growth_interval

#: Settings that latencies of different lengths must share to be fitted together.
SETTINGS = ("batch_size", "threads", "runtime")

#: If passes differ by more than this fraction of the figure, no exponent is fitted.
ROUGH = 0.25


def own(found: Sequence[Measurement]) -> int | None:
    """The dataset's own length, which is measured first; None for runs that did not record it."""
    return next((m.settings["length"] for m in found if _has_length(m)), None)


def at_own(found: Sequence[Measurement]) -> list[Measurement]:
    """The successful measurements at the dataset's own length.

    Runs that did not record a length measured at the dataset's own.
    """
    length = own(found)
    return [m for m in found if m.status == "ok" and m.settings.get("length", length) == length]


def at_each(found: Sequence[Measurement]) -> list[dict[str, Any]]:
    """The figures at each length, shortest first.

    Each has ``length``, ``macs``, and for ``inference`` and ``training`` the total bytes and the
    working memory; None where unavailable.
    """
    good = [m for m in found if m.status == "ok" and _has_length(m)]
    lengths = sorted({m.settings["length"] for m in good})
    return [
        _entry(length, [m for m in good if m.settings["length"] == length]) for length in lengths
    ]


def exponents(found: Sequence[Measurement]) -> dict[str, Any]:
    """The exponents of each figure over the length (see :func:`.growth_exponent`).

    For memory, that of the working memory, since parameters do not grow. None with a single length,
    or if passes differ too much. ``latency`` is a list with one entry for each setting, with its
    interval.
    """
    good = [m for m in found if m.status == "ok" and _has_length(m)]
    fitted: dict[str, Any] = {"latency": _latency(found)}
    fitted |= {"macs": _exponent([m for m in good if m.quantity == "macs"], "macs")}
    for mode in ("inference", "training"):
        memory = [m for m in good if m.quantity == "memory" and m.settings["mode"] == mode]
        rough = any(_rough(m.values) for m in memory)
        fitted[f"memory_{mode}"] = None if rough else _exponent(memory, "working")
    return fitted


def _latency(found: Sequence[Measurement]) -> list[dict[str, Any]]:
    """The exponents of latency: one fit for each process, from its medians.

    Latency with lengths as in the data belongs to no single length.
    """
    alike: dict[tuple[Any, ...], list[Measurement]] = {}
    for one in found:
        at_length = one.settings.get("length", AS_DATA) != AS_DATA
        if one.quantity == "latency" and one.status == "ok" and at_length:
            alike.setdefault(tuple(one.settings[name] for name in SETTINGS), []).append(one)
    fitted = []
    for key, group in alike.items():
        if not all("process_medians_s" in one.values for one in group):
            continue  # a run from before they were recorded
        medians = zip(*(one.values["process_medians_s"] for one in group), strict=True)
        lengths = [one.settings["length"] for one in group]
        interval = growth_interval(lengths, [list(each) for each in medians])
        if interval:
            fitted.append({**dict(zip(SETTINGS, key, strict=True)), **interval})
    return fitted


def _has_length(measurement: Measurement) -> bool:
    return bool(find(measurement.quantity).growth) and "length" in measurement.settings


def _entry(length: int, found: Sequence[Measurement]) -> dict[str, Any]:
    modes = {m.settings["mode"]: m.values for m in found if m.quantity == "memory"}
    macs = [m.values["macs"] for m in found if m.quantity == "macs"]
    entry: dict[str, Any] = {"length": length, "macs": macs[0] if macs else None}
    for mode in ("inference", "training"):
        values = modes.get(mode, {})
        entry[f"{mode}_bytes"] = values.get("total")
        entry[f"{mode}_working_bytes"] = values.get("working")
    return entry


def _exponent(found: Sequence[Measurement], name: str) -> float | None:
    return growth_exponent([m.settings["length"] for m in found], [m.values[name] for m in found])


def _rough(memory: Mapping[str, Any]) -> bool:
    spread = memory["high"] - memory["low"]
    return bool(memory["lower_bound"] or spread > ROUGH * memory["working"])
