"""What a suite consists of: its keys, their types and their defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from seqbench.suite.settings import OPTIMIZERS, SCHEDULES, Method, resolved
from seqbench.suite.target import PATTERN, Target
from seqbench.suite.yaml_source import described, shown
from seqbench.types import NAME

MAX_ENTRIES = 1_000
MAX_SEEDS = 100_000
MAX_SECONDS = 480 * 3600.0
MAX_THREADS = 1024
#: How a model can be run; seqbench.measure.cells has what each does.
RUNTIMES = ("eager", "compile")

DEVICE = re.compile(r"auto|cpu|mps|cuda(:(0|[1-9][0-9]{0,2}))?")
DURATION = re.compile(
    r"(?:(\d{1,6}(?:\.\d{1,9})?) ?h ?)?(?:(\d{1,6}(?:\.\d{1,9})?) ?m ?)?"
    r"(?:(\d{1,9}(?:\.\d{1,9})?) ?s ?)?(?:(\d{1,9}(?:\.\d{1,9})?) ?ms)?"
)
SIZE_UNITS = {
    "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
SIZE = re.compile(rf"(\d{{1,15}}(?:\.\d{{1,9}})?)\s*({'|'.join(SIZE_UNITS)})?", re.IGNORECASE)
LEAST_MEMORY = 2**30
PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)\s*%")
DURATION_UNITS = (3600.0, 60.0, 1.0, 0.001)


def _refuse(message: str, hint: str = "") -> NoReturn:
    """A problem in our own words; braces would be taken for placeholders."""
    raise PydanticCustomError("suite", "{message}", {"message": message, "hint": hint})


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            _refuse(f"{shown(value)} is given twice")
        seen.add(value)
    return values


def _seconds(value: Any) -> float:
    """A duration such as ``30m``, ``1h30m``, ``500ms`` or a number of seconds, in seconds."""
    hint = "as in 30m, 10s, 1h30m, 500ms, or a number of seconds"
    if isinstance(value, str) and (parts := DURATION.fullmatch(value.strip())) and value.strip():
        amounts = zip(parts.groups("0"), DURATION_UNITS, strict=True)
        seconds = sum(float(amount) * unit for amount, unit in amounts)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    else:
        _refuse(f"must be a duration, not {described(value)}", hint)
    if not 0 < seconds <= MAX_SECONDS:
        which = "longer than zero" if seconds <= 0 else f"at most {MAX_SECONDS / 3600:g}h"
        _refuse(f"must be {which}, not {shown(value)}")
    return seconds


def _bytes(value: Any) -> int:
    """An amount of memory such as ``8GiB``, ``500MB`` or a number of bytes."""
    hint = "as in 8GiB, 1500MB, or a number of bytes"
    if isinstance(value, str) and (parts := SIZE.fullmatch(value.strip())):
        unit = (parts[2] or "B").lower()
        value = round(float(parts[1]) * {name.lower(): n for name, n in SIZE_UNITS.items()}[unit])
    elif not isinstance(value, int) or isinstance(value, bool):
        _refuse(f"must be an amount of memory, not {described(value)}", hint)
    if not LEAST_MEMORY <= value <= 2**60:
        _refuse(f"must be at least {LEAST_MEMORY >> 30} GiB: torch alone takes most of it", hint)
    return int(value)


def _seeds(value: Any) -> Any:
    """``3`` stands for the seeds 0, 1 and 2."""
    if isinstance(value, bool) or not isinstance(value, (int, list, tuple)):
        _refuse(f"must be a whole number or a list of them, not {described(value)}")
    if isinstance(value, int):
        if not 1 <= value <= MAX_SEEDS:
            _refuse(f"must be from 1 to {MAX_SEEDS:,}, not {shown(value)}")
        return tuple(range(value))
    return tuple(value)


def _device(value: str) -> str:
    if not DEVICE.fullmatch(value):
        _refuse(
            f"{shown(value)} is no device", "there are: auto, cpu, mps, cuda, cuda:0, cuda:1, …"
        )
    return value


def _one_or_list(value: Any) -> Any:
    """A single item stands for a list of one."""
    if isinstance(value, (int, str)):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _thread_count(value: Any) -> int | str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value == "all" or (whole and 1 <= value <= MAX_THREADS):
        return value  # type: ignore[no-any-return]
    _refuse(f"must be a whole number from 1 to {MAX_THREADS:,}, or all, not {shown(value)}")


def _runtime(value: str) -> str:
    if value not in RUNTIMES:
        _refuse(f"{shown(value)} is no runtime", f"there are: {', '.join(RUNTIMES)}")
    return value


def _share(value: Any) -> Any:
    """``2%`` or ``0.02``, as a share of 1."""
    if isinstance(value, str) and (number := PERCENT.fullmatch(value.strip())):
        value = float(number[1]) / 100
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _refuse(f"must be a share, not {described(value)}", "as in 2% or 0.02")
    if not 0 < value < 1:
        _refuse(f"must be more than 0 and less than 1 (100%), not {shown(value)}")
    return float(value)


def _target(value: Any) -> Any:
    if value is None:
        return None
    try:
        return Target.parse(value)
    except ValueError as error:
        _refuse(*error.args)


def _one_line(value: str) -> str:
    if not value.strip() or not value.isprintable() or len(value) > 80:
        _refuse("must be one line of 1 to 80 printable characters")
    return value


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        _refuse(f"{shown(value)} cannot name a folder", "use letters, digits, '_', '.' and '-'")
    if value == "reference":
        _refuse("'reference' is the folder of the reference results", "choose another name")
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
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[int, Field(ge=1, le=1_000_000)]
_SIZE = {"type": "integer", "minimum": 1, "maximum": 1_000_000}
Sizes = Annotated[
    tuple[Positive, ...],
    BeforeValidator(_one_or_list),
    AfterValidator(_distinct),
    Field(max_length=20),
    _any_of(_SIZE, {"type": "array", "items": _SIZE, "maxItems": 20, "uniqueItems": True}),
]
_THREADS = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_THREADS}, {"const": "all"}]}
Threads = Annotated[
    tuple[Annotated[Any, AfterValidator(_thread_count)], ...],
    BeforeValidator(_one_or_list),
    AfterValidator(_distinct),
    Field(min_length=1, max_length=20),
    _any_of(_THREADS, {"type": "array", "items": _THREADS, "minItems": 1, "uniqueItems": True}),
]
_RUNTIME = {"enum": list(RUNTIMES)}
Runtimes = Annotated[
    tuple[Annotated[str, AfterValidator(_runtime)], ...],
    BeforeValidator(_one_or_list),
    AfterValidator(_distinct),
    Field(min_length=1),
    _any_of(_RUNTIME, {"type": "array", "items": _RUNTIME, "minItems": 1, "uniqueItems": True}),
]
Share = Annotated[
    float,
    BeforeValidator(_share),
    _any_of({"type": "number"}, {"type": "string", "pattern": f"^{PERCENT.pattern}$"}),
]
Line = Annotated[str, AfterValidator(_one_line)]
Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=2**32)], ...],
    BeforeValidator(_seeds),
    AfterValidator(_distinct),
    Field(min_length=1),
    _any_of(
        {"type": "integer", "minimum": 1, "maximum": MAX_SEEDS},
        {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
            "minItems": 1,
            "uniqueItems": True,
        },
    ),
]
_DEVICE = {"type": "string", "pattern": f"^({DEVICE.pattern})$"}
Devices = Annotated[
    tuple[Annotated[str, AfterValidator(_device)], ...],
    BeforeValidator(_one_or_list),
    AfterValidator(_distinct),
    Field(min_length=1),
    _any_of(_DEVICE, {"type": "array", "items": _DEVICE, "minItems": 1, "uniqueItems": True}),
]
TargetField = Annotated[
    InstanceOf[Target] | None,
    BeforeValidator(_target),
    _any_of({"type": "string", "pattern": PATTERN}, {"type": "null"}),
]
MethodField = Annotated[InstanceOf[Method], WithJsonSchema({})]


class Keys(BaseModel):
    """A mapping with fixed keys: strict types, nothing unknown, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Training(Keys):
    """How a model is trained."""

    epochs: int = Field(default=5, ge=1, le=100_000, description="passes over the training data")
    batch_size: Positive = Field(default=100, description="sequences per step")
    optimizer: MethodField = Field(
        default_factory=lambda: Method("adam"), description="a torch optimizer"
    )
    schedule: MethodField | None = Field(
        default=None, description="what becomes of the learning rate"
    )
    clip_norm: Number | None = Field(
        default=None, gt=0, description="greatest norm of the gradient"
    )
    threads: int = Field(default=1, ge=1, le=1024, description="CPU threads of one training")
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="of the forward and backward pass; bf16 by torch.autocast"
    )

    def over(self, base: Training) -> Training:
        """``base`` with what this one says explicitly; another optimizer or schedule is whole."""
        said = {key: getattr(self, key) for key in self.model_fields_set}
        for key in ("optimizer", "schedule"):
            if said.get(key) is not None:
                said[key] = said[key].over(getattr(base, key))
        return base.model_copy(update=said)

    def resolved(self) -> dict[str, Any]:
        """All settings as plain data, every default of optimizer and schedule filled in.

        The usual precision is not said, so that a case has the name that it had before there was
        another.
        """
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "optimizer": resolved(self.optimizer, OPTIMIZERS),
            "schedule": resolved(self.schedule, SCHEDULES) if self.schedule else None,
            "clip_norm": self.clip_norm,
            "threads": self.threads,
            **({"precision": self.precision} if self.precision != "fp32" else {}),
        }


