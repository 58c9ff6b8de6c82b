"""The checks of dataset plugins."""

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
from seqbench.testing.plugin_checks.results import Check, Skipped, Violation, Warned
from seqbench.training.data import load_dataset
from seqbench.types import DataContext, Task

#: Fraction of a split's sequences that may also be in another split: real collections contain some
#: duplicates.
MAX_SHARED = 0.05

#: Fraction of the labels in other splits that may be of classes without a training sequence: rare
#: classes of natural data, such as characters of a text.
MAX_UNSEEN = 0.05

#: Maximum number of classes that a message names.
MAX_SHOWN = 5

#: Pairs of splits that should not share sequences.
PAIRS = (("validation", "train"), ("test", "train"), ("test", "validation"))

#: Splits are not compared if fewer than this multiple of the dataset's sequences are possible;
#: the possible steps are counted in this many sequences.
MIN_POSSIBLE, COUNTED = 10, 1000

Loaded = tuple[Task, Mapping[str, Tensor]]


@dataclass(frozen=True)
class DatasetCandidate:
    """A dataset to check.

    Args:
        choice: the dataset with all its parameters.
        context: passed to its ``load``.
        other_seed: another valid value of its parameter ``seed``; None if it has none.
        tasks: the kinds of task that it declares, if any.
    """

    choice: Choice
    context: DataContext
    other_seed: int | None = None
    tasks: tuple[str, ...] = ()

    @cached_property
    def loaded(self) -> Loaded:
        """Its tensors, from the first call of ``load``."""
        return load_dataset(self.choice, self.context)

    def reload(self) -> Loaded:
        """Its tensors, from another call of ``load``."""
        return load_dataset(self.choice, self.context)


def _imports_no_torch(candidate: DatasetCandidate) -> None:
    declares_lightly(candidate.choice)


def _loads(candidate: DatasetCandidate) -> str:
    """Loading validates shapes, types, ranges and finite values against the task."""
    task, tensors = candidate.loaded
    if candidate.tasks and task.kind not in candidate.tasks:
        raise Violation(f"a task that it declares: {', '.join(candidate.tasks)}", task.kind)
    sizes = [f"{name[:-2]} {len(x):,}" for name, x in tensors.items() if name.endswith("_x")]
    causal = ", causal" if task.causal else ""
    return f"{task.kind}{causal}, length {task.length}; {', '.join(sizes)}"


def _disjoint(candidate: DatasetCandidate) -> str:
    _, tensors = candidate.loaded
    steps, possible = _possible(tensors["train_x"])
    if possible < MIN_POSSIBLE * sum(len(x) for name, x in tensors.items() if name.endswith("_x")):
        raise Skipped(
            f"only {possible:,.0f} different sequences are possible, with {steps} different steps"
        )
    rows = {name[:-2]: _rows(x) for name, x in tensors.items() if name.endswith("_x")}
    notes = []
    for split, other in PAIRS:
        known = set(rows.get(other, ()))
        shared = [number for number, row in enumerate(rows.get(split, ())) if row in known]
        if len(shared) > MAX_SHARED * len(rows.get(split, ())):
            raise Violation(
                f"a {split} split with other sequences than the {other} split",
                f"{len(shared):,} of its {len(rows[split]):,} sequences are in {other}, too",
                f"{split} sequence {shared[0]}",
            )
        if shared:
            notes.append(
                f"{len(shared):,} of {len(rows[split]):,} {split} sequences are in {other}"
            )
    return "; ".join(notes)


def _possible(x: Tensor) -> tuple[int, float]:
    """The number of different steps in the first sequences, and of sequences possible with them.

    The latter is infinite if most steps are unique.
    """
    counted = x[:COUNTED].flatten(0, 1)
    steps = len(torch.unique(counted, dim=0))
    if 2 * steps > len(counted):
        return steps, math.inf
    return steps, math.exp(min(x.shape[1] * math.log(steps), 700.0))


def _every_class(candidate: DatasetCandidate) -> str:
    task, tensors = candidate.loaded
    if task.target == "value":
        raise Skipped("targets are values")
    counts = torch.bincount(tensors["train_y"].flatten(), minlength=task.output_size)
    missing = (counts == 0).nonzero().flatten()
    if len(missing):
        _without_training(task, tensors, missing)
    return f"labels per class: {int(counts.min()):,} to {int(counts.max()):,}"


