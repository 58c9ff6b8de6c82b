"""What is asked of every dataset plugin."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from seqbench.plugins.choice import Choice
from seqbench.testing.plugin_checks.declaring import declares_lightly
from seqbench.testing.plugin_checks.results import Check, Skipped, Violation
from seqbench.training.data import load_dataset
from seqbench.types import DataContext, Task

#: Share of a split's sequences that may stand in another split as well: real collections hold some
#: pictures twice.
SHARED = 0.05

#: Pairs of splits, the one that is to hold other sequences first.
PAIRS = (("validation", "train"), ("test", "train"), ("test", "validation"))

#: A world is small that has fewer possible sequences than so many times those that are there; what
#: steps it knows is seen from so many sequences.
SMALL, SEEN = 10, 1000

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
        return load_dataset(self.choice, self.context)

    def again(self) -> Loaded:
        """The tensors of another call of ``load``."""
        return load_dataset(self.choice, self.context)


def _imports_no_torch(holding: Holding) -> None:
    declares_lightly(holding.choice)


def _loads(holding: Holding) -> str:
    """Shapes, types, ranges and finite values are held against the task as it is loaded."""
    task, tensors = holding.loaded
    sizes = [f"{name[:-2]} {len(x):,}" for name, x in tensors.items() if name.endswith("_x")]
    return f"{task.input}/{task.target}, length {task.length}; {', '.join(sizes)}"


def _disjoint(holding: Holding) -> str:
    _, tensors = holding.loaded
    steps, possible = _possible(tensors["train_x"])
    if possible < SMALL * sum(len(x) for name, x in tensors.items() if name.endswith("_x")):
        raise Skipped(
            f"a small world: at most {possible:,.0f} sequences of {steps} different steps"
        )
    rows = {name[:-2]: _rows(x) for name, x in tensors.items() if name.endswith("_x")}
    notes = []
    for split, other in PAIRS:
        known = set(rows.get(other, ()))
        twice = [number for number, row in enumerate(rows.get(split, ())) if row in known]
        if len(twice) > SHARED * len(rows.get(split, ())):
            raise Violation(
                f"the {split} split to hold other sequences than the {other} split",
                f"{len(twice):,} of its {len(rows[split]):,} stand there as well",
                f"{split} sequence {twice[0]}",
            )
        if twice:
            notes.append(f"{len(twice):,} of {len(rows[split]):,} {split} sequences are in {other}")
    return "; ".join(notes)


def _possible(x: Tensor) -> tuple[int, float]:
    """Different steps among the first sequences, and how many sequences can be made of them; no end
    of them where steps hardly repeat.
    """
    seen = x[:SEEN].flatten(0, 1)
    steps = len(torch.unique(seen, dim=0))
    if 2 * steps > len(seen):
        return steps, math.inf
    return steps, math.exp(min(x.shape[1] * math.log(steps), 700.0))


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


def _repeatable(holding: Holding) -> str:
    """Also in another process, whose sets have another order."""
    again = _differing(holding.loaded, holding.again())
    here, there = digests(holding), _elsewhere(holding)
    differ = [
        name
        for name in dict.fromkeys([*here, *there])
        if name in again or here.get(name) != there.get(name)
    ]
    if differ:
        raise Violation(
            "the same data whenever it is loaded, in whatever process",
            f"{', '.join(differ)} differ from one load to the next: draw from a generator with a "
            "seed of its own, and do not rely on the order of a set",
        )
    return f"SHA-256 {hashlib.sha256(json.dumps(here).encode()).hexdigest()[:16]}…"


def digests(holding: Holding) -> dict[str, str]:
    """SHA-256 of each tensor."""
    _, tensors = holding.loaded
    return {name: hashlib.sha256(x.numpy().tobytes()).hexdigest() for name, x in tensors.items()}


def _elsewhere(holding: Holding) -> dict[str, str]:
    """Digests of what a fresh Python loads. Raises Violation: it loads nothing."""
    code = (
        "import json, pathlib, sys\n"
        "from seqbench.testing.plugin_checks.datasets import Holding, digests\n"
        "from seqbench.plugins.choice import Choice\n"
        "from seqbench.types import DataContext\n"
        "choice, data_dir, cache_dir = json.loads(sys.argv[1])\n"
        "data_dir = pathlib.Path(data_dir) if data_dir else None\n"
        "context = DataContext(data_dir, pathlib.Path(cache_dir), lambda text: None)\n"
        "print(json.dumps(digests(Holding(Choice(**choice), context))))\n"
    )
    context = holding.context
    data_dir = str(context.data_dir) if context.data_dir else None
    asked = json.dumps([asdict(holding.choice), data_dir, str(context.cache_dir)])
    other = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    changed = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": other}
    done = subprocess.run(
        [sys.executable, "-c", code, asked], capture_output=True, text=True,
        env={**os.environ, **changed},
    )  # fmt: skip
    if done.returncode:
        raise Violation("the data in another process", done.stderr.strip().rpartition("\n")[2])
    found: dict[str, str] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return found


def _seeded(holding: Holding) -> None:
    if "seed" not in holding.choice.params:
        raise Skipped("it has no parameter `seed`")
    params = {**holding.choice.params, "seed": int(holding.choice.params["seed"] or 0) + 1}
    other = replace(holding, choice=replace(holding.choice, params=params))
    if digests(holding) == _elsewhere(other):
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


DATASET_CHECKS = (
    Check("import", "declaring it imports no torch", _imports_no_torch),
    Check("load", "shapes, types and ranges are as its task says", _loads, needed=True),
    Check("disjoint", "splits share no sequences, but for 5 % at most", _disjoint),
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
