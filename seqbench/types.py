"""What crosses the borders between seqbench and its plugins. Importing this costs no torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from seqbench.quantities import QUANTITIES, deciding

if TYPE_CHECKING:
    from torch import Tensor

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")

SUFFIX = re.compile(r"[a-z0-9]{1,8}")

#: Parameters that seqbench itself gives to every encoder (see :class:`ModelSpec`).
ENCODER_PARAMETERS: Mapping[str, Param]

#: What can be asked for, and every kind of task: what goes in, and that (see :class:`Task`).
TARGETS = ("label", "value", "label_per_step")

TASK_KINDS = tuple(f"{given}/{wanted}" for given in ("features", "tokens") for wanted in TARGETS)


@dataclass(frozen=True)
class Task:
    """What a model is asked to do with a dataset.

    Args:
        input: ``"features"``: batches of shape (batch, time, input_size), float32.
            ``"tokens"``: batches of shape (batch, time), int64, values in [0, input_size).
        input_size: number of features per step, or size of the vocabulary.
        target: ``"label"``: one class per sequence, targets (batch,) int64.
            ``"value"``: numbers per sequence, targets (batch, output_size) float32.
            ``"label_per_step"``: one class per step, targets (batch, time) int64.
        output_size: number of classes, or of values. A model returns (batch, output_size), or
            (batch, time, output_size) for ``"label_per_step"``.
        length: number of steps of the longest sequence. Where a suite asks for ``seq_lens``,
            latency is measured at others, too, if the model takes them.
        class_names: names of the classes, where there are any.
    """

    input: Literal["features", "tokens"]
    input_size: int
    target: Literal["label", "value", "label_per_step"]
    output_size: int
    length: int
    class_names: tuple[str, ...] = ()

    @property
    def metric(self) -> str:
        """Name of the quality figure: ``accuracy`` (share, 0 to 1) or ``mse``."""
        return deciding()[self.target].name


#: What ``seqbench show --format`` calls seqbench's own: no plugin's report is called so.
FORMATS = ("table", "json")


@dataclass(frozen=True)
class Param:
    """One parameter of a plugin: its default decides its type.

    Args:
        default: the value used when a suite gives none. ``None`` accepts any value.
        choices: the values allowed, if only some are.
        minimum: the least number allowed.
        maximum: the greatest number allowed.
        help: one line for ``seqbench models`` and ``seqbench datasets``.
    """

    default: Any
    choices: Sequence[Any] = ()
    minimum: float | None = None
    maximum: float | None = None
    help: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        given = self.default if isinstance(self.default, (list, tuple)) else [self.default]
        numbers = [one for one in given if isinstance(one, (int, float))]
        low = self.minimum is not None and any(one < self.minimum for one in numbers)
        high = self.maximum is not None and any(one > self.maximum for one in numbers)
        if low or high or (self.choices and self.default not in self.choices):
            raise ValueError(f"the default {self.default!r} is not a value that Param allows")


ENCODER_PARAMETERS = {
    "readout": Param("last", choices=("last", "mean"), help="which steps the readout sees"),
    "embedding_size": Param(32, minimum=1, help="size of a token's vector (token tasks only)"),
}


def _check_spec(kind: str, name: str, target: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{kind} name {name!r}: use letters, digits, '_', '.', '-', at most 64 of them"
        )
    if not TARGET.fullmatch(target):
        raise ValueError(f"{kind} {name!r}: {target!r} does not read 'package.module:function'")


def _as_params(parameters: Mapping[str, Any]) -> dict[str, Param]:
    return {
        name: value if isinstance(value, Param) else Param(value)
        for name, value in parameters.items()
    }


@dataclass(frozen=True)
class ModelSpec:
    """Declares a model without importing it.

    Args:
        name: what a suite calls it.
        build: ``"package.module:function"`` (or a class). For ``kind="encoder"`` it is called as
            ``build(input_size, **parameters)`` and returns a ``torch.nn.Module`` that maps
            (batch, time, input_size) to (batch, time, hidden); seqbench puts the embedding before
            it and the readout after it. For ``kind="model"`` it is called as
            ``build(task, **parameters)`` and returns the whole model.
        parameters: each parameter with its default, or a :class:`Param`.
        kind: ``"encoder"`` or ``"model"``.
        description: one line.
        tasks: the kinds of task that it can answer, as ``"features/label"`` (see
            :data:`TASK_KINDS`); ``seqbench check`` examines it on these.
    """

    name: str
    build: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["encoder", "model"] = "encoder"
    description: str = ""
    tasks: Sequence[str] = TASK_KINDS

    def __post_init__(self) -> None:
        _check_spec("model", self.name, self.build)
        if self.kind not in ("encoder", "model"):
            raise ValueError(
                f"model {self.name!r}: kind is {self.kind!r}, not 'encoder' or 'model'"
            )
        unknown = [kind for kind in self.tasks if kind not in TASK_KINDS]
        if unknown or not self.tasks:
            raise ValueError(
                f"model {self.name!r}: tasks names {', '.join(map(repr, unknown)) or 'none'}; "
                f"there are: {', '.join(TASK_KINDS)}"
            )
        own = _as_params(self.parameters)
        shared = ENCODER_PARAMETERS if self.kind == "encoder" else {}
        object.__setattr__(self, "parameters", {**own, **shared})


@dataclass(frozen=True)
class DatasetSpec:
    """Declares a dataset without loading it.

    Args:
        name: what a suite calls it.
        load: ``"package.module:function"``, called as ``load(context, **parameters)`` with a
            :class:`DataContext`; it returns :class:`Splits`. The result is stored once per set of
            parameters and plugin version, and read from there afterwards.
        parameters: each parameter with its default, or a :class:`Param`.
        description: one line.
    """

    name: str
    load: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""

    def __post_init__(self) -> None:
        _check_spec("dataset", self.name, self.load)
        object.__setattr__(self, "parameters", _as_params(self.parameters))


@dataclass(frozen=True)
class MetricSpec:
    """Declares a metric without importing it: what is asked of the trained models on the test
    split, beside accuracy or the mean squared error, which decide on the best epoch.

    Args:
        name: what a suite calls it.
        build: ``"package.module:function"`` (or a class), called as ``build(task, **parameters)``
            once for each trained model. It returns an object in the manner of torchmetrics:
            ``update(answers, targets)`` is called for each batch of the split, ``compute()`` once
            after the last, and returns one number. Tensors are on the CPU: ``answers``
            (n, output_size) float32 (for classes their scores before the softmax), ``targets``
            (n,) int64, or (n, output_size) float32 for values. With one label per step each step
            is a row.
        parameters: each parameter with its default, or a :class:`Param`.
        targets: the kinds of target that it can judge (:class:`Task`).
        higher_is_better: which way is better.
        share: whether it is a share of 1, shown in percent.
        description: one line.
    """

    name: str
    build: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    targets: Sequence[str] = ("label", "label_per_step")
    higher_is_better: bool = True
    share: bool = False
    description: str = ""

    def __post_init__(self) -> None:
        _check_spec("metric", self.name, self.build)
        if self.name in QUANTITIES:
            raise ValueError(f"metric {self.name!r}: seqbench itself calls something so")
        unknown = [target for target in self.targets if target not in TARGETS]
        if unknown or not self.targets:
            raise ValueError(
                f"metric {self.name!r}: targets names {', '.join(map(repr, unknown)) or 'none'}; "
                f"there are: {', '.join(TARGETS)}"
            )
        object.__setattr__(self, "parameters", _as_params(self.parameters))


@dataclass(frozen=True)
class ReportSpec:
    """Declares a report without importing it: a run as a text for other programs or readers.

    Args:
        name: what ``seqbench show --format`` and the key ``reports`` of a suite call it.
        render: ``"package.module:function"``, called as ``render(document, **parameters)`` with the
            run as one JSON document (docs/results.md); it returns the text.
        parameters: each parameter with its default, or a :class:`Param`.
        suffix: what the name of a file with it ends with, without the dot.
        description: one line.
    """

    name: str
    render: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    suffix: str = "txt"
    description: str = ""

    def __post_init__(self) -> None:
        _check_spec("report", self.name, self.render)
        if self.name in FORMATS:
            raise ValueError(f"report {self.name!r}: seqbench itself has one called so")
        if not SUFFIX.fullmatch(self.suffix):
            raise ValueError(f"report {self.name!r}: {self.suffix!r} is no suffix, as in 'md'")
        object.__setattr__(self, "parameters", _as_params(self.parameters))


@dataclass(frozen=True)
class RuntimeSpec:
    """Declares a runtime without importing it: a way to run a trained model.

    Args:
        name: what ``measure.latency.runtimes`` of a suite calls it.
        prepare: ``"package.module:function"``, called as ``prepare(model, inputs, threads=n)`` for
            each setting that is timed; it returns a call that takes such inputs, alone or in a
            ``seqbench.PreparedCall``. :mod:`seqbench.runtimes.base` has the contract.
        description: one line.
    """

    name: str
    prepare: str
    description: str = ""

    def __post_init__(self) -> None:
        _check_spec("runtime", self.name, self.prepare)


@dataclass(frozen=True)
class DataContext:
    """What a dataset plugin may use while it loads.

    Args:
        data_dir: the folder the user named (``--data-dir``, ``SEQBENCH_DATA``), if any.
        cache_dir: a folder that seqbench keeps for downloads.
        say: shows one line to the user.
        progress: moves a progress bar: bytes that have arrived, and bytes in all.
    """

    data_dir: Path | None
    cache_dir: Path
    say: Callable[[str], None]
    progress: Callable[[int, int], None] = lambda done, total: None


@dataclass(frozen=True)
class Splits:
    """A loaded dataset: inputs and targets of each split, shaped as :class:`Task` says.

    ``validation`` is ``None`` where there is none; then only the last epoch is reported.
    """

    task: Task
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor] | None = None
