"""The keys of a suite, their types and their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from seqbench.docstrings import docstring_of
from seqbench.records import AS_DATA
from seqbench.suite.optimizers import LOSSES, OPTIMIZERS, SCHEDULES, Method, resolved
from seqbench.suite.strict_yaml import described
from seqbench.suite.values import (
    LENGTHS,
    AnswerSize,
    Count,
    Devices,
    Duration,
    Line,
    MethodField,
    MetricMargin,
    Number,
    Points,
    Positive,
    Runtimes,
    Seed,
    Seeds,
    Share,
    Size,
    Sizes,
    StateSize,
    StepNumbers,
    TargetField,
    Threads,
    distinct,
    folder_name,
    refuse,
)

MAX_ENTRIES = 1_000

MOST_STEPS = 1_000_000_000

#: The parameter of datasets whose values `repeats` pools; datasets call the seed of their data so.
RESAMPLED = "seed"


#: The training settings of an estimator: it is fitted, on one thread.
FITTED = {"threads": 1}


class Keys(BaseModel):
    """A mapping with fixed keys: strict types, no unknown keys, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EarlyStopping(Keys):
    """End a training that no longer improves."""

    patience: int = Field(
        ge=1, le=100_000, description="evaluations on validation without a better one"
    )


class Training(Keys):
    """How a model is trained."""

    epochs: int = Field(default=5, ge=1, le=100_000, description="passes over the training data")
    steps: int | None = Field(
        default=None, ge=1, le=MOST_STEPS, description="optimizer steps, instead of epochs"
    )
    evaluate_every: int | None = Field(
        default=None, ge=1, le=MOST_STEPS, description="steps between evaluations on validation; "
        "default: an epoch, or a tenth of the steps",
    )  # fmt: skip
    early_stopping: EarlyStopping | None = Field(
        default=None, description=docstring_of(EarlyStopping)
    )
    batch_size: Positive = Field(default=100, description="sequences per batch")
    accumulate: int = Field(
        default=1, ge=1, le=100_000, description="batches whose gradients make one step"
    )
    optimizer: MethodField = Field(
        default_factory=lambda: Method("adam"), description="one of torch's, or a plugin's"
    )
    groups: dict[str, dict[str, Number]] = Field(
        default_factory=dict,
        description="other optimizer parameters for the weights whose names match a pattern",
    )
    schedule: MethodField | None = Field(default=None, description="learning rate schedule")
    loss: MethodField | None = Field(
        default=None, description="what is minimized; default: by the kind of target"
    )
    clip_norm: Number | None = Field(default=None, gt=0, description="clip gradients to this norm")
    ema: Number | None = Field(
        default=None, gt=0, lt=1, description="decay of a running average of the weights, which is "
        "what is evaluated and kept"
    )  # fmt: skip
    threads: int = Field(default=1, ge=1, le=1024, description="CPU threads for each training")
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="of forward and backward pass; bf16 uses torch.autocast"
    )
    drop_last: bool = Field(
        default=False, description="leave out the last batch of an epoch if it is incomplete"
    )
    batches: Literal["bucketed", "one_length", "shuffled"] = Field(
        default="bucketed",
        description="of sequences of unequal length: similar lengths, one length, or any",
    )
    checkpoint: Duration | None = Field(
        default=300.0, description="time between two checkpoints; null: none"
    )
    shuffle: bool = Field(
        default=True, description="train on the sequences in another order in each epoch"
    )
    carry_state: bool = Field(
        default=False,
        description="train on contiguous sequences, each with the state at the end of the last one",
    )
    init_seed: Seed | None = Field(
        default=None, description="seed of the initial weights of all trials; default: the trial's"
    )
    data_seed: Seed | None = Field(
        default=None, description="seed of the order of the data in all trials; default: the same"
    )

    @model_validator(mode="after")
    def _says_one_length_of_training(self) -> Training:
        if self.steps is not None and "epochs" in self.model_fields_set:
            refuse("has epochs and steps: only one of them can determine when training ends")
        return self

    def over(self, base: Training) -> Training:
        """``base``, overridden by the explicit keys of this one.

        Parameters of an optimizer, schedule or loss are merged only if both name the same one.
        """
        explicit = {key: getattr(self, key) for key in self.model_fields_set}
        if "epochs" in explicit:
            explicit = {"steps": None, "evaluate_every": None, **explicit}
        for key in ("optimizer", "schedule", "loss"):
            if explicit.get(key) is not None:
                explicit[key] = explicit[key].over(getattr(base, key))
        return base.model_copy(update=explicit)

    def resolved(self) -> dict[str, Any]:
        """All settings that figures depend on, with the defaults of optimizer and schedule.

        Keys that were added later are left out at their default, so that ids stay the same.
        ``groups`` are pairs of a pattern and its parameters: the first pattern that matches counts,
        and a hash of a mapping would not depend on their order.
        """
        stopping = self.early_stopping
        later = {
            "evaluate_every": self.evaluate_every,
            "early_stopping": stopping.model_dump() if stopping else None,
            "accumulate": self.accumulate if self.accumulate > 1 else None,
            "groups": [[pattern, dict(params)] for pattern, params in self.groups.items()],
            "loss": resolved(self.loss, LOSSES) if self.loss else None,
            "ema": self.ema,
        }
        return {
            **({"steps": self.steps} if self.steps else {"epochs": self.epochs}),
            "batch_size": self.batch_size,
            "optimizer": resolved(self.optimizer, OPTIMIZERS),
            "schedule": resolved(self.schedule, SCHEDULES) if self.schedule else None,
            "clip_norm": self.clip_norm,
            "threads": self.threads,
            **{key: value for key, value in later.items() if value},
            **({"precision": self.precision} if self.precision != "fp32" else {}),
            **({"drop_last": True} if self.drop_last else {}),
            **({"batches": self.batches} if self.batches != "bucketed" else {}),
            **({} if self.shuffle else {"shuffle": False}),
            **({"carry_state": True} if self.carry_state else {}),
            **({} if self.init_seed is None else {"init_seed": self.init_seed}),
            **({} if self.data_seed is None else {"data_seed": self.data_seed}),
        }


