"""The types that seqbench and its plugins exchange. Imports no torch."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from seqbench.quantities import QUANTITIES, own_metrics
from seqbench.suggest import available

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")

SUFFIX = re.compile(r"[a-z0-9]{1,8}")

#: Parameters that seqbench adds to every encoder (see :class:`ModelSpec`).
ENCODER_PARAMETERS: Mapping[str, Param]

#: Parameters that seqbench adds to every schedule (see :class:`ScheduleSpec`).
SCHEDULE_PARAMETERS: Mapping[str, Param]

#: What one target is (:attr:`Task.target_type`).
TARGET_TYPES = ("label", "labels", "value")

#: The kinds of target, and the kinds of task: input and target (see :class:`Task`).
TARGETS = (
    "label", "value", "label_per_step", "labels", "value_per_step", "labels_per_step"
)  # fmt: skip

TASK_KINDS = tuple(f"{input}/{target}" for input in ("features", "tokens") for target in TARGETS)

#: What a whole model supports unless it says otherwise: it is written for the targets that it
#: supports, and these are the ones that every version of seqbench had.
WHOLE_MODEL_KINDS = tuple(
    f"{input}/{target}" for input in ("features", "tokens") for target in TARGETS[:3]
)

#: What an estimator supports unless it says otherwise, and at most: it answers whole sequences.
ESTIMATOR_KINDS = tuple(kind for kind in TASK_KINDS if not kind.endswith("_per_step"))

#: The kind of a model with `fit` and `predict`, which is not trained by gradient.
ESTIMATOR = "estimator"

#: What answers for classes say, from most to least: see :attr:`MetricSpec.needs`.
ANSWER_FORMS = ("probabilities", "scores", "classes")

#: The default of :class:`ModelSpec`; another object than :data:`TASK_KINDS`, so that a whole model
#: can ask for all of them.
DEFAULT_KINDS = (*TASK_KINDS,)

#: In integer labels: this target does not count, as if its weight were 0.
IGNORED = -100


@dataclass(frozen=True)
class Task:
    """What a dataset asks of a model: the shapes of inputs, targets and outputs.

    Args:
        input: ``"features"``: batches of shape (batch, time, input_size), float32.
            ``"tokens"``: batches of shape (batch, time), int64, values in [0, input_size).
        input_size: number of features per step, or vocabulary size.
        target: ``"label"``: one class per sequence, targets (batch,) int64.
            ``"labels"``: any number of classes per sequence, targets (batch, output_size) of 0
            and 1, uint8. ``"value"``: numbers per sequence, targets (batch, output_size) float32.
            ``"label_per_step"``, ``"labels_per_step"``, ``"value_per_step"``: the same at each
            step, with time as the second dimension: (batch, time) or (batch, time, output_size).
        output_size: number of classes or values. A model returns (batch, output_size), or
            (batch, time, output_size) with targets at each step.
        length: number of steps of the longest sequence. With ``seq_lens`` in a suite, latency is
            also measured at other lengths, if the model accepts them.
        class_names: names of the classes, if any.
        causal: with a target per step: whether the answer at a step may depend only on the steps up
            to it, as in a language model. A model that looks ahead is then refused.
    """

    input: Literal["features", "tokens"]
    input_size: int
    target: Literal[
        "label", "value", "label_per_step", "labels", "value_per_step", "labels_per_step"
    ]
    output_size: int
    length: int
    class_names: tuple[str, ...] = ()
    causal: bool = False

    @property
    def kind(self) -> str:
        """Input and target: one of :data:`TASK_KINDS`."""
        return f"{self.input}/{self.target}"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Task:
        """From its fields as plain data, as :func:`dataclasses.asdict` and JSON give them."""
        return cls(**{**values, "class_names": tuple(values["class_names"])})

    @property
    def per_step(self) -> bool:
        """Whether there is a target at each step."""
        return self.target.endswith("_per_step")

    @property
    def target_type(self) -> str:
        """What one target is: ``label``, ``labels`` or ``value``."""
        return self.target.removesuffix("_per_step")

    @property
    def metric(self) -> str:
        """Name of the task's own metric: ``accuracy`` (0 to 1) or ``mse``."""
        return own_metrics()[self.target].name


