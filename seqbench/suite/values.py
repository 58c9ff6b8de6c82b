"""The types of values in a suite: durations, sizes, fractions, seeds, devices, runtimes."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from seqbench.devices.registry import AUTO, is_device_name, names_pattern, unknown_device
from seqbench.errors import UnknownName
from seqbench.plugins.registry import Registry
from seqbench.quantities import Quantity
from seqbench.records import AS_DATA
from seqbench.suggest import did_you_mean, nearest
from seqbench.suite.messages import unknown_name
from seqbench.suite.optimizers import Method
from seqbench.suite.runtimes import name_in_records, recorded_runtime
from seqbench.suite.strict_yaml import described, shown
from seqbench.suite.target import PATTERN, Target
from seqbench.types import NAME

MAX_SEEDS = 100_000

MAX_SECONDS = 480 * 3600.0

MAX_THREADS = 1024

MAX_SIZE = 1_000_000

DURATION = re.compile(
    r"(?:(\d{1,6}(?:\.\d{1,9})?) ?h ?)?(?:(\d{1,6}(?:\.\d{1,9})?) ?m ?)?"
    r"(?:(\d{1,9}(?:\.\d{1,9})?) ?s ?)?(?:(\d{1,9}(?:\.\d{1,9})?) ?ms)?"
)

SIZE_UNITS = {
    "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip

SIZE = re.compile(rf"(\d{{1,15}}(?:\.\d{{1,9}})?)\s*({'|'.join(SIZE_UNITS)})?", re.IGNORECASE)

COUNT_UNITS = {"k": 1e3, "M": 1e6, "G": 1e9}

COUNT = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*(k|M|G)?")

MAX_COUNT = 10**15

LEAST_MEMORY = 2**30

PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)\s*%")

POINTS = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)\s*pp")

DURATION_UNITS = (3600.0, 60.0, 1.0, 0.001)


def refuse(message: str, hint: str = "") -> NoReturn:
    """Raise a validation error with message and hint."""
    # Pydantic would take braces in a message for placeholders.
    raise PydanticCustomError("suite", "{message}", {"message": message, "hint": hint})


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            refuse(f"duplicate value {shown(value)}")
        seen.add(value)
    return values


def _seconds(value: Any) -> float:
    """Seconds, from ``30m``, ``1h30m``, ``500ms`` or a number of seconds."""
    hint = "as in 30m, 10s, 1h30m, 500ms, or a number of seconds"
    if isinstance(value, str) and (parts := DURATION.fullmatch(value.strip())) and value.strip():
        amounts = zip(parts.groups("0"), DURATION_UNITS, strict=True)
        seconds = sum(float(amount) * unit for amount, unit in amounts)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    else:
        refuse(f"must be a duration, not {described(value)}", hint)
    if not 0 < seconds <= MAX_SECONDS:
        which = "longer than zero" if seconds <= 0 else f"at most {MAX_SECONDS / 3600:g}h"
        refuse(f"must be {which}, not {shown(value)}")
    return seconds


def _size_in_bytes(value: Any) -> int | None:
    """Bytes, from ``8GiB``, ``500MB`` or a number of bytes; None if it is neither."""
    if isinstance(value, str) and (parts := SIZE.fullmatch(value.strip())):
        unit = (parts[2] or "B").lower()
        return round(float(parts[1]) * {name.lower(): n for name, n in SIZE_UNITS.items()}[unit])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _bytes(value: Any) -> int:
    hint = "as in 8GiB, 1500MB, or a number of bytes"
    size = _size_in_bytes(value)
    if size is None:
        refuse(f"must be an amount of memory, not {described(value)}", hint)
    if not LEAST_MEMORY <= size <= 2**60:
        refuse(f"must be at least {LEAST_MEMORY >> 30} GiB: torch alone needs most of it", hint)
    return size


def _count(value: Any) -> int:
    """A whole number, from ``64k`` (64,000), ``1.5M`` or a number."""
    hint = "as in 64k (64,000), 1.5M, 2G, or a whole number"
    number = value
    if isinstance(value, str) and (parts := COUNT.fullmatch(value.strip())):
        number = round(float(parts[1]) * COUNT_UNITS.get(parts[2], 1))
    if isinstance(number, bool) or not isinstance(number, int):
        refuse(f"must be a number, not {described(value)}", hint)
    if not 1 <= number <= MAX_COUNT:
        refuse(f"must be from 1 to {MAX_COUNT:,}, not {shown(value)}")
    return number


def _state_size(value: Any) -> int:
    """Bytes, from ``2KiB``, ``512B``, ``2k`` or a number."""
    size = _size_in_bytes(value) if isinstance(value, str) else None
    return _count(value if size is None else size)


def _answer_size(value: Any) -> int | str:
    """``all``, ``none``, or a size in bytes."""
    if value in ("all", "none"):
        return str(value)
    size, hint = _size_in_bytes(value), "as in 100MB, or a number of bytes"
    if size is None:
        refuse(f"must be all, none or a size, not {described(value)}", hint)
    if not 1 <= size <= 2**60:
        refuse(f"must be all, none or a size from 1 byte on, not {shown(value)}", hint)
    return size


def _seeds(value: Any) -> Any:
    """A tuple of seeds; ``3`` means the seeds 0, 1 and 2."""
    if isinstance(value, bool) or not isinstance(value, (int, list, tuple)):
        refuse(f"must be a whole number or a list of whole numbers, not {described(value)}")
    if isinstance(value, int):
        if not 1 <= value <= MAX_SEEDS:
            refuse(f"must be from 1 to {MAX_SEEDS:,}, not {shown(value)}")
        return tuple(range(value))
    return tuple(value)


def _device(value: str) -> str:
    if value != AUTO and not is_device_name(value):
        refuse(unknown_device(value))
    return value


def _one_or_list(value: Any) -> Any:
    """A tuple of items, from a list or a single item."""
    if isinstance(value, (int, str)):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _thread_count(value: Any) -> int | str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value == "all" or (whole and 1 <= value <= MAX_THREADS):
        return value  # type: ignore[no-any-return]
    refuse(f"must be a whole number from 1 to {MAX_THREADS:,}, or all, not {shown(value)}")


def _runtime(value: str, info: ValidationInfo) -> str:
    """The runtime's name in records. ``info.context``: the registry of plugins."""
    registry = info.context or Registry()
    try:
        return name_in_records(value, registry)
    except UnknownName as error:
        refuse(unknown_name(error, value))


