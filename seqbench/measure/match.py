"""Solves the width of a model for a suite's ``match``, as a job of a worker."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from seqbench.errors import NotApplicable, PluginError, reason_of, status_of
from seqbench.measure.check_stepping import state_bytes
from seqbench.measure.cost import count_macs
from seqbench.measure.payloads import MatchPayload
from seqbench.measure.widths import (
    MOST_COUNTS,
    MOST_MISSES,
    MOST_WIDTH,
    TooLarge,
    WidthSearch,
)
from seqbench.plan.matching import NEAR, UNITS, Found, Sized, amount
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import load_object
from seqbench.plugins.provenance import check_unchanged
from seqbench.training.data import open_splits
from seqbench.training.model import build_model, parameter_count
from seqbench.training.prepared import PreparedSplits
from seqbench.training.stepping import can_step
from seqbench.workers.context import JobContext

#: Seconds after which the nearest width found so far counts.
MATCH_SECONDS = 240.0

#: Of each width whose latency is timed: seconds of warm-up and of timing, and calls at least.
WARM_UP_SECONDS, TIMED_SECONDS, LEAST_CALLS = 0.1, 0.4, 5

#: Bytes of a parameter: models are trained in single precision.
PARAMETER_BYTES = 4

#: A width whose quantity is off by more than this fraction is not used.
USABLE = 0.25


def solve_width(payload: MatchPayload, context: JobContext) -> dict[str, Any]:
    """Find the width of a model at which it is nearest to the wanted size.

    The model is built at each width that is tried, for the task of its dataset, and counted like a
    trained one: with embedding and readout.

    Returns:
        fields of :class:`.Found`.

    Raises:
        PluginError: the model's package has changed, its function cannot be found, or it fails at
            every width.
        NotApplicable: no width comes near it, the quantity cannot be counted, or models of that
            size do not fit into memory.
    """
    _refuse_too_large(payload)
    check_unchanged(payload.model)
    load_object(payload.model)  # a model that cannot be imported is not just too wide
    splits = open_splits(context.workspace.cache / payload.data)
    problems, sizes = dict[int, str](), dict[int, int]()

    def count(width: int) -> int | None:
        if predicted_bytes(sizes, width) > (payload.most_bytes or math.inf):
            refuse_out_of_reach(search.counts, width, payload)
            raise TooLarge
        params = {**payload.model.params, payload.parameter: width}
        model = _built(dataclasses.replace(payload.model, params=params), splits, problems, width)
        if model is None:
            return None
        sizes[width] = sum(each.nbytes for each in (*model.parameters(), *model.buffers()))
        try:
            return _counted(model, splits, payload)
        except NotApplicable as error:
            if not search.counts:
                raise
            problems[width] = str(error)  # it can be counted at other widths
            return None

    end = time.monotonic() + MATCH_SECONDS
    search = WidthSearch(
        count, payload.wanted, payload.start,
        lowest=math.ceil(max(1, payload.lowest or 1)),
        highest=math.floor(min(MOST_WIDTH, payload.highest or MOST_WIDTH)),
        stop=lambda: time.monotonic() > end,
    )  # fmt: skip
    search.run()
    if payload.quantity == "latency":
        _time_again(search)
    return asdict(found_by(search, payload, problems))


def _time_again(search: WidthSearch) -> None:
    """Time the width that was found once more, since the nearest of several timings is near by
    chance, too; if another one is nearer then, that one as well.
    """
    again: set[int] = set()
    while search.best is not None and search.best not in again:
        again.add(search.best)
        if found := search.count(search.best):
            search.counts[search.best] = found


def _refuse_too_large(payload: MatchPayload) -> None:
    """Raise NotApplicable if as many parameters as are wanted take too much memory, before any
    model is built.
    """
    needed, most = PARAMETER_BYTES * payload.wanted, payload.most_bytes
    if payload.quantity == "parameters" and most is not None and needed > most:
        raise NotApplicable(
            f"match: {payload.wanted:,} parameters take {needed / 2**30:,.1f} GiB of memory, and "
            f"their gradients as much again; at most {most / 2**30:,.1f} GiB are available for "
            "either"
        )


def predicted_bytes(sizes: Mapping[int, int], width: int) -> float:
    """What the weights of a model will take at a width that is not built yet.

    They are taken to grow with the square of the width, as those of a dense layer do; others grow
    more slowly.

    Args:
        sizes: bytes at the widths that were built.
    """
    nearest = max((built for built in sizes if built <= width), default=None)
    return 0.0 if nearest is None else sizes[nearest] * (width / nearest) ** 2


def refuse_out_of_reach(counts: Mapping[int, int], width: int, payload: MatchPayload) -> None:
    """Raise NotApplicable if not even a width that does not fit into memory would come near, which
    saves building all those up to it. As in :func:`predicted_bytes`, the quantity is taken to grow
    with the square of the width.
    """
    widest = max(counts, default=None)
    if widest is None or widest >= width:
        return
    if counts[widest] * (width / widest) ** 2 < (1 - USABLE) * payload.wanted:
        name, unit = payload.parameter, UNITS[payload.quantity]
        raise NotApplicable(
            f"match: no {name} comes near {_amount(payload, payload.wanted)} {unit}: "
            f"{name}={widest} has {_amount(payload, counts[widest])}; wider models do not fit into "
            "memory"
        )


def _built(
    choice: Choice, splits: PreparedSplits, problems: dict[int, str], width: int
) -> nn.Module | None:
    """The model, on the CPU; None after noting why it cannot have this width.

    Raises:
        TooLarge: it does not fit into memory.
    """
    torch.manual_seed(0)
    try:
        model = build_model(choice, splits.task)
        if any(map(is_lazy, model.parameters())):  # they get their shapes in the first call
            with torch.no_grad():
                model.eval()(_first(splits))
    except Exception as error:  # a width may be impossible: not a multiple of the heads
        if status_of(error) == "out_of_memory":
            raise TooLarge from None
        problems[width] = reason_of(error)
        return None
    return model


def _counted(model: nn.Module, splits: PreparedSplits, payload: MatchPayload) -> int:
    """The quantity of a model. Raises TooLarge, NotApplicable."""
    try:
        return COUNTS[payload.quantity](model, splits)
    except NotApplicable as error:
        raise NotApplicable(f"match: {error}") from error
    except Exception as error:
        if status_of(error) == "out_of_memory":
            raise TooLarge from None
        raise NotApplicable(
            f"match: {UNITS[payload.quantity]} of {payload.model.name} cannot be counted: "
            f"{reason_of(error)}"
        ) from error


def _first(splits: PreparedSplits) -> torch.Tensor:
    """The first test sequence, without padding: (1, time[, features])."""
    return splits.test.exactly(torch.arange(1), splits.task.length).inputs


def _parameters(model: nn.Module, splits: PreparedSplits) -> int:
    return parameter_count(model)


def _macs(model: nn.Module, splits: PreparedSplits) -> int:
    return count_macs(model, splits.task)


def _state_bytes(model: nn.Module, splits: PreparedSplits) -> int:
    if not can_step(model):
        raise NotApplicable("the model has no step method, so the size of its state is unknown")
    with torch.inference_mode():
        return state_bytes(model.eval(), _first(splits))


def _latency(model: nn.Module, splits: PreparedSplits) -> int:
    """The median time of a call with one sequence on one thread, as latency is timed."""
    inputs, threads = _first(splits), torch.get_num_threads()
    torch.set_num_threads(1)
    model.eval()
    took: list[int] = []
    with torch.inference_mode():
        for seconds, some in ((WARM_UP_SECONDS, []), (TIMED_SECONDS, took)):
            end = time.perf_counter() + seconds
            while time.perf_counter() < end or len(some) < LEAST_CALLS:
                started = time.perf_counter_ns()
                model(inputs)
                some.append(time.perf_counter_ns() - started)
    torch.set_num_threads(threads)
    return round(median(took))


#: How each quantity is counted: as in the measurements, so that the tables agree.
COUNTS: Mapping[str, Callable[[nn.Module, PreparedSplits], int]] = {
    "parameters": _parameters, "macs": _macs, "state_bytes": _state_bytes, "latency": _latency,
}  # fmt: skip


def found_by(search: WidthSearch, payload: MatchPayload, problems: Mapping[int, str]) -> Found:
    """The result of a search: the nearest width.

    Args:
        problems: why widths are impossible.

    Raises:
        PluginError: there is none. NotApplicable: none comes near.
    """

    def sized(width: int | None) -> Sized | None:
        return None if width is None else Sized(width, search.counts[width])

    name, unit = payload.parameter, UNITS[payload.quantity]
    best, below, above = map(sized, (search.best, search.below, search.above))
    if best is None:
        why = next(iter(problems.values()), "no model could be built in time, or in memory")
        at = next((f" (at {name}={width})" for width in problems), "")
        raise PluginError(f"match found no possible {name}: {why}{at}")
    off = abs(best.value - payload.wanted) / payload.wanted
    wanted = _amount(payload, payload.wanted)
    has = "takes" if payload.quantity == "latency" else "has"
    sizes = f"{name}={best.width} {has} {_amount(payload, best.value)} {unit}"
    remark = _remark(search, name) if off > NEAR else ""
    reason = ""
    if off > NEAR and below is None and search.ended and search.grows:
        reason = f"match: {wanted} {unit} are too few: its smallest possible {sizes}"
    elif off > USABLE:
        reason = f"match: no {name} comes near {wanted} {unit}: {sizes}"
    if reason:
        raise NotApplicable("; ".join(filter(None, [reason, remark])))
    return Found(best, below, above, remark=remark)


def _amount(payload: MatchPayload, value: int) -> str:
    return amount(payload.quantity, value)


def _remark(search: WidthSearch, name: str) -> str:
    """What may keep the search from a nearer width."""
    if len(set(search.counts.values())) == 1 and len(search.counts) > 1:
        return f"{name} does not change it"
    if not search.grows:
        return f"it does not grow steadily with {name}"
    if search.missed:
        return f"the search ended after {MOST_MISSES} impossible widths in a row"
    if not search.ended:
        count = len(search.counts)
        limit = f"{MOST_COUNTS} widths" if count >= MOST_COUNTS else f"{MATCH_SECONDS:.0f} s"
        return f"the search ended after {limit}"
    if search.too_large:
        return "wider models do not fit into memory"
    return ""
