"""What a training minimizes: torch's losses, as weighted means over targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqbench.errors import DataError, PluginError, UsageError
from seqbench.plugins.loading import check_call
from seqbench.training.methods import is_plugins, load_method, named
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Batch, Split
from seqbench.types import Task

#: The value of a suite for class weights that are inverse to the frequency of a class.
BALANCED = "balanced"

#: (answers, targets, reduction) → the mean, or the loss of each row or output.
Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Loss:
    """A loss with its parameters.

    Args:
        function: called with ``reduction="mean"`` or ``"none"``.
        class_weights: of each class, if ``function`` multiplies losses by them; else None.
    """

    task: Task
    function: Function
    class_weights: Tensor | None = field(default=None, compare=False)

    def __call__(self, answer: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """The mean over all targets, weighted if there are ``weights``; a scalar.

        Args:
            answer, targets: shaped as :class:`seqbench.Task` says.
            weights: as ``targets`` without outputs. If all are 0, or those of the classes, so is
                the loss.

        Raises:
            PluginError: the answer's shape does not match the task.
        """
        check_shape(answer, targets, self.task)
        answer = answer.flatten(0, -2)
        targets = targets.flatten() if self.task.target_type == "label" else targets.flatten(0, -2)
        if weights is None and not self._counts_nothing(targets):
            return self.function(answer, targets, reduction="mean")
        if weights is not None:
            weights = weights.flatten()
            # A NaN where nothing counts, times 0, would still be NaN.
            answer = answer.masked_fill((weights == 0)[:, None], 0)
        losses = self.function(answer, targets, reduction="none")  # (rows,) or (rows, outputs)
        losses = losses if losses.dim() == 1 else losses.mean(-1)
        total = self.rows(targets, weights).sum()
        losses = losses if weights is None else losses * weights
        return losses.sum() / torch.where(total > 0, total, 1)

    def _counts_nothing(self, targets: Tensor) -> bool:
        """Whether all targets are of classes with weight 0, of which torch's mean is 0 ÷ 0."""
        if self.class_weights is None or bool(self.class_weights.all()):
            return False  # without waiting for the device
        return not bool(self.rows(targets, None).any())

    def of_zeros(self, batch: Batch) -> float:
        """The loss of a model that answers 0, which is that of chance for classes."""
        targets, size = batch.targets, self.task.output_size
        shape = (*targets.shape, size) if self.task.target_type == "label" else targets.shape
        zeros = torch.zeros(shape, device=targets.device)
        return self(zeros, targets, batch.weights).item()

    def total(self, batch: Batch) -> Tensor | int:
        """How much a batch counts in the mean over several."""
        if self.class_weights is None:
            return batch.total(self.task)
        weights = None if batch.weights is None else batch.weights.flatten()
        return self.rows(batch.targets.flatten(), weights).sum()

    def rows(self, targets: Tensor, weights: Tensor | None) -> Tensor:
        """How much each target counts in the mean: (rows,).

        Args:
            targets: (rows,) for a label, else (rows, outputs).
            weights: (rows,); None if all are 1.
        """
        if weights is None:
            weights = torch.ones(len(targets), device=targets.device)
        if self.class_weights is None:
            return weights
        return weights * self.class_weights.to(targets.device)[targets]


def check_shape(answer: Tensor, targets: Tensor, task: Task) -> None:
    """Raise PluginError if the answer's shape does not match the targets and the task."""
    label = task.target_type == "label"
    expected = (*targets.shape, task.output_size) if label else targets.shape
    if tuple(answer.shape) != tuple(expected):
        raise PluginError(
            f"the model returned shape {tuple(answer.shape)}, expected {tuple(expected)}"
        )


#: The loss of each kind of target unless a suite names another one: cross-entropy, binary
#: cross-entropy, mean squared error.
DEFAULTS = {"label": "cross_entropy", "labels": "bce", "value": "mse"}


def default_loss(task: Task) -> Loss:
    """The loss of a kind of target: see :data:`DEFAULTS`."""
    return Loss(task, FUNCTIONS[DEFAULTS[task.target_type]])


def loss_of(splits: PreparedSplits, chosen: Mapping[str, Any] | None) -> Loss:
    """The loss of a training.

    Args:
        chosen: ``name`` and ``params`` as the suite gives them; None for the default.

    Raises:
        UsageError: it is not for the dataset's targets.
        DataError: class weights do not fit the classes, or cannot be found from the data.
    """
    from seqbench.suite.optimizers import LOSSES, loss_problem

    task = splits.task
    if chosen is None:
        return default_loss(task)
    name, params = chosen["name"], dict(chosen["params"])
    supported = chosen["targets"] if is_plugins(chosen) else LOSSES[name].targets
    if problem := loss_problem(name, supported, task.target):
        raise UsageError(f"train.loss: {problem}")
    if is_plugins(chosen):
        return Loss(task, plugins_loss(chosen, task))
    if name == "cross_entropy":
        weights = _class_weights(splits, params.pop("class_weights"), "class_weights")
        function = partial(_cross_entropy, class_weights=weights, **params)
        return Loss(task, function, weights)
    if name == "bce":
        weights = _class_weights(splits, params.pop("pos_weight"), "pos_weight")
        return Loss(task, partial(_bce, pos_weight=weights))
    return Loss(task, partial(FUNCTIONS[name], **params))