class Accuracy(Keys):
    """Accuracy, or for numbers the mean squared error; it has no settings."""


class Latency(Keys):
    """Time of a forward pass."""

    budget: Duration = Field(default=10.0, description="time for each case")
    batch_sizes: Sizes = Field(default=(1, 64), min_length=1, description="sequences per call")
    seq_lens: Sizes = Field(
        default=(), description="lengths that sequences are cut or repeated to; none: the dataset's"
    )
    threads: Threads = Field(default=(1,), description="CPU threads; `all` is all cores")
    runtimes: Runtimes = Field(default=("eager",), description="eager, compile")
    processes: int = Field(default=10, ge=2, le=60, description="processes for each case")
    warm_up: Duration = Field(default=0.5, description="least time of warming up each process")
    precision: Share = Field(default=0.02, description="half-width of the interval that is enough")


class Memory(Keys):
    """Peak memory of inference and of a training step."""

    batch_size: Positive = Field(default=64, description="sequences per call")


class Measure(Keys):
    """What is measured; accuracy always is."""

    accuracy: Accuracy = Field(default_factory=Accuracy)
    latency: Latency | None = None
    memory: Memory | None = None

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:
        """A list of names, and names without settings, ask for the defaults."""
        if isinstance(value, list):
            wrong = [item for item in value if not isinstance(item, str)]
            if wrong:
                hint = "with settings, write measure as a mapping"
                _refuse(f"must list names, not {described(wrong[0])}", hint)
            _distinct(tuple(value))
            value = dict.fromkeys(value)
        if not isinstance(value, dict):
            return value
        if not value:
            _refuse("must name at least one of accuracy, latency, memory")
        return {name: {} if settings is None else settings for name, settings in value.items()}