def _distinct_runtimes(values: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Refuse duplicates: names with and without distribution mean the same runtime."""
    registry = info.context or Registry()
    seen: set[str] = set()
    for value in values:
        name = recorded_runtime(value, registry).qualified_name
        if name in seen:
            refuse(f"duplicate value {shown(value)}")
        seen.add(name)
    return values


def _share(value: Any) -> Any:
    """A fraction, from ``2%`` or ``0.02``."""
    if isinstance(value, str) and (number := PERCENT.fullmatch(value.strip())):
        value = float(number[1]) / 100
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        refuse(f"must be a fraction, not {described(value)}", "as in 2% or 0.02")
    if not 0 < value < 1:
        refuse(f"must be more than 0 and less than 1 (100%), not {shown(value)}")
    return float(value)


def _points(value: Any) -> Any:
    """A difference of fractions, from ``0.5pp`` (percentage points)."""
    hint = "as in 0.5pp (percentage points)"
    number = POINTS.fullmatch(value.strip()) if isinstance(value, str) else None
    if number is None:  # a bare 0.5 could mean half a point, or 50
        refuse(f"must be a difference in percentage points, not {described(value)}", hint)
    points = float(number[1])
    if not 0 < points < 100:
        refuse(f"must be more than 0pp and less than 100pp, not {shown(value)}", hint)
    return points / 100


def metric_margin(value: Any) -> dict[str, float]:
    """The margin of a metric of a plugin on its scale: ``1pp`` is a difference of fractions, ``5%``
    a ratio of errors, and a plain number a difference.
    """
    if isinstance(value, str) and POINTS.fullmatch(value.strip()):
        return {"difference": _points(value)}
    if isinstance(value, str):
        return {"ratio": 1 + _share(value)}
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        hint = "as in 1pp for a fraction, 5% for an error, or 0.01 for other metrics"
        refuse(f"must be a difference, not {described(value)}", hint)
    return {"difference": float(value)}


def margin_scale(metric: Quantity) -> tuple[str, str]:
    """The scale of the margin of a metric, and an example of one."""
    if metric.share:
        return "difference", "1pp"
    return ("difference", "0.01") if metric.higher_is_better else ("ratio", "5%")


def _target(value: Any) -> Any:
    if value is None:
        return None
    try:
        return Target.parse(value)
    except ValueError as error:
        refuse(*error.args)


def _one_line(value: str) -> str:
    if not value.strip() or not value.isprintable() or len(value) > 80:
        refuse("must be one line of 1 to 80 printable characters")
    return value


def folder_name(value: str) -> str:
    if not NAME.fullmatch(value):
        refuse(f"{shown(value)} is not a valid name", "use letters, digits, '_', '.' and '-'")
    if value == "reference":
        refuse("'reference' is reserved for the reference results", "choose another name")
    return value


def _any_of(*schemas: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": list(schemas)})


Duration = Annotated[
    float,
    BeforeValidator(_seconds),
    _any_of(
        {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_SECONDS},
        {
            "type": "string",
            "pattern": r"^(?=.)(\d+(\.\d+)?h)?(\d+(\.\d+)?m)?(\d+(\.\d+)?s)?(\d+(\.\d+)?ms)?$",
        },
    ),
]

Size = Annotated[
    int,
    BeforeValidator(_bytes),
    _any_of(
        {"type": "integer", "minimum": LEAST_MEMORY},
        {"type": "string", "pattern": rf"^\s*{SIZE.pattern}\s*$"},
    ),
]

Count = Annotated[
    int,
    BeforeValidator(_count),
    _any_of(
        {"type": "integer", "minimum": 1, "maximum": MAX_COUNT},
        {"type": "string", "pattern": rf"^\s*{COUNT.pattern}\s*$"},
    ),
]

StateSize = Annotated[
    int,
    BeforeValidator(_state_size),
    _any_of(
        {"type": "integer", "minimum": 1, "maximum": MAX_COUNT},
        {"type": "string", "pattern": rf"^\s*({COUNT.pattern}|{SIZE.pattern})\s*$"},
    ),
]

AnswerSize = Annotated[
    int | Literal["all", "none"],
    BeforeValidator(_answer_size),
    _any_of(
        {"enum": ["all", "none"]},
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": rf"^\s*{SIZE.pattern}\s*$"},
    ),
]

Number = Annotated[float, Field(allow_inf_nan=False)]

Positive = Annotated[int, Field(ge=1, le=MAX_SIZE)]

_SIZE = {"type": "integer", "minimum": 1, "maximum": MAX_SIZE}

Sizes = Annotated[
    tuple[Positive, ...],
    BeforeValidator(_one_or_list),
    AfterValidator(distinct),
    Field(max_length=20),
    _any_of(_SIZE, {"type": "array", "items": _SIZE, "maxItems": 20, "uniqueItems": True}),
]


def _length(value: Any) -> int | str:
    """A number of steps, or ``as_data``."""
    if value == AS_DATA:
        return AS_DATA
    if not isinstance(value, int) or isinstance(value, bool):
        near = isinstance(value, str) and nearest(value, [AS_DATA])
        hint = did_you_mean(AS_DATA) if near else ""
        refuse(f"must be a whole number or {AS_DATA}, not {described(value)}", hint)
    if not 1 <= value <= MAX_SIZE:
        limit = "at least 1" if value < 1 else f"at most {MAX_SIZE:,}"
        refuse(f"must be {limit}, not {shown(value)}")
    return value


StepNumbers = Annotated[
    tuple[Annotated[Any, AfterValidator(_length)], ...],
    BeforeValidator(_one_or_list),
    AfterValidator(distinct),
    Field(max_length=20),
]

_LENGTH = {"anyOf": [_SIZE, {"enum": [AS_DATA]}]}

#: Sequence lengths: a list, or ``{only: [5]}``.
LENGTHS = {
    "anyOf": [
        _LENGTH,
        {"type": "array", "items": _LENGTH, "maxItems": 20, "uniqueItems": True},
        {
            "type": "object",
            "properties": {
                name: {
                    "anyOf": [_LENGTH, {"type": "array", "items": _LENGTH, "maxItems": 20,
                                        "minItems": least, "uniqueItems": True}],
                }
                for name, least in (("also", 0), ("only", 1))
            },
            "additionalProperties": False,
            "maxProperties": 1,
        },
    ]
}  # fmt: skip

_THREADS = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_THREADS}, {"const": "all"}]}

Threads = Annotated[
    tuple[Annotated[Any, AfterValidator(_thread_count)], ...],
    BeforeValidator(_one_or_list),
    AfterValidator(distinct),
    Field(min_length=1, max_length=20),
    _any_of(_THREADS, {"type": "array", "items": _THREADS, "minItems": 1, "uniqueItems": True}),
]

#: :mod:`seqbench.suite.json_schema` adds the available names.
_RUNTIME = {"type": "string"}

Runtimes = Annotated[
    tuple[Annotated[str, AfterValidator(_runtime)], ...],
    BeforeValidator(_one_or_list),
    AfterValidator(_distinct_runtimes),
    Field(min_length=1),
    _any_of(_RUNTIME, {"type": "array", "items": _RUNTIME, "minItems": 1, "uniqueItems": True}),
]

Share = Annotated[
    float,
    BeforeValidator(_share),
    _any_of({"type": "number"}, {"type": "string", "pattern": f"^{PERCENT.pattern}$"}),
]

Points = Annotated[
    float,
    BeforeValidator(_points),
    WithJsonSchema({"type": "string", "pattern": f"^{POINTS.pattern}$"}),
]

MetricMargin = Annotated[
    dict[str, float],
    BeforeValidator(metric_margin),
    WithJsonSchema({"type": ["string", "number"]}),
]

Line = Annotated[str, AfterValidator(_one_line)]

Seed = Annotated[int, Field(ge=0, lt=2**32)]

_SEEDS: tuple[dict[str, Any], ...] = (
    {"type": "integer", "minimum": 1, "maximum": MAX_SEEDS},
    {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
        "minItems": 1,
        "uniqueItems": True,
    },
)

_BOTH_SEEDS = {
    "type": "object",
    "properties": {name: {"anyOf": list(_SEEDS)} for name in ("init", "data")},
    "required": ["init", "data"],
    "additionalProperties": False,
}

Seeds = Annotated[
    tuple[Seed, ...],
    BeforeValidator(_seeds),
    AfterValidator(distinct),
    Field(min_length=1),
    _any_of(*_SEEDS, _BOTH_SEEDS),
]

_DEVICE = {"type": "string", "pattern": f"^({names_pattern()})$"}

Devices = Annotated[
    tuple[Annotated[str, AfterValidator(_device)], ...],
    BeforeValidator(_one_or_list),
    AfterValidator(distinct),
    Field(min_length=1),
    _any_of(_DEVICE, {"type": "array", "items": _DEVICE, "minItems": 1, "uniqueItems": True}),
]

TargetField = Annotated[
    InstanceOf[Target] | None,
    BeforeValidator(_target),
    _any_of({"type": "string", "pattern": PATTERN}, {"type": "null"}),
]

MethodField = Annotated[InstanceOf[Method], WithJsonSchema({})]