class Accuracy(Keys):
    """Accuracy, or mean squared error for numeric targets; it has no settings."""


class Lengths(Keys):
    """Sequence lengths to measure at: a list, or a mapping with ``only``."""

    also: StepNumbers = Field(default=(), description="beside the dataset's own length")
    only: StepNumbers = Field(default=(), description="instead of the dataset's own length")

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:
        """A list, or a single length, is measured beside the dataset's own."""
        if not isinstance(value, dict):
            return {"also": value}
        if len(value) > 1 or value.get("only") in ([], ()):
            refuse("must be a list of lengths, or a mapping with the key only", "as in {only: [5]}")
        return value

    @model_serializer
    def _as_given(self) -> Any:
        return {"only": self.only} if self.only else self.also

    @property
    def given(self) -> tuple[int | str, ...]:
        """What the suite names: numbers of steps, and ``as_data``."""
        return self.only or self.also

    @property
    def steps(self) -> tuple[int, ...]:
        """The numbers of steps that the suite names."""
        return tuple(length for length in self.given if isinstance(length, int))

    @property
    def as_data(self) -> bool:
        """Whether latency is measured with lengths as in the data, too."""
        return AS_DATA in self.given


LengthsField = Annotated[Lengths, WithJsonSchema(LENGTHS)]


class Latency(Keys):
    """Time of a forward pass."""

    budget: Duration = Field(default=10.0, description="time for each case")
    batch_sizes: Sizes = Field(default=(1, 64), min_length=1, description="sequences per call")
    seq_lens: LengthsField = Field(
        default_factory=Lengths,
        description="lengths to cut or repeat sequences to, beside the dataset's own; "
        "as_data: the lengths of the test split; `only`: instead of the dataset's own",
    )
    threads: Threads = Field(default=(1,), description="CPU threads; `all` means all cores")
    runtimes: Runtimes = Field(
        default=("eager",), description="eager, compile, or a plugin's runtime"
    )
    processes: int = Field(default=10, ge=2, le=60, description="processes for each case")
    warm_up: Duration = Field(default=0.5, description="minimum warm-up time of each process")
    precision: Share = Field(default=0.02, description="interval half-width to reach")


class TrainingTime(Keys):
    """Time of one training step, with the settings of each training."""

    budget: Duration = Field(default=5.0, description="time for each case")
    processes: int = Field(default=10, ge=2, le=60, description="processes for each case")
    warm_up: Duration = Field(default=0.5, description="minimum warm-up time of each process")
    precision: Share = Field(default=0.02, description="interval half-width to reach")


class Memory(Keys):
    """Peak memory of inference and of a training step."""

    batch_size: Positive = Field(default=64, description="sequences per call")