def _without_training(task: Task, tensors: Mapping[str, Tensor], missing: Tensor) -> None:
    """Classes without a training sequence: a warning if they are rare elsewhere, else a failure."""
    shown = ", ".join(map(str, missing[:MAX_SHOWN].tolist()))
    found = f"no sequences of class {shown}" + (", …" if len(missing) > MAX_SHOWN else "")
    others = [tensors[name].flatten() for name in ("validation_y", "test_y") if name in tensors]
    share = float(torch.isin(torch.cat(others), missing).double().mean())
    where = f"{share:.2%} of the labels in other splits" if share else "nor in any other split"
    if share > MAX_UNSEEN:
        raise Violation(
            f"every class from 0 to {task.output_size - 1} in the training split",
            f"{found} ({where})",
        )
    raise Warned(f"{found} in the training split ({where}): no model can learn them")


def _repeatable(candidate: DatasetCandidate) -> str:
    """Loading again gives the same data, also in a process with another order of sets."""
    reloaded = _differing(candidate.loaded, candidate.reload())
    here, there = digests(candidate), _elsewhere(candidate)
    differ = [
        name
        for name in dict.fromkeys([*here, *there])
        if name in reloaded or here.get(name) != there.get(name)
    ]
    if differ:
        raise Violation(
            "the same data from every load, in every process",
            f"{', '.join(differ)} differ between loads: use a generator with a fixed seed, and do "
            "not rely on the order of a set",
        )
    return f"SHA-256 {hashlib.sha256(json.dumps(here).encode()).hexdigest()[:16]}…"


def digests(candidate: DatasetCandidate) -> dict[str, str]:
    """SHA-256 of each tensor."""
    _, tensors = candidate.loaded
    return {name: hashlib.sha256(x.numpy().tobytes()).hexdigest() for name, x in tensors.items()}


def _elsewhere(candidate: DatasetCandidate) -> dict[str, str]:
    """Digests of the data loaded by a new Python process.

    Raises:
        Violation: loading fails there.
    """
    code = (
        "import json, pathlib, sys\n"
        "from seqbench.testing.plugin_checks.datasets import DatasetCandidate, digests\n"
        "from seqbench.plugins.choice import Choice\n"
        "from seqbench.types import DataContext\n"
        "choice, data_dir, cache_dir = json.loads(sys.argv[1])\n"
        "data_dir = pathlib.Path(data_dir) if data_dir else None\n"
        "context = DataContext(data_dir, pathlib.Path(cache_dir), lambda text: None)\n"
        "print(json.dumps(digests(DatasetCandidate(Choice(**choice), context))))\n"
    )
    context = candidate.context
    data_dir = str(context.data_dir) if context.data_dir else None
    argument = json.dumps([asdict(candidate.choice), data_dir, str(context.cache_dir)])
    other = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    changed = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": other}
    done = subprocess.run(
        [sys.executable, "-c", code, argument], capture_output=True, text=True,
        env={**os.environ, **changed},
    )  # fmt: skip
    if done.returncode:
        raise Violation("the same data in another process", done.stderr.strip().rpartition("\n")[2])
    loaded: dict[str, str] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return loaded


def _seeded(candidate: DatasetCandidate) -> None:
    if "seed" not in candidate.choice.params:
        raise Skipped("no parameter `seed`")
    if candidate.other_seed is None:
        raise Skipped("its parameter `seed` has one valid value only")
    params = {**candidate.choice.params, "seed": candidate.other_seed}
    other = replace(candidate, choice=replace(candidate.choice, params=params))
    if digests(candidate) != _elsewhere(other):
        return
    if "validation_x" not in candidate.loaded[1]:
        raise Warned(
            "the same data for another seed, which is right only if the seed draws the validation "
            "split, and this dataset has none"
        )
    raise Violation("different data for another seed", "the same data")


def _globals(candidate: DatasetCandidate) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    candidate.reload()
    if not torch.equal(before, torch.get_rng_state()):
        raise Violation(
            "torch's global random state unchanged",
            "loading changes it: use a torch.Generator",
        )


DATASET_CHECKS = (
    Check("import", "its declaration imports no torch", _imports_no_torch),
    Check("load", "shapes, types and ranges match its task", _loads, needed=True),
    Check("disjoint", "splits share at most 5 % of their sequences", _disjoint),
    Check("classes", "the training split has all but rare classes", _every_class),
    Check("repeatable", "every load gives the same data", _repeatable),
    Check("seed", "another seed gives different data", _seeded),
    Check("globals", "the global random state is unchanged", _globals),
)


def _rows(x: Tensor) -> list[bytes]:
    return [row.numpy().tobytes() for row in x]


def _differing(one: Loaded, other: Loaded) -> list[str]:
    names = dict.fromkeys([*one[1], *other[1]])
    return [name for name in names if not _equal(one[1].get(name), other[1].get(name))]


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one, other)
