"""The checks of dataset plugins."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from seqbench.plugins.choice import Choice
from seqbench.testing.plugin_checks.declaring import declares_lightly
from seqbench.testing.plugin_checks.results import Check, Skipped, Violation, Warned
from seqbench.training.data import load_dataset
from seqbench.training.data_checks import DRAWN
from seqbench.training.fresh import FreshSplit
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Split
from seqbench.types import DataContext

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
    def loaded(self) -> PreparedSplits:
        """Its splits, from the first call of ``load``."""
        return load_dataset(self.choice, self.context)

    def reload(self) -> PreparedSplits:
        """Its splits, from another call of ``load``."""
        return load_dataset(self.choice, self.context)


def _imports_no_torch(candidate: DatasetCandidate) -> None:
    declares_lightly(candidate.choice)


def _loads(candidate: DatasetCandidate) -> str:
    """Loading validates shapes, types, ranges and finite values against the task."""
    splits = candidate.loaded
    task = splits.task
    if candidate.tasks and task.kind not in candidate.tasks:
        raise Violation(f"a task that it declares: {', '.join(candidate.tasks)}", task.kind)
    sizes = [f"{name} {len(split):,}" for name, split in splits.stored.items()]
    if isinstance(splits.train, FreshSplit):
        sizes.insert(0, f"train {len(splits.train):,}, fresh")
    if splits.test.sets:
        sets = ", ".join(f"{one.name} {one.count:,}" for one in splits.test.sets)
        sizes = [f"{size} ({sets})" if size.startswith("test ") else size for size in sizes]
    for name, split in splits.stored.items():
        if split.weights is not None:
            counted = float((split.weights > 0).double().mean())
            sizes.append(f"{counted:.1%} of the {name} targets count")
    causal = ", causal" if task.causal else ""
    shortest = min(int(split.lengths.min()) for split in splits.stored.values())
    lengths = f"length {task.length}"
    if splits.unequal:
        lengths = f"lengths {shortest} to {task.length}"
    return f"{task.kind}{causal}, {lengths}; {', '.join(sizes)}"


def _disjoint(candidate: DatasetCandidate) -> str:
    stored = candidate.loaded.stored
    first = stored.get("train", candidate.loaded.test)
    steps, possible = _possible(first)
    if possible < MIN_POSSIBLE * sum(map(len, stored.values())):
        raise Skipped(
            f"only {possible:,.0f} different sequences are possible, with {steps} different steps"
        )
    rows = {name: _rows(split) for name, split in stored.items()}
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


def _possible(split: Split) -> tuple[int, float]:
    """The number of different steps in the first sequences, and of sequences possible with them.

    The latter is infinite if most steps are unique.
    """
    part = split.head(COUNTED).flat()
    steps = len(torch.unique(part.inputs, dim=0))
    if 2 * steps > len(part.inputs):
        return steps, math.inf
    typical = int(part.lengths.median())
    return steps, math.exp(min(typical * math.log(steps), 700.0))


def _every_class(candidate: DatasetCandidate) -> str:
    splits = candidate.loaded
    if splits.task.target_type == "value":
        raise Skipped("targets are values")
    if isinstance(splits.train, FreshSplit):
        raise Skipped("training sequences are generated during training")
    counts = torch.bincount(_classes(splits.train), minlength=splits.task.output_size)
    missing = (counts == 0).nonzero().flatten()
    if len(missing):
        _without_training(splits, missing)
    return f"labels per class: {int(counts.min()):,} to {int(counts.max()):,}"


def _classes(split: Split) -> Tensor:
    """The classes that occur in the targets that count, each as often as it occurs."""
    targets = split.targets
    if split.weights is not None:
        targets = targets[split.weights > 0]
    if split.task.target_type == "labels":
        return targets.flatten(0, -2).nonzero()[:, 1]
    return targets.flatten()


def _without_training(splits: PreparedSplits, missing: Tensor) -> None:
    """Classes without a training sequence: a warning if they are rare elsewhere, else a failure."""
    shown = ", ".join(map(str, missing[:MAX_SHOWN].tolist()))
    found = f"no sequences of class {shown}" + (", …" if len(missing) > MAX_SHOWN else "")
    others = [_classes(split) for name, split in splits.stored.items() if name != "train"]
    share = float(torch.isin(torch.cat(others), missing).double().mean())
    where = f"{share:.2%} of the labels in other splits" if share else "nor in any other split"
    if share > MAX_UNSEEN:
        raise Violation(
            f"every class from 0 to {splits.task.output_size - 1} in the training split",
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
    tensors = candidate.loaded.tensors()
    train = candidate.loaded.train
    if isinstance(train, FreshSplit):
        drawn = train.drawn(0, 0, DRAWN)
        tensors |= {"train_x": drawn.inputs, "train_y": drawn.targets}
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
    if candidate.loaded.validation is None:
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


def _rows(split: Split) -> list[bytes]:
    """The content of each sequence."""
    flat = split.flat()
    assert flat.offsets is not None
    parts = torch.tensor_split(flat.inputs, flat.offsets[1:-1])
    return [part.numpy().tobytes() for part in parts]


def _differing(one: PreparedSplits, other: PreparedSplits) -> list[str]:
    here, there = one.tensors(), other.tensors()
    names = dict.fromkeys([*here, *there])
    return [name for name in names if not _equal(here.get(name), there.get(name))]


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one, other)