#: seqbench's own formats of ``seqbench show --format``, reserved names for reports of plugins.
FORMATS = ("table", "json")


@dataclass(frozen=True)
class Param:
    """One parameter of a plugin; its default determines its type.

    Args:
        default: the value if a suite gives none. ``None`` accepts any value.
        choices: the allowed values; none for any.
        minimum: the smallest allowed number.
        maximum: the largest allowed number.
        help: one line for ``seqbench models`` and ``seqbench datasets``.
    """

    default: Any
    choices: Sequence[Any] = ()
    minimum: float | None = None
    maximum: float | None = None
    help: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        items = self.default if isinstance(self.default, (list, tuple)) else [self.default]
        numbers = [item for item in items if isinstance(item, (int, float))]
        low = self.minimum is not None and any(number < self.minimum for number in numbers)
        high = self.maximum is not None and any(number > self.maximum for number in numbers)
        if low or high or (self.choices and self.default not in self.choices):
            raise ValueError(f"the default {self.default!r} is outside the limits of its Param")


ENCODER_PARAMETERS = {
    "readout": Param(
        "last",
        choices=("last", "mean", "max"),
        help="what the readout uses: the last step, or the mean or the maximum of all",
    ),
    "embedding_size": Param(32, minimum=1, help="embedding size of a token (token tasks only)"),
}

SCHEDULE_PARAMETERS = {
    "warmup": Param(0, minimum=0, help="steps of linear increase before the schedule")
}