class Limits(Keys):
    """Where a trial is stopped."""

    time: Duration = Field(default=3600.0, description="time for each trial")
    memory: Size | None = Field(
        default=None, description="memory of each process, torch included; none: the machine's"
    )
    retries: int = Field(
        default=1, ge=0, le=10, description="new attempts where a signal killed a trial"
    )


class Reference(Keys):
    """Figures published elsewhere, shown beside the measured ones."""

    accuracy: Number | None = Field(default=None, ge=0, le=1, description="share of 1")
    accuracy_last: Number | None = Field(default=None, ge=0, le=1, description="at the last epoch")
    mse: Number | None = Field(default=None, ge=0, description="mean squared error")
    parameters: int | None = Field(default=None, ge=0, description="number of parameters")
    latency_s: Number | None = Field(default=None, gt=0, description="seconds per call")


class EntryKeys(Keys):
    """What may stand beside a model's name in an entry of ``models``."""

    train: Training = Field(default_factory=Training, description="instead of the suite's train")
    label: Line = Field(default="", description="what tables call it")
    reference: Reference = Field(default_factory=Reference, description=Reference.__doc__)
    note: str = Field(default="", max_length=10_000, description="a remark under the table")


@dataclass(frozen=True)
class Entry:
    """What a plugin offers, as a suite names it: a dataset, metric or report, as ``kind`` says. A
    parameter given as a list is a grid.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "dataset"


@dataclass(frozen=True)
class ModelEntry(Entry):
    """A model as a suite names it; ``train`` holds what it overrides."""

    kind: str = "model"
    train: Training = field(default_factory=Training)
    label: str = ""
    reference: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


class Suite(Keys):
    """Which models, on which datasets, trained how, measured how, where, with which seeds."""

    name: Annotated[str, AfterValidator(_name)] = Field(
        description="names the folder of the results; the file's name if left out"
    )
    notes: str = Field(default="", max_length=10_000, description="remarks under the table")
    datasets: Annotated[tuple[InstanceOf[Entry], ...], WithJsonSchema({})] = Field(
        min_length=1, description="what the models learn"
    )
    models: Annotated[tuple[InstanceOf[ModelEntry], ...], WithJsonSchema({})] = Field(
        min_length=1, description="what is compared"
    )
    metrics: Annotated[tuple[InstanceOf[Entry], ...], WithJsonSchema({})] = Field(
        default=(), description="what is asked of the trained models beside accuracy or mse"
    )
    reports: Annotated[tuple[InstanceOf[Entry], ...], WithJsonSchema({})] = Field(
        default=(), description="files about the run that are written into its folder at its end"
    )
    train: Training = Field(default_factory=Training, description="how every model is trained")
    seeds: Seeds = Field(default=(0, 1, 2), description="a number of seeds, or a list of them")
    devices: Devices = Field(default=("auto",), description="where trials run")
    target: TargetField = Field(
        default=None, description="a figure to reach on validation, as accuracy >= 0.85"
    )
    measure: Measure = Field(default_factory=lambda: Measure(latency=Latency(), memory=Memory()))
    limits: Limits = Field(default_factory=Limits)

    def train_for(self, entry: ModelEntry) -> dict[str, Any]:
        """The training settings of a model as plain data, its overrides and all defaults in."""
        return entry.train.over(self.train).resolved()
