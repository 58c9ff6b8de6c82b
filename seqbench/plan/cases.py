"""Cases and trials, with the ids by which a resume recognizes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any

from seqbench.plan.matching import Matching, matching_key
from seqbench.plugins.choice import Choice, to_json
from seqbench.records import fingerprint
from seqbench.suite.optimizers import LOSSES, loss_problem
from seqbench.types import ANSWER_FORMS, TASK_KINDS

#: Version of the way seqbench trains and measures. Part of every case's id, so that figures of
#: different protocols are never mixed.
PROTOCOL = 3


#: Fields of a case that come from the declarations of plugins each time: they are not stored.
DECLARED = ("supports", "declares")


@dataclass(frozen=True)
class Metric:
    """A metric of a plugin as a suite uses it.

    Args:
        label: its name in tables.
        targets, higher_is_better, share, unit, needs: as declared (:class:`seqbench.MetricSpec`).
    """

    label: str
    choice: Choice
    targets: tuple[str, ...]
    higher_is_better: bool
    share: bool
    unit: str = ""
    needs: str = "probabilities"

    def to_dict(self) -> dict[str, Any]:
        """As plain data, as in ``plan.json``."""
        found = {"id": self.id, **to_json(self)}
        return {name: value for name, value in found.items() if name != "unit" or value}

    @property
    def about(self) -> dict[str, Any]:
        """What must be known of it to show its figures."""
        return {
            "higher_is_better": self.higher_is_better, "share": self.share, "unit": self.unit
        }  # fmt: skip

    def why_not(self, form: str) -> str:
        """Why it cannot be computed from an estimator's answers, or ``""``.

        Args:
            form: what they say (:data:`seqbench.types.ANSWER_FORMS`); "" for values.
        """
        if not form or ANSWER_FORMS.index(form) <= ANSWER_FORMS.index(self.needs):
            return ""
        return f"needs {self.needs}, and an estimator's answers here are {form} only"

    def misfit(self, *targets: str) -> str:
        """Why it cannot be the primary metric of a dataset, or ``""``.

        Args:
            targets: the kinds of target that the dataset may have.
        """
        if not set(targets).isdisjoint(self.targets):
            return ""
        name = self.choice.name
        return (
            f"primary_metric: {name} supports {', '.join(self.targets)}, not {' or '.join(targets)}"
        )

    @cached_property
    def id(self) -> str:
        """The metric's name and a hash of everything that can change its figures."""
        return f"{self.choice.name}-{fingerprint(to_json(self.choice))}"


@dataclass(frozen=True)
class Report:
    """A report of a plugin as a suite uses it."""

    label: str
    choice: Choice
    suffix: str

    @property
    def file(self) -> str:
        """Path inside the run folder."""
        return f"reports/{re.sub(r'[^A-Za-z0-9_.-]+', '-', self.label)}.{self.suffix}"


@dataclass(frozen=True)
class Runtime:
    """A runtime of a plugin as a suite uses it; ``name`` is its name in records."""

    name: str
    choice: Choice


@dataclass(frozen=True)
class Resample:
    """That a case is one of several resamples of a dataset, which share a row of the table.

    Args:
        parameter: of the dataset: its values are the resamples.
        dataset_label: that of the dataset in tables, without the parameter.
        generated: whether the resamples are independent (:class:`seqbench.DatasetSpec`).
    """

    parameter: str
    dataset_label: str
    generated: bool


@dataclass(frozen=True)
class Prepared:
    """What is known of a dataset once it is prepared.

    Args:
        kind: its kind of task.
        unequal: whether the lengths of its sequences differ.
    """

    kind: str
    unequal: bool = False


