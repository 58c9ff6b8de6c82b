"""Metrics, reports, runtimes and methods of training with one bug each, planted for the checks."""

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


def row_loss(task: Task) -> Any:
    """A loss without a bug."""
    return lambda answers, targets: nn.functional.cross_entropy(answers, targets, reduction="none")


def mean_loss(task: Task) -> Any:
    return lambda answers, targets: nn.functional.cross_entropy(answers, targets)


def batch_loss(task: Task) -> Any:
    """Divides by what the other rows of the batch give."""

    def loss(answers: Tensor, targets: Tensor) -> Tensor:
        losses = nn.functional.cross_entropy(answers, targets, reduction="none")
        return losses / losses.detach().max()

    return loss


def rising_loss(task: Task) -> Any:
    return lambda answers, targets: answers.detach()[:, 0] + 0 * answers[:, 0]


class Sign(torch.optim.Optimizer):
    """An optimizer without a bug: signs of averaged gradients."""

    def __init__(self, parameters: Any, lr: float = 1e-3):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                average = self.average(p)
                average.lerp_(p.grad, 0.1)
                p.sub_(group["lr"] * average.sign())

    def average(self, p: Tensor) -> Tensor:
        found: Tensor = self.state[p].setdefault("average", torch.zeros_like(p))
        return found


class Forgetful(Sign):
    """Keeps its averages where its state dict does not see them."""

    averages: dict[Tensor, Tensor]

    def average(self, p: Tensor) -> Tensor:
        self.__dict__.setdefault("averages", {})
        return self.averages.setdefault(p, torch.zeros_like(p))


class OnlyMatrices(Sign):
    def average(self, p: Tensor) -> Tensor:
        return super().average(p) if p.ndim > 1 else torch.zeros_like(p).requires_grad_(False)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        before = [p.detach().clone() for g in self.param_groups for p in g["params"]]
        super().step()
        with torch.no_grad():
            now = [p for g in self.param_groups for p in g["params"]]
            for old, p in zip(before, now, strict=True):
                if p.ndim == 1:
                    p.copy_(old)


def one_rate(parameters: Any, lr: float = 1e-3) -> Sign:
    """Ignores groups."""
    flat = [p for g in parameters for p in (g["params"] if isinstance(g, dict) else [g])]
    return Sign(flat, lr)


def no_optimizer(parameters: Any) -> Any:
    return parameters


class Trapezoid(torch.optim.lr_scheduler.LRScheduler):
    """A schedule without a bug: constant, then falling along a line."""

    def __init__(self, optimizer: Any, *, steps: int, steps_per_epoch: int, flat: float = 0.5):
        self.steps, self.flat = steps, flat
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:  # type: ignore[override]
        left = (self.steps - self.last_epoch) / (self.steps * (1 - self.flat))
        return [float(base) * max(min(1.0, left), 0.0) for base in self.base_lrs]


class Bare:
    """No LRScheduler: correct, but it cannot begin after a warm-up."""

    def __init__(self, optimizer: Any, *, steps: int, steps_per_epoch: int):
        self.optimizer, self.count = optimizer, 0

    def step(self) -> None:
        self.count += 1
        for group in self.optimizer.param_groups:
            group["lr"] = 0.1 / (1 + self.count)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


class Restarting(Bare):
    """Begins again after a checkpoint; as a subclass of Bare it cannot be warmed up either."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Negative(Trapezoid):
    def get_lr(self) -> list[float]:  # type: ignore[override]
        return [-float(base) for base in self.base_lrs]


def no_schedule(optimizer: Any, *, steps: int, steps_per_epoch: int) -> Any:
    return None