class Measure(Keys):
    """What to measure; accuracy is always measured."""

    accuracy: Accuracy = Field(default_factory=Accuracy)
    latency: Latency | None = None
    training: TrainingTime | None = None
    memory: Memory | None = None

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:
        """A list of names, or names without settings, use the defaults."""
        if isinstance(value, list):
            wrong = [item for item in value if not isinstance(item, str)]
            if wrong:
                hint = "to give settings, write measure as a mapping"
                refuse(f"must list names, not {described(wrong[0])}", hint)
            distinct(tuple(value))
            value = dict.fromkeys(value)
        if not isinstance(value, dict):
            return value
        if not value:
            refuse("must name at least one of accuracy, latency, training, memory")
        return {name: {} if settings is None else settings for name, settings in value.items()}

    @model_serializer(mode="wrap")
    def _without_training(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Training is left out unless it is requested, as in runs from before it existed."""
        plain: dict[str, Any] = usual(self)
        return {key: value for key, value in plain.items() if key != "training" or value}


class Match(Keys):
    """The size to give to every model, by its width; exactly one of the keys."""

    parameters: Count | None = Field(
        default=None, description="of the whole model, embedding and readout included, as in 64k"
    )
    macs: Count | None = Field(
        default=None, description="multiply-accumulates of one sequence of the dataset's length"
    )
    state_bytes: StateSize | None = Field(
        default=None, description="bytes of state per sequence, of models with a step method"
    )

    latency: Duration | None = Field(
        default=None,
        description="time of a call with one sequence of the dataset's length, as in 1ms",
    )

    @model_validator(mode="after")
    def _one(self) -> Match:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            names = " and ".join(given) if given else "none"
            refuse(
                f"must give one of parameters, macs, state_bytes and latency, not {names}",
                "as in {parameters: 64k}",
            )
        return self

    @property
    def quantity(self) -> str:
        """The key that is given."""
        return next(n for n in type(self).model_fields if getattr(self, n) is not None)

    @property
    def wanted(self) -> int:
        """Its value; of a latency in nanoseconds."""
        value = getattr(self, self.quantity)
        return round(1e9 * value) if self.quantity == "latency" else int(value)


class Margin(Keys):
    """Differences up to which two cases are equivalent; default: none, and then no case is.

    Other keys are the names of metrics: see :func:`seqbench.suite.values.metric_margin`.
    """

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, MetricMargin] = Field(init=False)

    accuracy: Points | None = Field(default=None, description="in percentage points, as in 0.5pp")
    mse: Share | None = Field(default=None, description="of the error, as in 5%")
    latency: Share | None = Field(default=None, description="of the time, as in 3%")
    step: Share | None = Field(default=None, description="of the time of one step, as in 3%")
    training_step: Share | None = Field(
        default=None, description="of the time of a training step, as in 3%"
    )

    def by_quantity(self) -> dict[str, dict[str, float]]:
        """For each quantity with a margin its scale, and the margin on it: a difference, or the
        factor by which one case is larger.
        """
        names = ("mse", "latency", "step", "training_step")
        relative = {name: getattr(self, name) for name in names}
        margins = {name: {"ratio": 1 + share} for name, share in relative.items() if share}
        if self.accuracy:
            margins["accuracy"] = {"difference": self.accuracy}
        return {**margins, **self.__pydantic_extra__}


class Limits(Keys):
    """Limits at which a trial is stopped."""

    time: Duration = Field(default=3600.0, description="time for each trial")
    memory: Size | None = Field(
        default=None, description="memory of each process, including torch; default: the machine's"
    )
    retries: int = Field(
        default=1, ge=0, le=10, description="retries of a trial killed by a signal"
    )


class Keep(Keys):
    """Which files of a run are kept once everything in it has succeeded; answers that are over the
    limit are not written in the first place.
    """

    weights: Literal["all", "best", "none"] = Field(
        default="all", description="best: of each case, those of the trial with the best figure"
    )
    samples: Literal["all", "none"] = Field(
        default="all", description="the time of every call of the latency measurements"
    )
    answers: AnswerSize = Field(
        default=100_000_000,
        description="answers to the test split: all, none, or at most this size, as in 1GB",
    )


class Reference(Keys):
    """Published figures, shown beside the measured ones."""

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, Number] = Field(init=False)

    accuracy: Number | None = Field(default=None, ge=0, le=1, description="fraction, from 0 to 1")
    accuracy_last: Number | None = Field(default=None, ge=0, le=1, description="at the last epoch")
    mse: Number | None = Field(default=None, ge=0, description="mean squared error")
    parameters: int | None = Field(default=None, ge=0, description="number of parameters")
    latency_s: Number | None = Field(default=None, gt=0, description="seconds per call")
    training_step_s: Number | None = Field(
        default=None, gt=0, description="seconds per training step"
    )


class ModelKeys(Keys):
    """The keys allowed beside a model's name in an entry of ``models``."""

    train: Training = Field(
        default_factory=Training, description="overrides the train of suite and dataset"
    )
    label: Line = Field(default="", description="its name in tables")
    reference: Reference = Field(default_factory=Reference, description=docstring_of(Reference))
    note: str = Field(default="", max_length=10_000, description="a note below the table")
    match: bool = Field(
        default=True, description="false: keep its own width although the suite gives a `match`"
    )


@dataclass(frozen=True)
class Entry:
    """An entry of a suite: a metric or report with its parameters, of which lists are grids."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "metric"


class DatasetKeys(Keys):
    """The keys allowed beside a dataset's name in an entry of ``datasets``."""

    train: Training = Field(default_factory=Training, description="overrides the suite's train")
    label: Line = Field(default="", description="its name in tables")
    metrics: Annotated[tuple[InstanceOf[Entry], ...], WithJsonSchema({})] = Field(
        default=(), description="metrics to compute on it in addition to the suite's"
    )
    primary_metric: Annotated[InstanceOf[Entry] | None, WithJsonSchema({})] = Field(
        default=None, description="overrides the suite's primary_metric"
    )


@dataclass(frozen=True)
class DatasetEntry(Entry):
    """A dataset in a suite; ``train`` holds its overrides of the training settings, ``metrics``
    those that are computed on it alone, ``primary_metric`` its own.
    """

    kind: str = "dataset"
    train: Training = field(default_factory=Training)
    label: str = ""
    metrics: tuple[Entry, ...] = ()
    primary_metric: Entry | None = None


@dataclass(frozen=True)
class ModelEntry(Entry):
    """A model in a suite; ``train`` holds its overrides of the training settings.
    Nothing of them applies to an ``estimator``.

    ``scale`` is the parameter that the suite's ``match`` solves; it is None in ``params``, and
    ``scale`` is "" if the model keeps its own width.
    """

    kind: str = "model"
    train: Training = field(default_factory=Training)
    label: str = ""
    reference: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    scale: str = ""
    estimator: bool = False


class Suite(Keys):
    """Models and datasets, how to train and measure them, on which devices, with which seeds."""

    name: Annotated[str, AfterValidator(folder_name)] = Field(
        description="name of the results folder; default: the file's name"
    )
    notes: str = Field(default="", max_length=10_000, description="notes below the table")
    datasets: Annotated[tuple[InstanceOf[DatasetEntry], ...], WithJsonSchema({})] = Field(
        min_length=1, description="datasets to train on"
    )
    models: Annotated[tuple[InstanceOf[ModelEntry], ...], WithJsonSchema({})] = Field(
        min_length=1, description="models to compare"
    )
    metrics: Annotated[tuple[InstanceOf[Entry], ...], WithJsonSchema({})] = Field(
        default=(), description="metrics to compute in addition to accuracy or mse"
    )
    primary_metric: Annotated[InstanceOf[Entry] | None, WithJsonSchema({})] = Field(
        default=None,
        description="metric that decides on the best epoch; default: accuracy, or mse for numbers",
    )
    reports: Annotated[tuple[InstanceOf[Entry], ...], WithJsonSchema({})] = Field(
        default=(), description="reports to write into the run's folder at its end"
    )
    train: Training = Field(
        default_factory=Training, description="training settings of every model"
    )
    seeds: Seeds = Field(
        default=(0, 1, 2),
        description="a number of seeds, or a list; {init: 5, data: [0]}: one kind at a time",
    )
    repeats: Literal["dataset.seed"] | None = Field(
        default=None, description="pool the values of a dataset's own seed as repetitions"
    )
    devices: Devices = Field(default=("auto",), description="devices to run trials on")
    match: Match | None = Field(default=None, description=docstring_of(Match))
    target: TargetField = Field(
        default=None,
        description="value of the primary metric to reach on validation, as in accuracy >= 0.85",
    )
    measure: Measure = Field(default_factory=lambda: Measure(latency=Latency(), memory=Memory()))
    margin: Margin = Field(default_factory=Margin)
    limits: Limits = Field(default_factory=Limits)
    keep: Keep = Field(default_factory=Keep)

    def train_for(self, model: ModelEntry, dataset: DatasetEntry | None = None) -> dict[str, Any]:
        """The training settings of a model on a dataset as plain data, with all defaults.

        The model's own settings go before the dataset's, and these before the suite's. None of
        them applies to an estimator.
        """
        if model.estimator:
            return dict(FITTED)
        base = self.train if dataset is None else dataset.train.over(self.train)
        return model.train.over(base).resolved()