def plugins_loss(chosen: Mapping[str, Any], task: Task) -> Function:
    """A loss from a plugin, with its shape checked at every call."""
    choice, build = load_method(chosen)
    check_call(choice, build, task, **choice.params)
    loss = build(task, **choice.params)
    if not callable(loss):
        raise PluginError(
            f"{named(choice)}: {choice.import_path} returned {type(loss).__name__}, not a function "
            "of answers and targets"
        )

    def function(answers: Tensor, targets: Tensor, *, reduction: str) -> Tensor:
        if isinstance(loss, nn.Module):
            loss.to(answers.device)
        losses = loss(answers, targets)
        shapes = (answers.shape[:1], (len(answers), task.output_size))
        if not isinstance(losses, Tensor) or losses.shape not in shapes:
            tensor = isinstance(losses, Tensor)
            got = f"a tensor of shape {tuple(losses.shape)}" if tensor else type(losses).__name__
            hint = "; use reduction='none'" if tensor and not losses.dim() else ""
            raise PluginError(
                f"{named(choice)}: the loss returned {got}, not the loss of each row, of shape "
                f"{tuple(shapes[0])}, or of each output, {shapes[1]}: seqbench takes the mean{hint}"
            )
        return losses.mean() if reduction == "mean" else losses

    return function


def _class_weights(splits: PreparedSplits, given: Any, name: str) -> Tensor | None:
    """The weight of each class, (classes,) float32; None if all are 1."""
    size = splits.task.output_size
    if given is None:
        return None
    if given == BALANCED:
        if not isinstance(splits.train, Split):
            raise DataError(f"train.loss: {name}: balanced needs stored training sequences")
        return _balanced(splits.train)
    numbers = given if isinstance(given, list) else [given]
    if not all(isinstance(one, (int, float)) and 0 <= one < torch.inf for one in numbers):
        raise UsageError(f"train.loss: {name} is {given!r}, not numbers from 0 on, nor balanced")
    if len(numbers) != size:
        raise UsageError(
            f"train.loss: {name} has {len(numbers)} numbers, but the dataset has {size} classes"
        )
    return torch.tensor(numbers, dtype=torch.float32)


def _balanced(train: Split) -> Tensor:
    """For a label the weights of scikit-learn's ``balanced``: targets ÷ (classes · targets of the
    class). For several labels, of each the number of zeros ÷ the number of ones. Targets count by
    their weights; a class that does not occur has weight 0.
    """
    size, label = train.task.output_size, train.task.target_type == "label"
    targets = train.targets.flatten() if label else train.targets.flatten(0, -2)
    weights = torch.ones(len(targets)) if train.weights is None else train.weights.flatten()
    if label:
        counts = torch.zeros(size, dtype=torch.float64).index_add_(0, targets, weights.double())
        found = counts.sum() / (size * counts)
    else:
        counts = (targets.double() * weights.double()[:, None]).sum(0)
        found = (weights.double().sum() - counts) / counts
    return torch.where(counts > 0, found, 0).float()


def _cross_entropy(
    answers: Tensor,
    targets: Tensor,
    *,
    reduction: str,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    weight = None if class_weights is None else class_weights.to(answers.device)
    return functional.cross_entropy(
        answers, targets, weight=weight, label_smoothing=label_smoothing, reduction=reduction
    )


def _bce(
    answers: Tensor, targets: Tensor, *, reduction: str, pos_weight: Tensor | None = None
) -> Tensor:
    weight = None if pos_weight is None else pos_weight.to(answers.device)
    floats = targets.to(answers.dtype)
    return functional.binary_cross_entropy_with_logits(
        answers, floats, pos_weight=weight, reduction=reduction
    )


def _quantile(answers: Tensor, targets: Tensor, *, reduction: str, q: float) -> Tensor:
    """Koenker and Bassett 1978: q · error above, (1 - q) · error below."""
    errors = targets - answers
    losses = torch.maximum(q * errors, (q - 1) * errors)
    return losses.mean() if reduction == "mean" else losses


def _log_cosh(answers: Tensor, targets: Tensor, *, reduction: str) -> Tensor:
    """log cosh x = |x| + log(1 + exp(-2|x|)) - log 2, which does not overflow."""
    errors = (answers - targets).abs()
    losses = errors + functional.softplus(-2 * errors) - torch.log(torch.tensor(2.0))
    return losses.mean() if reduction == "mean" else losses


FUNCTIONS: Mapping[str, Function] = {
    "cross_entropy": _cross_entropy,
    "multi_margin": functional.multi_margin_loss,
    "bce": _bce,
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": functional.huber_loss,
    "smooth_l1": functional.smooth_l1_loss,
    "quantile": _quantile,
    "log_cosh": _log_cosh,
    "poisson_nll": functional.poisson_nll_loss,
}
