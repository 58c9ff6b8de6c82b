"""Validates a suite: YAML → Suite, or all its problems, each with its line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from seqbench.errors import UnknownName
from seqbench.plugins import parameters
from seqbench.plugins.registry import Offer, Registry
from seqbench.suggest import suggested
from seqbench.suite import grids, optimizers
from seqbench.suite.combinations import combinations_fit
from seqbench.suite.files import SuiteFile, read_suite, suite_from_text
from seqbench.suite.keys import (
    MAX_ENTRIES,
    DatasetEntry,
    DatasetKeys,
    Entry,
    ModelEntry,
    ModelKeys,
    Suite,
    Training,
)
from seqbench.suite.messages import in_words, unknown_key, unknown_name
from seqbench.suite.methods import method_named, with_own_methods
from seqbench.suite.optimizers import METHODS, OPTIMIZERS, Method
from seqbench.suite.overrides import Override
from seqbench.suite.primary import primary_fits
from seqbench.suite.seeds import hold_seed, repeats_fit
from seqbench.suite.strict_yaml import KeyPath, Node, described, dotted, shown
from seqbench.suite.target import SIGNS
from seqbench.suite.tree import Tree
from seqbench.types import ESTIMATOR, Param

#: Stands for an invalid primary metric.
NO_METRIC = Entry("")

#: Kinds of entries that are only a name with parameters.
PLAIN = ("metric", "report")

#: Of the other kinds, the keys allowed beside a name.
BESIDE: Mapping[str, type[DatasetKeys | ModelKeys]] = {"dataset": DatasetKeys, "model": ModelKeys}

Model = TypeVar("Model", bound=BaseModel)

Beside = TypeVar("Beside", DatasetKeys, ModelKeys)


def validated(file: SuiteFile, *, overrides: Sequence[Override] = (), registry: Registry) -> Suite:
    """Validate a suite's file.

    Args:
        overrides: settings to change, as ``"train.epochs=2"``.
        registry: the available plugins.

    Raises:
        SuiteError: with all problems of the file, in file order.
    """
    root, problems = file.tree(overrides)
    return _Validator(root, problems, registry).suite(file.stem)


def load_suite(path: Path, *, overrides: Sequence[Override] = (), registry: Registry) -> Suite:
    """Read and validate a suite's file: :func:`.read_suite` and :func:`validated`.

    Raises:
        SuiteError: with all problems of the file, in file order.
    """
    return validated(read_suite(Path(path)), overrides=overrides, registry=registry)


def parse_suite(
    text: str, name: str = "suite.yaml", *, overrides: Sequence[Override] = (), registry: Registry
) -> Suite:
    """Like :func:`load_suite`, from text; ``name`` is used as file name in messages."""
    return validated(suite_from_text(text, name), overrides=overrides, registry=registry)


def suite_name(file: SuiteFile, overrides: Sequence[Override] = ()) -> str:
    """The name of a suite, whether the rest of it is valid or not."""
    name = file.tree(overrides)[0].plain().get("name")
    return name if isinstance(name, str) else _as_name(file.stem)


@dataclass
class _Validator(Tree):
    """Validates one tree. Methods return the parsed part, or ``None`` after adding a problem."""

    registry: Registry
    placed: list[tuple[KeyPath, Entry]] = field(default_factory=list)
    matches: bool = False

    @cached_property
    def methods(self) -> Registry:
        """The plugins, and seqbench's own optimizers, schedules and losses."""
        return with_own_methods(self.registry)

    @cached_property
    def chosen(self) -> dict[str, str]:
        """The names of the suite's optimizer, schedule and loss, as far as it gives them."""
        train = self.root.child("train")
        found = {}
        for what in METHODS:
            node = train.child(what) if train else None
            value = node.value if node else None
            name = next(iter(value), "") if isinstance(value, dict) else value
            found[what] = name if isinstance(name, str) else ""
        return found

    def suite(self, stem: str) -> Suite:
        raw = self.root.plain()
        raw.setdefault("name", _as_name(stem))
        if "train" in raw:
            raw["train"] = self.training(("train",))
        if isinstance(raw.get("seeds"), dict):
            hold_seed(raw, self)
        # Placeholders replace invalid entries, so that the other keys are validated too.
        for kind in PLAIN:
            found = [self.entry(kind, *entry) for entry in self.entries((f"{kind}s",))]
            if f"{kind}s" in raw:
                raw[f"{kind}s"] = tuple(e for e in found if e) or (Entry("", kind=kind),)
        if raw.get("primary_metric") is not None:
            raw["primary_metric"] = self.primary_metric(("primary_metric",)) or NO_METRIC
        datasets = [self.dataset(*entry) for entry in self.entries(("datasets",))]
        if "datasets" in raw:
            raw["datasets"] = tuple(e for e in datasets if e) or (DatasetEntry(""),)
        self.matches = raw.get("match") is not None
        models = [self.model(*entry) for entry in self.entries(("models",))]
        if "models" in raw:
            raw["models"] = tuple(e for e in models if e) or (ModelEntry(""),)
        suite = self.validated(Suite, raw, ())
        base = suite.train if suite else self.base(raw)
        if base is not None:
            combinations_fit(base, self.placed, self)
        self.differ(base or Training(), raw.get("primary_metric"))
        if suite:
            primary_fits(suite, self.placed, self, self.registry)
        if suite and suite.repeats is not None:
            repeats_fit(self.placed, self, self.registry)
        widths = [entry.scale for entry in suite.models] if suite else []
        if suite and suite.match and not any(widths) and not self.problems:
            self.problem(("match",), "has no effect: every model has match: false")
        if self.problems or suite is None:
            raise self.problems.error()
        return suite

    def base(self, raw: Mapping[str, Any]) -> Training | None:
        """The training settings of an invalid suite; None if they are invalid themselves."""
        try:
            return Training.model_validate(raw.get("train", {}))
        except ValidationError:
            return None

    def validated(self, model: type[Model], raw: Any, path: KeyPath) -> Model | None:
        """``raw`` as a ``model``, or ``None`` after adding its problems."""
        try:
            return model.model_validate(raw, context=self.registry)
        except ValidationError as error:
            for details in error.errors(include_url=False):
                message, hint = in_words(details, model, self.chosen)
                unknown = details["type"] == "extra_forbidden"
                # A list of lengths has no key `also`, which stands for it.
                loc = [part for part in details["loc"] if part != "also"]
                self.problem((*path, *loc), message, hint, at_key=unknown)
            return None

    def entries(self, path: KeyPath) -> Iterator[tuple[KeyPath, Node]]:
        """The items of ``datasets``, ``models``, …; each key of a mapping counts as an item."""
        node = self.root.chain(path)[-1]
        if node is self.root:
            return
        if not isinstance(node.value, (list, dict)):
            hint = f"write [{node.value}]" if isinstance(node.value, str) else ""
            self.problem(path, f"must be a list of names, not {described(node)}", hint)
        elif not node.value:
            self.problem(path, "must not be empty")
        elif len(node.value) > MAX_ENTRIES:
            self.problem(path, f"has more than {MAX_ENTRIES:,} entries")
        elif isinstance(node.value, dict):
            for name, child in node.value.items():
                yield path, Node({name: child}, child.key or child.mark)
        else:
            yield from (((*path, number), item) for number, item in enumerate(node.value))

    def entry(self, kind: str, path: KeyPath, node: Node) -> Entry | None:
        """A metric or report: a name, or one name with parameters."""
        if isinstance(node.value, str):
            name, at, params = node.value, path, Node({}, node.mark)
        elif isinstance(node.value, dict) and len(node.value) == 1:
            name, params = next(iter(node.value.items()))
            at = (*path, name)
        else:
            self.not_an_entry(path, node, kind)
            return None
        offer = self.offer(kind, name, at)
        if offer is None:
            return None
        entry = Entry(name, self.params(at, params, offer.spec.parameters), kind)
        self.placed.append((at, entry))
        return entry

    def primary_metric(self, path: KeyPath) -> Entry | None:
        """The metric that decides on the best epoch: a name, or one name with parameters."""
        node = self.root.chain(path)[-1]
        if isinstance(node.value, str) and node.value in SIGNS:
            return Entry(node.value)
        if not isinstance(node.value, (str, dict)):
            self.not_an_entry(path, node, "metric")
            return None
        entry = self.entry("metric", path, node)
        if entry is None:
            return None
        self.placed.pop()  # it may also be in `metrics`
        declared = self.registry.look_up("metric", entry.name).spec.parameters
        if grids.size(grids.axes(entry.params, declared)) > 1:
            self.problem(path, "must be one metric: a list of values makes several")
            return None
        return entry

    def dataset(self, path: KeyPath, node: Node) -> DatasetEntry | None:
        """A dataset: a name, or one name with parameters and :class:`DatasetKeys` beside it."""
        metrics = (*path, "metrics")
        own = isinstance(node.value, dict) and "metrics" in node.value
        listed = [self.entry("metric", *each) for each in self.entries(metrics)] if own else []
        given: dict[str, Any] = {"metrics": tuple(filter(None, listed))} if own else {}
        if isinstance(node.value, dict) and "primary_metric" in node.value:
            given["primary_metric"] = self.primary_metric((*path, "primary_metric"))
        found = self.with_keys("dataset", DatasetKeys, path, node, given)
        if found is None:
            return None
        at, name, params, keys = found
        entry = DatasetEntry(
            name, params, train=keys.train, label=keys.label, metrics=keys.metrics,
            primary_metric=keys.primary_metric,
        )  # fmt: skip
        self.placed.append((at, entry))
        return entry

    def model(self, path: KeyPath, node: Node) -> ModelEntry | None:
        """A model: a name, or one name with parameters and :class:`ModelKeys` beside it."""
        found = self.with_keys("model", ModelKeys, path, node, {})
        if found is None:
            return None
        at, name, params, keys = found
        estimator = self.registry.look_up("model", name).spec.kind == ESTIMATOR
        if estimator and keys.train.model_fields_set:
            message = f"not used: {shown(name)} is an estimator, which is fitted without settings"
            self.problem((*path, "train"), message, "remove it", at_key=True)
        entry = ModelEntry(
            name,
            params,
            train=keys.train,
            label=keys.label,
            reference=keys.reference.model_dump(exclude_none=True),
            note=keys.note,
            estimator=estimator,
        )
        if self.matches and keys.match:
            entry = self.matched(at, entry)
        self.placed.append((at, entry))
        return entry

    def matched(self, at: KeyPath, entry: ModelEntry) -> ModelEntry:
        """The entry of a model whose width the suite's ``match`` solves."""
        offer = self.registry.model(entry.name)
        scale, keep = offer.spec.scale, "write match: false beside the model's name"
        if not scale:
            self.problem(
                at,
                f"match cannot solve the width of {offer.spec.name}, since {offer.origin} does "
                "not name the parameter for it",
                f"declare ModelSpec(..., scale=...) there, or {keep}",
                at_key=True,
            )
        elif scale in entry.params:
            self.problem(
                (*at, scale),
                f"match solves {scale}, so it cannot be given",
                f"remove it, or {keep}",
                at_key=True,
            )
            return dataclasses.replace(entry, scale=scale)  # its width tells it from others
        params = {**entry.params, scale: None} if scale else entry.params
        return dataclasses.replace(entry, params=params, scale=scale)

    def with_keys(
        self, kind: str, keys: type[Beside], path: KeyPath, node: Node, given: Mapping[str, Any]
    ) -> tuple[KeyPath, str, dict[str, Any], Beside] | None:
        """The name of an entry with its path, its parameters, and the keys beside it.

        Args:
            given: values of keys that are validated already.
        """
        if isinstance(node.value, str):
            at, name, below, options = path, node.value, Node({}, node.mark), None
        elif isinstance(node.value, dict):
            names = {
                key: child for key, child in node.value.items() if key not in keys.model_fields
            }
            beside = {key: node.value[key].plain() for key in node.value if key not in names}
            if "train" in beside:
                beside["train"] = self.training((*path, "train"))
            options = self.validated(keys, {**beside, **given}, path)
            only = self.only_name(kind, path, node, list(names))
            if only is None:
                return None
            at, name, below = (*path, only), only, names[only]
        else:
            self.not_an_entry(path, node, kind)
            return None
        offer = self.offer(kind, name, at)
        if offer is None:
            return None
        params = self.params(at, below, offer.spec.parameters, keys.model_fields)
        return at, name, params, options or keys()

    def only_name(self, kind: str, path: KeyPath, node: Node, names: list[str]) -> str | None:
        """The key of an entry that names its offer; other unknown keys are problems."""
        if not names:
            self.not_an_entry(path, node, kind)
            return None
        if len(names) == 1:
            return names[0]
        known = [name for name in names if self.knows(kind, name)]
        if len(known) != 1:
            self.not_an_entry(path, node, kind, names)
            return None
        declared = self.registry.look_up(kind, known[0]).spec.parameters
        for name in names:
            if name not in known:
                message, hint = unknown_key(BESIDE[kind], (name,)), ""
                if name in declared:
                    message = f"unknown key {shown(name)}"
                    hint = f"a parameter of {known[0]}: indent it below, or write {known[0]}: {{…}}"
                self.problem((*path, name), message, hint, at_key=True)
        return known[0]

    def not_an_entry(
        self, path: KeyPath, node: Node, kind: str, names: Sequence[str] | None = None
    ) -> None:
        if not isinstance(node.value, dict):
            message = f"must be the name of a {kind}, alone or with parameters"
            self.problem(path, f"{message}, not {described(node)}")
            return
        names = list(node.value) if names is None else names
        if len(names) > 1:
            message = f"names more than one {kind}: {', '.join(shown(name) for name in names[:5])}"
            self.problem(path, message, "write each as its own entry, starting with '- '")
        else:
            self.problem(path, f"the entry names no {kind}")

    def knows(self, kind: str, name: str) -> bool:
        try:
            self.registry.look_up(kind, name)
        except UnknownName:
            return False
        return True

    def offer(self, kind: str, name: str, at: KeyPath) -> Offer[Any] | None:
        try:
            return self.registry.look_up(kind, name)
        except UnknownName as error:
            self.problem(at, unknown_name(error, name), at_key=True)
            return None

    def params(
        self, at: KeyPath, node: Node, declared: Mapping[str, Param], beside: Collection[str] = ()
    ) -> dict[str, Any]:
        """The parameters given for an offer, including grids. ``beside``: keys beside its name."""
        params = {}
        for name, value, path in self.known_params(at, node, declared, beside):
            param = declared[name]
            if isinstance(value, list) and not value:
                self.problem(path, "the list of values is empty")
            elif not parameters.is_grid(value, param):
                self.value_fits(path, value, param)
            else:
                self.grid_fits(path, value, param)
            params[name] = value
        return params

    def grid_fits(self, path: KeyPath, values: list[Any], param: Param) -> None:
        fits = [self.value_fits((*path, n), value, param) for n, value in enumerate(values)]
        axes = grids.axes({"": values}, {"": param})
        if all(fits) and len(grids.keys(axes)[""]) < len(axes[""]):
            self.problem(path, "the list contains a value twice")

    def known_params(
        self, at: KeyPath, node: Node, declared: Mapping[str, Param], beside: Collection[str] = ()
    ) -> Iterator[tuple[str, Any, KeyPath]]:
        """Name, value and path of each given parameter that is declared."""
        if node.value is not None and not isinstance(node.value, dict):
            self.problem(at, f"parameters must be a mapping, not {described(node)}")
            return
        for name, child in (node.value or {}).items():
            path = (*at, name)
            if name in declared:
                yield name, child.plain(), path
            else:
                message = f"unknown parameter {shown(name)}"
                hint = "" if declared else "no parameters are allowed"
                if name in beside:
                    hint = "write it beside the name, not among its parameters"
                message = message if hint else suggested(message, name, declared)
                self.problem(path, message, hint, at_key=True)

    def value_fits(self, path: KeyPath, value: Any, param: Param, hint: str = "") -> bool:
        message = optimizers.problem_with(value, param)
        if message:
            self.problem(path, message.replace(repr(value), shown(value), 1), hint)
        return not message

    def training(self, path: KeyPath) -> Any:
        """The mapping ``train``, with optimizer and schedule validated, as :class:`Method`."""
        node = self.root.chain(path)[-1]
        raw = node.plain()
        if not isinstance(raw, dict):
            return raw
        for key in METHODS:
            if key not in raw or (key != "optimizer" and raw[key] is None):
                continue
            method = self.method((*path, key), key)
            if method is None:
                del raw[key]
            else:
                raw[key] = method
        return raw

    def method(self, path: KeyPath, what: str) -> Method | None:
        """An optimizer, schedule or loss: a name, or one name with parameters."""
        node = self.root.chain(path)[-1]
        name, params, at = node.value, Node({}, node.mark), path
        if isinstance(node.value, dict) and len(node.value) == 1:
            name, params = next(iter(node.value.items()))
            at = (*path, str(name))
        if not isinstance(name, str):
            count = f" with {len(name)} keys" if isinstance(name, dict) else ""
            message = f"must be the name of one {what}, alone or with parameters"
            self.problem(path, f"{message}, not {described(node)}{count}")
            return None
        try:
            method = method_named(self.methods, what, name)
        except UnknownName as error:
            self.problem(at, unknown_name(error, name), at_key=True)
            return None
        return dataclasses.replace(method, given=self.method_params(at, params, what, method))

    def method_params(self, at: KeyPath, node: Node, what: str, method: Method) -> dict[str, Any]:
        """The valid ones of the parameters given for an optimizer, schedule or loss."""
        kind, given = method.kind(METHODS[what]), {}
        for key, value, where in self.known_params(at, node, kind.parameters):
            if key in kind.optimizers:
                other = self.method(where, "optimizer")
                if other is not None and other.kind(OPTIMIZERS).optimizers:
                    self.problem(where, f"{other.name} cannot be the other optimizer of itself")
                elif other is not None:
                    given[key] = other
                continue
            param = kind.parameters[key]
            is_grid = parameters.is_grid(value, param)
            hint = "only models and datasets can have a grid" if is_grid else ""
            if self.value_fits(where, value, param, hint):
                given[key] = value
        return given

    def differ(self, base: Training, primary: Entry | None) -> None:
        """Check that no entry is a duplicate of another.

        Args:
            base, primary: the training settings and the primary metric of the suite.
        """
        datasets = [entry for _, entry in self.placed if isinstance(entry, DatasetEntry)]
        bases = [entry.train.over(base) for entry in datasets] or [base]
        seen: dict[str, list[tuple[KeyPath, grids.Keys]]] = {}
        for path, entry in self.placed:
            offer = self.registry.look_up(entry.kind, entry.name)
            same = f"{entry.kind} {offer.qualified_name}"
            if isinstance(entry, DatasetEntry):
                train = entry.train.over(base)
                same += f" {grids.key(train.resolved())}"
                same += f" {self.ranked_by(entry.primary_metric or primary)}"
            elif isinstance(entry, ModelEntry):
                # Entries that are equal on other datasets alone are found in the plan.
                train = entry.train.over(bases[0])
                same += f" {grids.key(train.resolved())}" if not entry.estimator else ""
            elif path[0] == "datasets":  # a metric of a dataset's own
                same += f" {path[:2]}"
            keys = grids.keys(grids.axes(entry.params, offer.spec.parameters))
            for other, others in seen.setdefault(same, []):
                if grids.overlap(keys, others):
                    message = f"duplicate of {dotted(other)}"
                    self.problem(path, message, "change a parameter, or remove one", at_key=True)
                    break
            seen[same].append((path, keys))

    def ranked_by(self, metric: Entry | None) -> str:
        """A primary metric with all its parameters, as a key; "" for the task's own."""
        if metric is None or metric.name in SIGNS or not metric.name:
            return ""
        offer = self.registry.look_up("metric", metric.name)
        axes = grids.axes(metric.params, offer.spec.parameters)
        return f"{offer.qualified_name} {grids.key(axes)}"


def _as_name(stem: str) -> str:
    """A suite's name made from a file's name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).lstrip("_.-")[:64] or "suite"
