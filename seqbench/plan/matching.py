"""Models of equal size: what a width is solved for, and what was found."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqbench.plan.labels import numbered
from seqbench.plugins.choice import to_json
from seqbench.records import Status, fingerprint

if TYPE_CHECKING:
    from seqbench.plan.cases import Case
    from seqbench.plan.expand import Plan
    from seqbench.types import ModelSpec

#: The largest deviation of a size without a warning, as a fraction.
NEAR = 0.02

#: The words for each quantity.
UNITS = {
    "parameters": "parameters", "macs": "MACs", "state_bytes": "bytes of state",
    "latency": "per call",
}  # fmt: skip

#: Latency is a whole number of these.
SECONDS = 1e-9


def amount(quantity: str, value: int) -> str:
    """``64,000``, or of a latency ``1.02 ms``."""
    if quantity != "latency":
        return f"{value:,}"
    milliseconds = 1e3 * value * SECONDS
    return f"{milliseconds:.3g} ms" if milliseconds >= 1 else f"{1e3 * milliseconds:.3g} µs"


@dataclass(frozen=True)
class Sized:
    """A width, and the quantity that was counted at it."""

    width: int
    value: int


@dataclass(frozen=True)
class Found:
    """What solving the width of a case found.

    Args:
        best: the width whose quantity is nearest; None if none is usable.
        below, above: the nearest on either side of what is wanted, among the widths tried.
        status: ``ok``; ``skipped`` if no width comes near enough; or how solving failed.
        reason: why, if not ``ok``.
        remark: what limits the result; usually empty.
    """

    best: Sized | None = None
    below: Sized | None = None
    above: Sized | None = None
    status: Status = "ok"
    reason: str = ""
    remark: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Found:
        """From plain data."""
        sizes = {n: Sized(**stored[n]) if stored[n] else None for n in ("best", "below", "above")}
        return cls(**{**stored, **sizes})


@dataclass(frozen=True)
class Matching:
    """The size that a case is to have, and by which parameter of its model.

    Args:
        start, lowest, highest: the default of the parameter, and its limits, if any. As the plugin
            declares them each time: they are not stored.
        found: None until the width is solved; then the model's parameter has it.
    """

    quantity: str
    wanted: int
    parameter: str
    start: int = 1
    lowest: float | None = None
    highest: float | None = None
    found: Found | None = None

    @classmethod
    def of(cls, quantity: str, wanted: int, spec: ModelSpec) -> Matching:
        """The size that a model is to have."""
        param = spec.parameters[spec.scale]
        limits = (param.default, param.minimum, param.maximum)
        return cls(quantity, wanted, spec.scale, *limits)

    @property
    def deviation(self) -> float:
        """How far the quantity is from what is wanted, as a fraction of that; 0 if unknown."""
        best = self.found.best if self.found else None
        return best.value / self.wanted - 1 if best else 0.0


def words_of(matching: Matching) -> str:
    """``parameters 64,000 → 63,842 (-0.2 %)``."""
    best = matching.found.best if matching.found else None
    assert best is not None
    off = percent_off(matching.deviation)
    wanted, value = (amount(matching.quantity, n) for n in (matching.wanted, best.value))
    return f"{matching.quantity} {wanted} → {value} ({off} %)"


def percent_off(deviation: float) -> str:
    """``-0.2``, never ``-0.0``."""
    return f"{round(100 * deviation, 1) or 0.0:+.1f}"


def sides_of(matching: Matching) -> str:
    """The widths on either side of what is wanted, and what limits the result, if anything."""
    found, name = matching.found, matching.parameter
    assert found is not None
    sides = [one for one in (found.below, found.above) if one is not None]
    quantity = matching.quantity
    gives = ", ".join(f"{name}={one.width} gives {amount(quantity, one.value)}" for one in sides)
    return "; ".join(filter(None, [gives, found.remark]))


def matching_key(case: Case) -> str:
    """What the width of a case depends on, as a fingerprint: neither its training nor its device.

    The resamples of a dataset have one key, since they share a row of the table.
    """
    assert case.matching is not None
    dataset = dict(case.dataset.params)
    if case.resample is not None:
        del dataset[case.resample.parameter]
    model = {**case.model.params, case.matching.parameter: None}
    wanted = [case.matching.quantity, case.matching.wanted, case.matching.parameter]
    chosen = [
        {**to_json(case.model), "params": model},
        {**to_json(case.dataset), "params": dataset},
    ]
    return fingerprint([*chosen, *wanted])


def open_cases(plan: Plan) -> list[Case]:
    """The cases whose width is not solved yet."""
    return [case for case in plan.cases if case.matching and case.matching.found is None]


def with_widths(plan: Plan, found: Mapping[str, Found]) -> Plan:
    """The plan with the widths that were found, in parameters, labels and ids.

    Args:
        found: by :func:`matching_key`; cases that it does not name stay as they are.
    """
    if not found:
        return plan
    open_ids = {case.id for case in open_cases(plan)}
    cases = []
    for case in plan.cases:
        if case.id in open_ids and (key := matching_key(case)) in found:
            case = _with_width(case, found[key])
        cases.append(case)
    return plan.with_cases(_with_unique_labels(cases))


def _with_width(case: Case, found: Found) -> Case:
    assert case.matching is not None
    matching = dataclasses.replace(case.matching, found=found)
    if found.best is None:
        return dataclasses.replace(case, matching=matching)
    name, width = matching.parameter, found.best.width
    model = dataclasses.replace(case.model, params={**case.model.params, name: width})
    label = f"{case.label} {name}={width}"
    return dataclasses.replace(case, matching=matching, model=model, label=label)


def _with_unique_labels(cases: Iterable[Case]) -> list[Case]:
    """A width may make a label equal to that of another case on its dataset and device."""
    found = list(cases)
    places: dict[tuple[str, str], list[int]] = {}
    for number, case in enumerate(found):
        places.setdefault((case.dataset_label, case.device), []).append(number)
    for numbers in places.values():
        labels = numbered([found[number].label for number in numbers])
        for number, label in zip(numbers, labels, strict=True):
            if found[number].label != label:
                found[number] = dataclasses.replace(found[number], label=label)
    return found
