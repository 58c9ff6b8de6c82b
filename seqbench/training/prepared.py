"""A prepared dataset in memory, and the tensors and metadata of its file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from seqbench.plugins.choice import Choice, to_json
from seqbench.records import Data
from seqbench.store.validation import adapter
from seqbench.training.fresh import FreshSplit, is_own
from seqbench.training.split import PARTS, Split, TestSet
from seqbench.types import Task

SPLITS = ("train", "test", "validation")


@dataclass(frozen=True)
class PreparedSplits:
    """A prepared dataset. Mapped into memory, its pages are read on first use and shared."""

    task: Task
    train: Split | FreshSplit
    test: Split
    validation: Split | None = None

    @property
    def stored(self) -> dict[str, Split]:
        """The splits by name, without fresh sequences."""
        splits = {name: getattr(self, name) for name in SPLITS}
        return {name: split for name, split in splits.items() if isinstance(split, Split)}

    @property
    def unequal(self) -> bool:
        """Whether the sequences of a stored split differ in length."""
        return any(split.offsets is not None for split in self.stored.values())

    @property
    def sizes(self) -> Data:
        """Size and shape, as trials record them."""
        return Data(
            train=len(self.train),
            validation=len(self.validation) if self.validation is not None else 0,
            test=len(self.test),
            length=self.task.length,
            input_size=self.task.input_size,
            output_size=self.task.output_size,
        )

    def tensors(self) -> dict[str, Tensor]:
        """What its file contains."""
        return {
            f"{name}_{part}": tensor
            for name, split in self.stored.items()
            for part, tensor in split.tensors().items()
        }

    def metadata(self) -> dict[str, Any]:
        """What its file says besides the tensors, as plain data. Keys for new properties are left
        out if they say nothing, so that the files of other datasets do not change.
        """
        task = dataclasses.asdict(self.task)
        if not self.task.causal:
            del task["causal"]
        found: dict[str, Any] = {"task": task}
        if self.test.sets:
            sets = [[one.name, one.count] for one in self.test.sets]
            found["tests"] = {"sets": sets, "headline": self.test.headline}
        if isinstance(self.train, FreshSplit):
            train = self.train
            found["fresh"] = {
                "dataset": to_json(train.dataset), "draw": train.draw_path,
                "parameters": dict(train.parameters), "size": train.size, "seed": train.seed,
            }  # fmt: skip
        return found

    @classmethod
    def of(
        cls,
        tensors: Mapping[str, Tensor],
        metadata: Mapping[str, str],
        *,
        one_length: bool,
        carried: bool = False,
    ) -> PreparedSplits:
        """From the content of a file.

        Args:
            one_length, carried: see :class:`seqbench.training.split.Split`.

        Raises:
            LookupError, ValueError, TypeError: it is no prepared dataset.
        """
        task = Task.from_dict(json.loads(metadata["task"]))
        tests = json.loads(metadata.get("tests", '{"sets": [], "headline": ""}'))
        sets = tuple(TestSet(name, count) for name, count in tests["sets"])

        def split(name: str) -> Split:
            x, y = tensors[f"{name}_x"], tensors[f"{name}_y"]
            weights, offsets = (tensors.get(f"{name}_{part}") for part in PARTS[2:])
            stored = Split(task, x, y, weights, offsets, one_length=one_length, carried=carried)
            if name != "test":
                return stored
            return dataclasses.replace(stored, sets=sets, headline=tests["headline"])

        train: Split | FreshSplit
        if "fresh" in metadata:
            train = _fresh_of(task, json.loads(metadata["fresh"]))
        else:
            train = split("train")
        validation = split("validation") if "validation_x" in tensors else None
        return cls(task, train, split("test"), validation)


def _fresh_of(task: Task, stored: Mapping[str, Any]) -> FreshSplit:
    dataset: Choice = adapter(Choice).validate_python(stored["dataset"])
    if not is_own(stored["draw"], dataset):
        raise ValueError(f"{stored['draw']} is not of the package of {dataset.import_path}")
    return FreshSplit(
        task, dataset, stored["draw"],
        parameters=stored["parameters"], size=stored["size"], seed=stored["seed"],
    )  # fmt: skip
