"""What an estimator returns, in the form of a model's answers.

Answers for one label are one score for each class, of which the largest is predicted; for several
labels the score of each, which is predicted if it is positive (:class:`seqbench.Task`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqbench.errors import PluginError
from seqbench.types import Task

#: How far the probabilities of a sequence's classes may be from 1 in sum.
ROUNDING = 1e-3


def of_predict(found: Any, task: Task, rows: int, *, who: str) -> Tensor:
    """From `predict`: one-hot for a label, 1 and -1 for several, the values otherwise.

    Args:
        found: (rows,) or (rows, outputs).

    Raises:
        PluginError: it has another shape, or is no such target.
    """
    array = np.asarray(found)
    if task.target_type == "label":
        array = _shaped(array, (rows,), who, "predict")
        classes = torch.from_numpy(_classes(array, task, who, "predict"))
        return torch.nn.functional.one_hot(classes, task.output_size).float()
    if task.output_size == 1 and array.shape == (rows,):
        array = array[:, None]
    array = _numbers(_shaped(array, (rows, task.output_size), who, "predict"), who, "predict")
    if task.target_type == "labels":
        if not np.isin(array, (0, 1)).all():
            raise PluginError(f"{who}: predict returned other labels than 0 and 1")
        array = 2 * array - 1
    return torch.from_numpy(array.astype(np.float32))


def of_probabilities(found: Any, classes: Any, task: Task, rows: int, *, who: str) -> Tensor:
    """From `predict_proba`: the logarithms of probabilities, or for several labels the log-odds;
    infinite where they are 0 or 1.

    Args:
        found: (rows, classes); for several labels also a list with (rows, 2) for each.
        classes: that the columns are of; None for all, in their order.

    Raises:
        PluginError: it has another shape, or holds no probabilities.
    """
    name = "predict_proba"
    if task.target_type == "labels" and isinstance(found, list):
        found = np.stack(
            [_of_yes(one, _each(classes, number)) for number, one in enumerate(found)], axis=1
        )
    array = _numbers(np.asarray(found), who, name)
    if bool((array < 0).any()) or bool((array > 1 + ROUNDING).any()):
        raise PluginError(f"{who}: {name} returned numbers that are not from 0 to 1")
    with np.errstate(divide="ignore"):
        if task.target_type == "labels":
            array = np.minimum(_shaped(array, (rows, task.output_size), who, name), 1)
            return torch.from_numpy((np.log(array) - np.log1p(-array)).astype(np.float32))
        array = _of_all_classes(array, classes, task, rows, who=who, name=name)
        if bool((np.abs(array.sum(1) - 1) > ROUNDING).any()):
            raise PluginError(f"{who}: {name} returned probabilities that do not sum to 1")
        return torch.from_numpy(np.log(array).astype(np.float32))


def of_scores(found: Any, classes: Any, task: Task, rows: int, *, who: str) -> Tensor:
    """From `decision_function`.

    Args:
        found: (rows, classes), or of two classes (rows,): positive for the second one.
        classes: that the columns are of; None for all, in their order.

    Raises:
        PluginError: it has another shape, or is not finite.
    """
    name = "decision_function"
    array = _numbers(np.asarray(found), who, name)
    if task.target_type == "labels":
        if task.output_size == 1 and array.shape == (rows,):
            array = array[:, None]
        shaped = _shaped(array, (rows, task.output_size), who, name)
        return torch.from_numpy(shaped.astype(np.float32))
    if array.shape == (rows,):
        array = np.stack([-array / 2, array / 2], axis=1)
    array = _of_all_classes(array, classes, task, rows, who=who, name=name, least=True)
    return torch.from_numpy(array.astype(np.float32))


def _of_all_classes(
    array: NDArray[Any], classes: Any, task: Task, rows: int, *, who: str, name: str,
    least: bool = False,
) -> NDArray[Any]:  # fmt: skip
    """Columns of some classes as those of all: (rows, output_size).

    Args:
        least: whether another class gets less than any of a row, instead of 0.
    """
    if classes is None:
        return _shaped(array, (rows, task.output_size), who, name)
    numbers = _classes(np.asarray(classes), task, who, "classes_")
    array = _shaped(array, (rows, len(numbers)), who, name)
    others = array.min(1, keepdims=True) - 1 if least else np.zeros((rows, 1))
    whole = np.repeat(others, task.output_size, axis=1)
    whole[:, numbers] = array
    return whole


def _each(classes: Any, number: int) -> Any:
    """The classes of one of several labels: 0 and 1, unless only one of them occurs."""
    return (0, 1) if classes is None else classes[number]


def _of_yes(columns: Any, classes: Any) -> NDArray[Any]:
    """The probability of 1: (rows,)."""
    places = np.flatnonzero(np.asarray(classes) == 1)
    array = np.asarray(columns)
    found: NDArray[Any] = array[:, places[0]] if len(places) else np.zeros(len(array))
    return found


def _classes(array: NDArray[Any], task: Task, who: str, name: str) -> NDArray[np.int64]:
    """Class numbers as int64."""
    whole = array.dtype.kind in "iub" or (array.dtype.kind == "f" and (array % 1 == 0).all())
    if not whole or not ((array >= 0) & (array < task.output_size)).all():
        raise PluginError(
            f"{who}: {name} has other classes than 0 to {task.output_size - 1}, which it was "
            "fitted to"
        )
    return array.astype(np.int64)


def _shaped(array: NDArray[Any], shape: tuple[int, ...], who: str, name: str) -> NDArray[Any]:
    if array.shape != shape:
        raise PluginError(f"{who}: {name} returned shape {array.shape}, expected {shape}")
    return array


def _numbers(array: NDArray[Any], who: str, name: str) -> NDArray[Any]:
    """Finite numbers, in double precision."""
    if array.dtype.kind not in "iubf" or not np.isfinite(array).all():
        raise PluginError(f"{who}: {name} returned something other than finite numbers")
    return array.astype(np.float64)
