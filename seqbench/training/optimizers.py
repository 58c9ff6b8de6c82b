"""The optimizer of a training: torch's, a plugin's, or Muon together with another one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from seqbench.errors import PluginError, UsageError
from seqbench.plugins.loading import check_call
from seqbench.training.methods import is_plugins, load_method, named
from seqbench.training.model import SequenceModel

#: A message names at most this many weights.
MOST_NAMED = 8

Optimizer = torch.optim.Optimizer

#: Parameters of a group: those of the first pattern that a weight's name matches.
Groups = Mapping[str, Mapping[str, float]]

NO_GROUPS: Groups = MappingProxyType({})


class Several(Optimizer):
    """Several optimizers as one, each with parameters of its own.

    ``param_groups`` and ``state`` are those of all of them, so that schedules, clipping and
    checkpoints work as with one.
    """

    def __init__(self, optimizers: Sequence[Optimizer]):
        self._optimizers = optimizers
        super().__init__([group for one in optimizers for group in one.param_groups], {})
        self._share()

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step of each."""
        for one in self._optimizers:
            one.step()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Called by ``load_state_dict`` with new groups and a new state."""
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        """Let the optimizers use the groups and the state of this one."""
        groups = iter(self.param_groups)
        for one in self._optimizers:
            one.param_groups = [next(groups) for _ in one.param_groups]
            one.state = self.state


def make_optimizer(
    model: nn.Module, choice: Mapping[str, Any], groups: Groups = NO_GROUPS
) -> Optimizer:
    """The optimizer of a model's trainable weights that a suite names.

    Args:
        choice: ``name`` and ``params``; of a plugin also its origin.
        groups: for patterns of names, as of files, other parameters; a weight belongs to the first
            pattern that its name matches.

    Raises:
        UsageError: a pattern matches no weight, or this torch lacks the optimizer.
        PluginError: the plugin's function does not return an optimizer.
    """
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if groups:
        _check_patterns("train.groups", groups, weights)
    if choice["name"] != "muon" or is_plugins(choice):
        return _built(choice, _grouped(weights, groups))
    params = dict(choice["params"])
    others, exclude = params.pop("others"), params.pop("exclude")
    own = hidden_matrices(model, exclude)
    if not own:
        raise UsageError("train.optimizer: muon: the model has no hidden matrix for it")
    found = []
    for one, some in (({"name": "muon", "params": params}, own), (others, weights.keys() - own)):
        if part := {name: p for name, p in weights.items() if name in some}:
            _check_parameters(one, part, groups)
            found.append(_built(one, _grouped(part, groups)))
    return Several(found)


def trained_by_muon(model: nn.Module, choice: Mapping[str, Any]) -> list[str]:
    """The names of the weights that Muon trains, for the record; none with another optimizer."""
    if choice["name"] != "muon" or is_plugins(choice):
        return []
    return sorted(hidden_matrices(model, choice["params"]["exclude"]))


def hidden_matrices(model: nn.Module, exclude: Sequence[str] = ()) -> set[str]:
    """The names of the weights that Muon trains: real matrices, except those of embeddings and of
    the readout.

    The readout is that of seqbench; of a whole model the last ``nn.Linear``.

    Args:
        exclude: patterns of names of other weights that it does not train.

    Raises:
        UsageError: a pattern matches no weight.
    """
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    _check_patterns("train.optimizer: muon: exclude", exclude, weights)
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    readout = [model.head] if isinstance(model, SequenceModel) else linear[-1:]
    embeddings = [m for m in model.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))]
    left_out = {p for module in (*readout, *embeddings) for p in module.parameters()}
    return {
        name
        for name, p in weights.items()
        if p.ndim == 2
        and not p.is_complex()
        and p not in left_out
        and not any(fnmatchcase(name, pattern) for pattern in exclude)
    }


def _built(choice: Mapping[str, Any], weights: list[Any]) -> Optimizer:
    """One optimizer of some parameters or groups."""
    if is_plugins(choice):
        return _plugins(choice, weights)
    by_name = {name.lower(): name for name in dir(torch.optim)}
    if choice["name"] not in by_name:
        raise UsageError(f"train.optimizer: torch {torch.__version__} has no {choice['name']}")
    kind = getattr(torch.optim, by_name[choice["name"]])
    optimizer: Optimizer = kind(weights, **choice["params"])
    return optimizer


def _plugins(chosen: Mapping[str, Any], weights: list[Any]) -> Optimizer:
    choice, build = load_method(chosen)
    check_call(choice, build, weights, **choice.params)
    optimizer = build(weights, **choice.params)
    if not isinstance(optimizer, Optimizer):
        raise PluginError(
            f"{named(choice)}: {choice.import_path} returned {type(optimizer).__name__}, not a "
            "torch.optim.Optimizer"
        )
    return optimizer


def _grouped(weights: Mapping[str, nn.Parameter], groups: Groups) -> list[Any]:
    """The weights, in groups if there are patterns."""
    if not groups:
        return list(weights.values())
    found: dict[str, list[nn.Parameter]] = {pattern: [] for pattern in ("", *groups)}
    for name, parameter in weights.items():
        found[_pattern_of(name, groups)].append(parameter)
    some = [(pattern, weights) for pattern, weights in found.items() if weights]
    return [{"params": weights, **groups.get(pattern, {})} for pattern, weights in some]


def _pattern_of(name: str, patterns: Iterable[str]) -> str:
    """The first pattern that a name matches, or ""."""
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), "")


def _check_patterns(where: str, patterns: Collection[str], weights: Collection[str]) -> None:
    """Raise UsageError if a pattern is left without a weight.

    Args:
        where: the key of the suite that gives the patterns.
        weights: their names.
    """
    used = {_pattern_of(name, patterns) for name in weights}
    for pattern in patterns:
        if pattern not in used:
            names = ", ".join(list(weights)[:MOST_NAMED])
            raise UsageError(
                f"{where}: {pattern!r} matches none of the weights that are left to it: "
                f"{names}{', …' if len(weights) > MOST_NAMED else ''}"
            )


def _check_parameters(choice: Mapping[str, Any], weights: Iterable[str], groups: Groups) -> None:
    """Raise UsageError if a group gives one of the weights a parameter that its optimizer lacks."""
    for weight in weights:
        pattern = _pattern_of(weight, groups)
        for name in groups.get(pattern, {}):
            if name not in choice["params"]:
                raise UsageError(
                    f"train.groups: {pattern!r}: {weight} is trained by {choice['name']}, which "
                    f"has no parameter {name!r}"
                )