@dataclass(frozen=True)
class Case:
    """One model with its parameters × one dataset × one training setting × one device.

    Args:
        supports: the kinds of task that the model supports.
        declares: those that the dataset declares; empty if they are known only once it is prepared.
        metrics_left_out: ids of the plan's metrics that are not computed on it in addition.
        primary_metric: decides on the best epoch; None for the task's own.
        resample: if the suite pools the resamples of the dataset.
        matching: if its width is solved to give it the suite's size; the parameter is None in
            ``model`` until it is.
    """

    label: str
    model: Choice
    dataset: Choice
    train: Mapping[str, Any]
    _: KW_ONLY
    device: str
    reference: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    dataset_label: str = ""
    supports: tuple[str, ...] = TASK_KINDS
    declares: tuple[str, ...] = ()
    metrics_left_out: tuple[str, ...] = ()
    primary_metric: Metric | None = None
    resample: Resample | None = None
    matching: Matching | None = None

    @property
    def without_width(self) -> bool:
        """Whether its width is to be solved, and is not, or could not be."""
        found = self.matching.found if self.matching else None
        return self.matching is not None and (found is None or found.best is None)

    @property
    def no_width(self) -> str:
        """Why there is no width that gives it the wanted size, or ``""``."""
        return self.matching.found.reason if self.matching and self.matching.found else ""

    def misfit(self, prepared: Prepared | None = None) -> str:
        """Why the model cannot be trained on the dataset, or ``""``.

        Args:
            prepared: the dataset; None if it is not prepared, so that only what it declares is
                known.
        """
        kinds = (prepared.kind,) if prepared else self.declares
        if kinds and set(kinds).isdisjoint(self.supports):
            return (
                f"model {self.model.name} supports {', '.join(self.supports)}, "
                f"but dataset {self.dataset.name} is {' or '.join(kinds)}"
            )
        if prepared and prepared.unequal and self.model.lengths == "fixed":
            return (
                f"model {self.model.name} accepts sequences of one length only (lengths: fixed), "
                f"but those of dataset {self.dataset.name} differ in length"
            )
        targets = list(dict.fromkeys(kind.partition("/")[2] for kind in kinds))
        if problem := self._loss_misfit(targets):
            return problem
        if kinds and self.primary_metric is not None:
            return self.primary_metric.misfit(*targets)
        return ""

    def _loss_misfit(self, targets: Sequence[str]) -> str:
        """Why a loss of seqbench's own does not fit any of these kinds of target, or ``""``."""
        loss = self.train.get("loss")
        if not loss or "distribution" in loss:
            return ""
        kind = LOSSES[loss["name"]]
        problems = [loss_problem(loss["name"], kind.targets, target) for target in targets]
        return f"train.loss: {problems[0]}" if problems and all(problems) else ""

    def to_dict(self) -> dict[str, Any]:
        """As plain data, as in ``plan.json``."""
        found = {"id": self.id, **to_json(self)}
        optional = ("metrics_left_out", "primary_metric", "resample", "matching")
        empty = [name for name in optional if not found[name]]
        if self.resample is not None:
            found["resample"] |= {"row": self.row}
        if self.primary_metric is not None:
            found["primary_metric"] = self.primary_metric.to_dict()
        if self.matching is not None:
            declared = dict.fromkeys(("start", "lowest", "highest"))
            kept = {key: v for key, v in found["matching"].items() if key not in declared}
            found["matching"] = {**kept, "key": matching_key(self)}
        return {name: value for name, value in found.items() if name not in (*DECLARED, *empty)}

    @property
    def name(self) -> str:
        """The full name, used outside of tables: ``lstm on adding length=50``."""
        return f"{self.label} on {self.dataset_label or self.dataset.name}"

    @cached_property
    def id(self) -> str:
        """The model's name and a hash of everything that can change a figure.

        Labels, reference and note are not part of it, since they only change what is shown, nor
        are metrics that are computed after training.
        """
        return f"{self.model.name}-{fingerprint(self._identity)}"

    @cached_property
    def row(self) -> str:
        """The id of its row in the tables, which all resamples of a dataset share.

        It does not depend on which resamples there are, so that some can be added.
        """
        if self.resample is None:
            return self.id
        dataset = to_json(self.dataset)
        params = {
            name: value
            for name, value in self.dataset.params.items()
            if name != self.resample.parameter
        }
        pooled = {"pooled": self.resample.parameter, "label": self.resample.dataset_label}
        identity = {**self._identity, "dataset": {**dataset, "params": params}, **pooled}
        return f"{self.model.name}-{fingerprint(identity)}"

    @property
    def _identity(self) -> dict[str, Any]:
        primary = self.primary_metric
        return {
            "protocol": PROTOCOL,
            "model": to_json(self.model),
            "dataset": to_json(self.dataset),
            "train": self.train,
            "device": self.device,
            **({"primary_metric": to_json(primary.choice)} if primary else {}),
            **({"matching": matching_key(self)} if self.without_width else {}),
        }


@dataclass(frozen=True)
class Trial:
    """One training of a case with one seed."""

    case: Case
    seed: int

    @property
    def id(self) -> str:
        return f"{self.case.id}-s{self.seed}"
