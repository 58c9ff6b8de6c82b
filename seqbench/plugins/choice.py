"""What a suite uses of a plugin, and its origin."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from seqbench.types import ESTIMATOR

if TYPE_CHECKING:
    from seqbench.plugins.registry import Offer

#: Fields with another key in JSON. Ids are hashes of this JSON, so its keys never change.
JSON_KEYS = {"import_path": "target"}

#: Fields that JSON leaves out at their default, so that ids are as before these fields existed.
LEFT_OUT = {"lengths": "any", "needs": "probabilities", "refit": None}


@dataclass(frozen=True)
class Choice:
    """An offer as a suite uses it: with all its parameters and its origin.

    Args:
        import_path: ``"package.module:function"``, or a class.
        kind: of a model: ``"encoder"``, ``"model"`` or ``"estimator"``.
        lengths: of a model: the lengths that it accepts (:class:`seqbench.ModelSpec`).
        source: fingerprint of the package's source (:mod:`seqbench.plugins.provenance`).
    """

    name: str
    params: Mapping[str, Any]
    import_path: str
    distribution: str
    version: str
    _: KW_ONLY
    kind: str = ""
    source: str = ""
    lengths: str = "any"

    # Pydantic reads the keys that `to_json` writes.
    __pydantic_config__ = {"alias_generator": lambda name: JSON_KEYS.get(name, name)}  # noqa: RUF012

    @classmethod
    def of(cls, offer: Offer[Any], params: Mapping[str, Any], source: str = "") -> Choice:
        """An offer with all its parameters."""
        return cls(
            offer.spec.name,
            params,
            offer.import_path,
            offer.origin.distribution,
            offer.origin.version,
            kind=getattr(offer.spec, "kind", ""),
            source=source,
            lengths=getattr(offer.spec, "lengths", "any"),
        )

    @property
    def is_estimator(self) -> bool:
        """Whether it is a model with `fit` and `predict` (:class:`seqbench.ModelSpec`)."""
        return self.kind == ESTIMATOR

    def why_not_length(self, length: int, own: int) -> str:
        """Why a model for sequences of ``own`` steps is not measured at ``length``, or ""."""
        if length == own or self.lengths == "any":
            return ""
        if self.lengths == "fixed":
            return f"{self.name} accepts sequences of {own} steps only (lengths: fixed)"
        if length < own:
            return ""
        return f"{self.name} accepts sequences of at most {own} steps (lengths: bounded)"


def to_json(value: Any) -> dict[str, Any]:
    """A dataclass as plain data, with the keys of JSON for the choices in it."""
    return dataclasses.asdict(value, dict_factory=_with_json_keys)


def _with_json_keys(fields: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {
        JSON_KEYS.get(name, name): value
        for name, value in fields
        if name not in LEFT_OUT or LEFT_OUT[name] != value
    }
