"""What is asked of every dataset plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from seqbench import data
from seqbench.conformance.findings import Check, Skipped, Violation
from seqbench.conformance.models import declares_lightly
from seqbench.records import Choice
from seqbench.types import DataContext, Task

#: Share of a split's sequences that may stand in the training split as well: small worlds repeat
#: themselves, and real collections hold some pictures twice.
SHARED = 0.05
OTHERS = ("validation", "test")

Loaded = tuple[Task, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Holding:
    """A dataset to be examined.

    Args:
        choice: with the parameters that it is examined with.
        context: what its ``load`` may use.
    """

    choice: Choice
    context: DataContext

    @cached_property
    def loaded(self) -> Loaded:
        """Its tensors, with the first call of ``load``."""
        return data.load(self.choice, self.context)

    def again(self, **params: int) -> Loaded:
        """The tensors of another call of ``load``, with other parameters."""
        choice = replace(self.choice, params={**self.choice.params, **params})
        return data.load(choice, self.context)


def _imports_no_torch(holding: Holding) -> None:
    declares_lightly(holding.choice)


def _loads(holding: Holding) -> str:
    """Shapes, types, ranges and finite values are held against the task as it is loaded."""
    task, tensors = holding.loaded
    sizes = [f"{name[:-2]} {len(x):,}" for name, x in tensors.items() if name.endswith("_x")]
    return f"{task.input}/{task.target}, length {task.length}; {', '.join(sizes)}"


def _disjoint(holding: Holding) -> str:
    _, tensors = holding.loaded
    known = set(_rows(tensors["train_x"]))
    if len(known) < len(tensors["train_x"]) / 2:
        raise Skipped(f"a small world: the training split has {len(known):,} different sequences")
    notes = []
    for split in OTHERS:
        if f"{split}_x" not in tensors:
            continue
        rows = _rows(tensors[f"{split}_x"])
        twice = [number for number, row in enumerate(rows) if row in known]
        if len(twice) > SHARED * len(rows):
            raise Violation(
                f"the {split} split to hold other sequences than the training split",
                f"{len(twice):,} of its {len(rows):,} stand there as well",
                f"{split} sequence {twice[0]}",
            )
        if twice:
            notes.append(f"{len(twice):,} of {len(rows):,} {split} sequences are in train, too")
    return "; ".join(notes)


def _every_class(holding: Holding) -> str:
    task, tensors = holding.loaded
    if task.target == "value":
        raise Skipped("its targets are values")
    counts = torch.bincount(tensors["train_y"].flatten(), minlength=task.output_size)
    missing = (counts == 0).nonzero().flatten().tolist()
    if missing:
        raise Violation(
            f"every class from 0 to {task.output_size - 1} in the training split",
            f"there is none of {', '.join(map(str, missing[:5]))}",
        )
    return f"the rarest has {int(counts.min()):,}, the most common {int(counts.max()):,}"


def _repeatable(holding: Holding) -> None:
    differ = _differing(holding.loaded, holding.again())
    if differ:
        raise Violation(
            "the same data whenever it is loaded",
            f"{', '.join(differ)} differ from one load to the next: draw from a generator with a "
            "seed of its own",
        )


def _seeded(holding: Holding) -> None:
    if "seed" not in holding.choice.params:
        raise Skipped("it has no parameter `seed`")
    other = holding.again(seed=int(holding.choice.params["seed"] or 0) + 1)
    if not _differing(holding.loaded, other):
        raise Violation("other data for another seed", "they are the same")


def _globals(holding: Holding) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    holding.again()
    if not torch.equal(before, torch.get_rng_state()):
        raise Violation(
            "torch's own random state to be left as it was",
            "loading changes it: use a torch.Generator",
        )


CHECKS = (
    Check("import", "declaring it imports no torch", _imports_no_torch),
    Check("load", "shapes, types and ranges are as its task says", _loads, needed=True),
    Check("disjoint", "splits share no sequences", _disjoint),
    Check("classes", "every class is there to be learnt", _every_class),
    Check("repeatable", "loading again gives the same data", _repeatable),
    Check("seed", "another seed gives other data", _seeded),
    Check("globals", "the random state is left as it was", _globals),
)


def _rows(x: Tensor) -> list[bytes]:
    return [row.numpy().tobytes() for row in x]


def _differing(one: Loaded, other: Loaded) -> list[str]:
    names = dict.fromkeys([*one[1], *other[1]])
    return [name for name in names if not _equal(one[1].get(name), other[1].get(name))]


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one, other)
