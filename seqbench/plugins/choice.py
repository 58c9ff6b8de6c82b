"""What a suite chose from a plugin, and where that came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqbench.plugins.registry import Offer


@dataclass(frozen=True)
class Choice:
    """A model or dataset as a suite chose it: with all its parameters, and where it came from;
    ``source`` is the fingerprint of its package's source (:mod:`seqbench.plugins.provenance`).
    """

    name: str
    params: Mapping[str, Any]
    target: str
    distribution: str
    version: str
    kind: str = ""
    source: str = ""

    @classmethod
    def of(cls, offer: Offer[Any], params: Mapping[str, Any], source: str = "") -> Choice:
        """What a plugin offers, with all its parameters."""
        spec, origin = offer.spec, offer.source
        kind = getattr(spec, "kind", "")
        return cls(
            spec.name, params, offer.target, origin.distribution, origin.version, kind, source
        )