def _require_valid(kind: str, name: str, import_path: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(
            f"invalid {kind} name {name!r}: use at most 64 letters, digits, '_', '.' and '-'"
        )
    if not IMPORT_PATH.fullmatch(import_path):
        raise ValueError(
            f"{kind} {name!r}: {import_path!r} is not of the form 'package.module:function'"
        )


def _unknown(what: str, names: Sequence[str]) -> str:
    return f"unknown {what} {', '.join(map(repr, names))}" if names else f"no {what} is given"


def _require_tasks(kind: str, name: str, tasks: Sequence[str]) -> None:
    unknown = [task for task in tasks if task not in TASK_KINDS]
    if unknown:
        what = _unknown("task", list(filter(None, unknown)))
        raise ValueError(f"{kind} {name!r}: {what}; {available(TASK_KINDS)}")


def _as_params(
    kind: str, name: str, parameters: Mapping[str, Any], reserved: Mapping[str, str]
) -> dict[str, Param]:
    """The parameters of a spec.

    Args:
        reserved: names that seqbench uses itself, each with its use.

    Raises:
        ValueError: a name that seqbench cannot pass to the plugin's function.
    """
    for each in parameters:
        if not isinstance(each, str) or not each.isidentifier() or keyword.iskeyword(each):
            raise ValueError(
                f"{kind} {name!r}: invalid parameter name {each!r}: parameters are passed by name, "
                "so use a name that Python accepts"
            )
        if use := {**reserved, "self": "Python passes it to a class"}.get(each):
            raise ValueError(
                f"{kind} {name!r}: the parameter name {each!r} is reserved ({use}): "
                "choose another name"
            )
    return {
        name: value if isinstance(value, Param) else Param(value)
        for name, value in parameters.items()
    }


def _require_scale(model: str, scale: str, parameters: Mapping[str, Param]) -> None:
    """Raise ValueError if a model's ``scale`` is not one of its own whole-number parameters."""
    if not scale:
        return
    if scale not in parameters:
        raise ValueError(
            f"model {model!r}: scale is {scale!r}, which is none of its parameters; "
            f"{available(parameters)}"
        )
    param = parameters[scale]
    if type(param.default) is not int or param.choices:
        raise ValueError(
            f"model {model!r}: scale is {scale!r}, whose default must be a whole number, without "
            "choices, since match tries any width"
        )


def _passed_first(what: str) -> str:
    return f"seqbench passes {what} as the first argument"


@dataclass(frozen=True)
class ModelSpec:
    """Declares a model without importing it.

    Args:
        name: its name in suites.
        build: ``"package.module:function"`` (or a class). For ``kind="encoder"`` it is called as
            ``build(input_size, **parameters)`` and returns a ``torch.nn.Module`` that maps
            (batch, time, input_size) to (batch, time, hidden); seqbench adds the embedding and the
            readout. For ``kind="model"`` it is called as ``build(task, **parameters)`` and returns
            the whole model. If its ``forward`` takes ``lengths``, seqbench passes them with
            batches that are padded at the end: (batch,) int64, on the CPU. For
            ``kind="estimator"`` it is called as ``build(task, seed=seed, **parameters)`` and
            returns an object with ``fit(inputs, targets)`` and ``predict(inputs)``, which get NumPy
            arrays: see :mod:`seqbench.training.estimators`.
        parameters: each parameter with its default, or a :class:`Param`.
        kind: ``"encoder"``, ``"model"`` or ``"estimator"``.
        description: one line.
        tasks: the kinds of task that it supports, such as ``"features/label"`` (see
            :data:`TASK_KINDS`); ``seqbench check`` checks it on these, and a run skips it on
            datasets of another kind. Default: all; for ``kind="model"`` all with the targets
            ``"label"``, ``"value"`` and ``"label_per_step"``; for ``kind="estimator"`` all with
            targets for whole sequences, and it cannot have others.
        lengths: the lengths of sequences that it accepts: ``"any"``; with ``kind="model"`` and
            ``kind="estimator"`` also ``"bounded"`` (up to ``task.length``) or ``"fixed"``
            (``task.length`` only). Nothing is measured at other lengths.
        scale: the parameter that a suite's ``match`` changes to give models the same size: the one
            that makes the model wider, a whole number. ``build`` must raise an error at a width
            that is impossible, such as one that the number of heads does not divide.
    """

    name: str
    build: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["encoder", "model", "estimator"] = "encoder"
    description: str = ""
    tasks: Sequence[str] = DEFAULT_KINDS
    lengths: Literal["any", "bounded", "fixed"] = "any"
    scale: str = ""

    def __post_init__(self) -> None:
        _require_valid("model", self.name, self.build)
        if self.kind not in ("encoder", "model", ESTIMATOR):
            raise ValueError(
                f"model {self.name!r}: kind is {self.kind!r}, not 'encoder', 'model' or 'estimator'"
            )
        _require_tasks("model", self.name, self.tasks or ("",))
        own_default = {"model": WHOLE_MODEL_KINDS, ESTIMATOR: ESTIMATOR_KINDS}
        if self.kind in own_default and self.tasks is DEFAULT_KINDS:
            object.__setattr__(self, "tasks", own_default[self.kind])
        if self.kind == ESTIMATOR and not set(self.tasks) <= set(ESTIMATOR_KINDS):
            raise ValueError(
                f"model {self.name!r}: an estimator has one answer for each sequence, so its tasks "
                "cannot have targets at each step"
            )
        if self.kind == ESTIMATOR and self.scale:
            raise ValueError(
                f"model {self.name!r}: an estimator has no parameters to count, so it cannot name "
                "a scale"
            )
        if self.lengths not in ("any", "bounded", "fixed"):
            raise ValueError(
                f"model {self.name!r}: lengths is {self.lengths!r}, not 'any', 'bounded' or 'fixed'"
            )
        if self.lengths != "any" and self.kind == "encoder":
            raise ValueError(
                f"model {self.name!r}: an encoder with lengths={self.lengths!r} could not know the "
                "length: declare kind='model', whose build receives the task"
            )
        shared, reserved = ENCODER_PARAMETERS, {"input_size": _passed_first("the input size")}
        if self.kind != "encoder":
            shared, reserved = {}, {"task": _passed_first("the task")}
        if self.kind == ESTIMATOR:
            reserved["seed"] = "seqbench passes the trial's seed"
        reserved |= dict.fromkeys(shared, "seqbench adds it to every encoder")
        declared = self.parameters.items()  # of a copy of a spec, with those that are shared
        own = {name: value for name, value in declared if shared.get(name) is not value}
        own = _as_params("model", self.name, own, reserved)
        _require_scale(self.name, self.scale, own)
        object.__setattr__(self, "parameters", {**own, **shared})


@dataclass(frozen=True)
class DatasetSpec:
    """Declares a dataset without loading it.

    Args:
        name: its name in suites.
        load: ``"package.module:function"``, called as ``load(context, **parameters)`` with a
            :class:`DataContext`; it returns :class:`Splits`. The result is cached for each set of
            parameters and plugin version.
        parameters: each parameter with its default, or a :class:`Param`.
        description: one line.
        tasks: the kinds of task that it can have, usually one, such as ``"features/label"`` (see
            :data:`TASK_KINDS`). With them, ``seqbench validate`` knows which models do not fit.
            Empty: known once it is prepared.
        generated: whether its parameter ``seed`` generates all of its sequences, so that those of
            two seeds are independent. Otherwise seeds are taken to split the same sequences, and
            intervals over them (``repeats`` in a suite) are wider for that.
    """

    name: str
    load: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    tasks: Sequence[str] = ()
    generated: bool = False

    def __post_init__(self) -> None:
        _require_valid("dataset", self.name, self.load)
        _require_tasks("dataset", self.name, self.tasks)
        reserved = {"context": _passed_first("its DataContext")}
        own = _as_params("dataset", self.name, self.parameters, reserved)
        object.__setattr__(self, "parameters", own)
        if self.generated and "seed" not in own:
            raise ValueError(
                f"dataset {self.name!r} is declared as generated, but has no parameter 'seed' that "
                "its sequences are generated from"
            )


@dataclass(frozen=True)
class MetricSpec:
    """Declares a metric without importing it.

    It is computed for each trained model on the test split, in addition to the task's own metric,
    accuracy or mean squared error; or it selects the best epoch in place of that one, as the
    ``primary_metric`` of a suite. With several test sets it is computed on each.

    Args:
        name: its name in suites.
        build: ``"package.module:function"`` (or a class), called as ``build(task, **parameters)``
            once for each trained model. It returns an object with the interface of torchmetrics:
            ``update(answers, targets)`` is called for each batch of the split, ``compute()`` once
            after the last, and returns one number. Tensors are on the CPU: ``answers``
            (n, output_size) float32 (for classes, the logits), ``targets`` (n,) int64,
            (n, output_size) int64 for several labels, or (n, output_size) float32 for values. With
            targets at each step, each step is a row. Rows of weight 0 are left out. An ``update``
            that takes ``weights`` is given those of the rows, (n,) float32; without it, the metric
            is skipped for data with other weights than 0 and 1. One that takes ``sequences`` is
            given the number of each row's sequence, (n,) int64, from 0 in each call; no sequence
            is divided between calls. A ``build`` that takes ``train_targets`` is given those of
            the training split, in its order and shaped as :class:`Task` says, with NaN or -100
            where they do not count; with targets at each step of sequences of unequal length, a
            list of those of each sequence.
        parameters: each parameter with its default, or a :class:`Param`.
        targets: the kinds of target that it supports (:class:`Task`).
        higher_is_better: whether higher is better.
        share: whether it is a fraction, shown in percent.
        description: one line.
        unit: of its number, such as ``"bits"``; empty for a plain number.
        needs: what it uses of the answers for classes: ``"probabilities"``; ``"scores"``: only the
            order of a sequence's scores, as the top 5; ``"classes"``: only which classes are
            predicted, as accuracy. Estimators (:class:`ModelSpec`) may have no more than that, and
            a metric that needs more is skipped for them. Models trained by gradient have it all.
    """

    name: str
    build: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    targets: Sequence[str] = ("label", "label_per_step")
    higher_is_better: bool = True
    share: bool = False
    description: str = ""
    unit: str = ""
    needs: Literal["probabilities", "scores", "classes"] = "probabilities"

    def __post_init__(self) -> None:
        _require_valid("metric", self.name, self.build)
        if self.name in QUANTITIES:
            raise ValueError(f"metric {self.name!r}: this name is reserved by seqbench")
        unknown = [target for target in self.targets if target not in TARGETS]
        if unknown or not self.targets:
            raise ValueError(
                f"metric {self.name!r}: {_unknown('target', unknown)}; {available(TARGETS)}"
            )
        if self.needs not in ANSWER_FORMS:
            raise ValueError(
                f"metric {self.name!r}: needs is {self.needs!r}; {available(ANSWER_FORMS)}"
            )
        reserved = {
            "task": _passed_first("the task"),
            "train_targets": "seqbench passes the targets of the training split as it",
        }
        own = _as_params("metric", self.name, self.parameters, reserved)
        object.__setattr__(self, "parameters", own)


@dataclass(frozen=True)
class ReportSpec:
    """Declares a report without importing it: a run rendered as text.

    Args:
        name: its name in ``seqbench show --format`` and in the key ``reports`` of suites.
        render: ``"package.module:function"``, called as ``render(document, **parameters)`` with the
            run as one JSON document (docs/results.md); it returns the text.
        parameters: each parameter with its default, or a :class:`Param`.
        suffix: suffix of its files, without the dot.
        description: one line.
    """

    name: str
    render: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    suffix: str = "txt"
    description: str = ""

    def __post_init__(self) -> None:
        _require_valid("report", self.name, self.render)
        if self.name in FORMATS:
            raise ValueError(f"report {self.name!r}: this name is reserved by seqbench")
        if not SUFFIX.fullmatch(self.suffix):
            raise ValueError(
                f"report {self.name!r}: invalid suffix {self.suffix!r}: "
                "use 1 to 8 lowercase letters and digits, as in 'md'"
            )
        reserved = {"document": _passed_first("the document")}
        own = _as_params("report", self.name, self.parameters, reserved)
        object.__setattr__(self, "parameters", own)


@dataclass(frozen=True)
class RuntimeSpec:
    """Declares a runtime without importing it: a way to run a trained model.

    Args:
        name: its name in ``measure.latency.runtimes`` of suites.
        prepare: ``"package.module:function"``, called as ``prepare(model, inputs, threads=n)`` for
            each timed setting; it returns a call that takes such inputs, alone or in a
            ``seqbench.PreparedCall``. :mod:`seqbench.runtimes.base` has the contract.
        description: one line.
    """

    name: str
    prepare: str
    description: str = ""

    def __post_init__(self) -> None:
        _require_valid("runtime", self.name, self.prepare)


@dataclass(frozen=True)
class LossSpec:
    """Declares a loss without importing it: what ``train.loss`` of a suite can minimize.

    Args:
        name: its name in suites.
        build: ``"package.module:function"`` (or a class), called as ``build(task, **parameters)``
            once for each training. It returns a callable: ``(answers, targets)`` → the loss of each
            row, (rows,), or of each output, (rows, outputs). seqbench takes the mean over what
            counts, by its weight, so padding and weights need no care. ``answers`` are
            (rows, output_size) float32, for classes the logits; ``targets`` (rows,) int64 for a
            label, (rows, output_size) uint8 for several labels, or (rows, output_size) float32 for
            values, both on the device of the training. With targets at each step, each step is a
            row. Parameters of the loss itself are not trained.
        parameters: each parameter with its default, or a :class:`Param`.
        targets: what the targets are that it is for: ``"label"``, ``"labels"``, ``"value"``; each
            also stands for such targets at each step.
        description: one line.
    """

    name: str
    build: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    targets: Sequence[str] = ("label",)
    description: str = ""

    def __post_init__(self) -> None:
        _require_valid("loss", self.name, self.build)
        unknown = [target for target in self.targets if target not in TARGET_TYPES]
        if unknown or not self.targets:
            raise ValueError(
                f"loss {self.name!r}: {_unknown('target', unknown)}; {available(TARGET_TYPES)}"
            )
        reserved = {"task": _passed_first("the task")}
        own = _as_params("loss", self.name, self.parameters, reserved)
        object.__setattr__(self, "parameters", own)


@dataclass(frozen=True)
class OptimizerSpec:
    """Declares an optimizer without importing it, for ``train.optimizer`` of a suite.

    Args:
        name: its name in suites.
        build: ``"package.module:function"`` (or a class), called as
            ``build(parameters, **its parameters)``; it returns a ``torch.optim.Optimizer``.
            ``parameters`` is a list of parameters, or of groups with ``train.groups``: dictionaries
            with ``"params"`` and the parameters that differ, as torch's optimizers take them. Its
            ``step()`` is called without a closure, and its ``state_dict()`` must hold tensors and
            plain data only, for checkpoints.
        parameters: each parameter with its default, or a :class:`Param`.
        description: one line.
    """

    name: str
    build: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""

    def __post_init__(self) -> None:
        _require_valid("optimizer", self.name, self.build)
        reserved = {name: _passed_first("the parameters") for name in ("parameters", "params")}
        own = _as_params("optimizer", self.name, self.parameters, reserved)
        object.__setattr__(self, "parameters", own)


@dataclass(frozen=True)
class ScheduleSpec:
    """Declares a learning rate schedule without importing it, for ``train.schedule`` of a suite.

    Args:
        name: its name in suites.
        build: ``"package.module:function"`` (or a class), called as
            ``build(optimizer, steps=…, steps_per_epoch=…, **parameters)``; it returns an object
            with ``step()``, ``state_dict()`` and ``load_state_dict()``, usually a
            ``torch.optim.lr_scheduler.LRScheduler``. ``step()`` is called after each optimizer
            step; ``steps`` is the number of these in the whole training, ``steps_per_epoch`` in an
            epoch.
        parameters: each parameter with its default, or a :class:`Param`. seqbench adds ``warmup``,
            steps of linear increase before the schedule begins, which needs an ``LRScheduler``;
            ``steps`` then counts those after it.
        description: one line.
    """

    name: str
    build: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""

    def __post_init__(self) -> None:
        _require_valid("schedule", self.name, self.build)
        shared = SCHEDULE_PARAMETERS
        reserved = {
            "optimizer": _passed_first("the optimizer"),
            "steps": "seqbench passes the steps of the training",
            "steps_per_epoch": "seqbench passes the steps of an epoch",
            **dict.fromkeys(shared, "seqbench adds it to every schedule"),
        }
        declared = self.parameters.items()  # of a copy of a spec, with those that are shared
        own = {name: value for name, value in declared if shared.get(name) is not value}
        own = _as_params("schedule", self.name, own, reserved)
        object.__setattr__(self, "parameters", {**own, **shared})


@dataclass(frozen=True)
class DataContext:
    """What a dataset plugin can use while it loads.

    Args:
        data_dir: the user's data folder (``--data-dir``, ``SEQBENCH_DATA``), if any.
        cache_dir: a folder for downloads, kept between runs.
        say: shows one line to the user.
        progress: updates a progress bar: bytes received, and bytes in total.
    """

    data_dir: Path | None
    cache_dir: Path
    say: Callable[[str], None]
    progress: Callable[[int, int], None] = lambda done, total: None


#: One split as a plugin returns it: inputs and targets, and weights if not all count equally. Each
#: is one tensor or NumPy array, or, for sequences of unequal length, a list with one for each
#: sequence (see :class:`Splits`).
SplitData = tuple[Any, Any] | tuple[Any, Any, Any]


@dataclass(frozen=True)
class Fresh:
    """Training sequences that are generated during training: new ones at every step.

    Args:
        draw: ``"package.module:function"``, called as ``draw(seed, count, **parameters)``; it
            returns ``count`` sequences as a split (see :class:`Splits`). A pure function: the same
            arguments, the same sequences. ``seed`` is an integer below 2**32, derived from
            ``self.seed``, the trial's seed and the step, so all models get the same sequences.
        size: number of sequences that count as one epoch.
        seed: of the dataset, from 0; usually one of its parameters.
        parameters: passed to ``draw``; plain data.
    """

    draw: str
    size: int
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Splits:
    """A loaded dataset: the sequences of each split, with the shapes given in :class:`Task`.

    A split is ``(inputs, targets)`` or ``(inputs, targets, weights)``. Inputs of one length are one
    tensor or NumPy array, (n, time, input_size) or (n, time). Inputs of unequal length are a list
    of arrays, (time, input_size) or (time,); targets at each step are then a list as well. Nothing
    is padded. Weights are (n,), or with targets at each step (n, time) or a list of (time,): from
    0, where 0 does not count. An integer label of -100 has weight 0.

    Args:
        task: shapes and sizes.
        train: the training split, or :class:`Fresh` sequences.
        test: the test split.
        validation: ``None`` if there is no such split; then only the last epoch is reported.
        tests: instead of ``test``, several named test sets, each a split.
        headline: which of ``tests`` gives the figure in tables; ``""`` for the mean over all.
    """

    task: Task
    train: SplitData | Fresh
    test: SplitData | None = None
    validation: SplitData | None = None
    tests: Mapping[str, SplitData] = field(default_factory=dict)
    headline: str = ""
