"""Checks what names the primary metrics of a suite: target, margins, published figures."""

from __future__ import annotations

from collections.abc import Sequence

from seqbench.errors import UnknownName
from seqbench.plugins.registry import Registry
from seqbench.quantities import Quantity, find
from seqbench.suggest import suggested
from seqbench.suite.keys import DatasetEntry, Entry, Margin, ModelEntry, Reference, Suite
from seqbench.suite.strict_yaml import KeyPath, shown
from seqbench.suite.target import SIGNS, Target
from seqbench.suite.tree import Tree
from seqbench.suite.values import margin_scale


def primary_fits(
    suite: Suite, placed: Sequence[tuple[KeyPath, Entry]], tree: Tree, registry: Registry
) -> None:
    """Add the problems of a suite with its primary metrics to ``tree``.

    Args:
        placed: all valid entries, each with its path.
    """
    datasets = [entry for _, entry in placed if isinstance(entry, DatasetEntry)]
    chosen = [suite.primary_metric, *(entry.primary_metric for entry in datasets)]
    primary = list(dict.fromkeys(one.name for one in chosen if one and one.name not in SIGNS))
    if suite.target is not None and suite.target.metric not in SIGNS:
        _target_fits(suite.target, primary, tree, registry)
    metrics = [one.name for _, one in placed if one.kind == "metric" and one.name not in SIGNS]
    _margins_fit(suite.margin, list(dict.fromkeys([*primary, *metrics])), tree, registry)
    _own_metrics_fit(suite, placed, tree, registry)
    known = [name for one in primary for name in (one, f"{one}_last")]
    for path, entry in placed:
        if isinstance(entry, ModelEntry):
            _references_fit(entry, (*path[:-1], "reference"), known, tree, registry)


def _own_metrics_fit(
    suite: Suite, placed: Sequence[tuple[KeyPath, Entry]], tree: Tree, registry: Registry
) -> None:
    """Check that ``accuracy`` or ``mse`` is the own metric of the datasets that it is primary for,
    as far as they declare their tasks.
    """
    for path, entry in placed:
        if not isinstance(entry, DatasetEntry):
            continue
        chosen = entry.primary_metric or suite.primary_metric
        tasks = registry.look_up("dataset", entry.name).spec.tasks
        if chosen is None or chosen.name not in SIGNS or not tasks:
            continue
        targets = {task.partition("/")[2] for task in tasks}
        if targets.isdisjoint(find(chosen.name).targets):
            at = (*path[:-1], "primary_metric") if entry.primary_metric else ("primary_metric",)
            kinds = " or ".join(sorted(targets))
            tree.problem(at, f"{chosen.name} is not for {entry.name}, whose targets are {kinds}")


def _target_fits(target: Target, primary: Sequence[str], tree: Tree, registry: Registry) -> None:
    """Check a target on the metric of a plugin.

    Args:
        primary: the names of the primary metrics.
    """
    name = target.metric
    if name in primary:
        try:
            target.check(_declared(name, registry))
        except ValueError as error:
            tree.problem(("target",), *error.args)
        return
    if not _exists(name, registry):
        message = suggested(f"unknown metric {shown(name)}", name, [*SIGNS, *primary])
        tree.problem(("target",), message)
        return
    message = f"{name} is not the primary metric"
    tree.problem(("target",), message, f"write primary_metric: {name}")


def _margins_fit(margin: Margin, names: Sequence[str], tree: Tree, registry: Registry) -> None:
    """Check the margins of metrics of plugins.

    Args:
        names: of those that the suite computes.
    """
    for name, given in margin.__pydantic_extra__.items():
        path = ("margin", name)
        if name not in names:
            known = [*Margin.model_fields, *names]
            message = suggested(f"unknown key {shown(name)}", name, known)
            tree.problem(path, message, at_key=True)
            continue
        scale, example = margin_scale(_declared(name, registry))
        written = tree.root.chain(path)[-1].value
        points = isinstance(written, str) and written.strip().endswith("pp")
        if scale not in given or points != (example == "1pp"):
            tree.problem(path, f"is not the form of a margin of {name}", f"as in {example}")


def _references_fit(
    entry: ModelEntry, at: KeyPath, known: Sequence[str], tree: Tree, registry: Registry
) -> None:
    """Check that the published figures of a model are of something that is measured.

    Args:
        known: the keys of the primary metrics.
    """
    for name in entry.reference:
        if name in Reference.model_fields or name in known:
            continue
        metric = name.removesuffix("_last")
        if _exists(metric, registry):
            message, hint = f"{metric} is not the primary metric", f"write primary_metric: {metric}"
        else:
            names = [*Reference.model_fields, *known]
            message, hint = suggested(f"unknown key {shown(name)}", name, names), ""
        tree.problem((*at, name), message, hint, at_key=True)


def _exists(metric: str, registry: Registry) -> bool:
    try:
        registry.look_up("metric", metric)
    except UnknownName:
        return False
    return True


def _declared(name: str, registry: Registry) -> Quantity:
    """A metric of a plugin."""
    spec = registry.look_up("metric", name).spec
    return find(name, {name: {"higher_is_better": spec.higher_is_better, "share": spec.share}})
