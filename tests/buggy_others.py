"""Metrics, reports and runtimes with one bug each, planted for the checks to find."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqbench import Task


class Accuracy:
    """A metric without a bug, and the base class of those with one."""

    def __init__(self, task: Task):
        self.hits, self.rows = 0, 0

    def update(self, answers: Tensor, targets: Tensor) -> None:
        self.hits += int((answers.argmax(-1) == targets).sum())
        self.rows += len(targets)

    def compute(self) -> Any:
        return self.hits / self.rows


class MeanOfBatches(Accuracy):
    def __init__(self, task: Task):
        self.found: list[float] = []

    def update(self, answers: Tensor, targets: Tensor) -> None:
        self.found.append(float((answers.argmax(-1) == targets).float().mean()))

    def compute(self) -> float:
        return sum(self.found) / len(self.found)


class CountsAlongTheSplit(Accuracy):
    """Later rows count more."""

    def update(self, answers: Tensor, targets: Tensor) -> None:
        number = torch.arange(self.rows, self.rows + len(targets))
        self.hits += int(((answers.argmax(-1) == targets) * number).sum())
        self.rows += len(targets)


class Random(Accuracy):
    def compute(self) -> float:
        return float(super().compute()) + 1e-3 * random.random()


class Shared(Accuracy):
    """All objects count together."""

    counts = [0, 0]  # noqa: RUF012

    def update(self, answers: Tensor, targets: Tensor) -> None:
        self.counts[0] += int((answers.argmax(-1) == targets).sum())
        self.counts[1] += len(targets)

    def compute(self) -> float:
        return self.counts[0] / self.counts[1]


class Missing(Accuracy):
    def compute(self) -> float:
        return float("nan")


class Vector(Accuracy):
    def compute(self) -> Tensor:
        return torch.zeros(3)


class Percent(Accuracy):
    def compute(self) -> float:
        return 100 * float(super().compute())


class Reseeds(Accuracy):
    def update(self, answers: Tensor, targets: Tensor) -> None:
        torch.manual_seed(0)
        super().update(answers, targets)


class SetsVariable(Accuracy):
    def compute(self) -> float:
        os.environ["SEQBENCH_TEST_BUG"] = "1"
        return float(super().compute())


class Errors(Accuracy):
    """Declared with the wrong direction."""

    def compute(self) -> float:
        return 1 - float(super().compute())


class LowestRecall(Accuracy):
    """Not a number if a class does not occur."""

    def __init__(self, task: Task):
        self.right, self.all = torch.zeros(2, task.output_size)

    def update(self, answers: Tensor, targets: Tensor) -> None:
        self.right += torch.bincount(
            targets[answers.argmax(-1) == targets], minlength=len(self.all)
        )
        self.all += torch.bincount(targets, minlength=len(self.all))

    def compute(self) -> Tensor:
        lowest: Tensor = (self.right / self.all).min()
        return lowest


class TwoClasses(Accuracy):
    """Right: it only supports two classes."""

    def __init__(self, task: Task):
        super().__init__(task)
        if task.output_size != 2:
            raise ValueError("for two classes")


def correct(document: Any) -> str:
    return "\n".join(f"{plain(case['label'])}: {case['status']}" for case in document["cases"])


def plain(text: str) -> str:
    kept = "".join(c for c in text if c.isprintable()).replace("\\", "/").replace("<", "&lt;")
    return kept.lstrip("=")


def needs_a_figure(document: Any) -> str:
    return "".join(f"{plain(case['label'])} {case['metric']['mean']}" for case in document["cases"])


def needs_a_case(document: Any) -> str:
    return str(document["cases"][0]["status"])


def returns_bytes(document: Any) -> bytes:
    return b"text"


def sorts_the_document(document: Any) -> str:
    document["cases"].sort(key=lambda case: case["id"], reverse=True)
    return ""


def raw_labels(document: Any) -> str:
    return "\n".join(case["label"] for case in document["cases"])


def raw_labels_without_controls(document: Any) -> str:
    text = raw_labels(document)
    return "\n".join("".join(c for c in line if c.isprintable()) for line in text.split("\n"))


def with_a_random_number(document: Any) -> str:
    return str(random.random())


def moves(document: Any) -> str:
    os.environ["SEQBENCH_TEST_BUG"] = "1"
    return ""


Call = Callable[[Tensor], Any]


def same(model: nn.Module, inputs: Tensor, *, threads: int) -> Call:
    """A runtime without a bug."""
    return model


def doubles(model: nn.Module, inputs: Tensor, *, threads: int) -> Call:
    return lambda x: 2 * model(x)


def repeats(model: nn.Module, inputs: Tensor, *, threads: int) -> Call:
    first = model(inputs)
    return lambda x: first


def arrays(model: nn.Module, inputs: Tensor, *, threads: int) -> Call:
    return lambda x: model(x).numpy()


def overwrites(model: nn.Module, inputs: Tensor, *, threads: int) -> Call:
    def call(x: Tensor) -> Tensor:
        answer: Tensor = model(x)
        x.zero_()
        return answer

    return call


def more_threads(model: nn.Module, inputs: Tensor, *, threads: int) -> Call:
    torch.set_num_threads(threads + 1)
    return model


def no_call(model: nn.Module, inputs: Tensor, *, threads: int) -> None:
    return None
