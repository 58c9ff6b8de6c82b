"""The runtimes that a suite can name: seqbench's own and those of plugins."""

from __future__ import annotations

from collections import Counter

from seqbench.plugins.registry import Offer, Origin, Plugin, Registry
from seqbench.runtimes.registry import BUILT_IN
from seqbench.types import RuntimeSpec
from seqbench.version import __version__

SEQBENCH = Origin("runtimes", "seqbench", __version__)

OWN = Plugin(SEQBENCH, tuple(Offer(spec, SEQBENCH) for spec in BUILT_IN.values()))


def with_own_runtimes(registry: Registry) -> Registry:
    """A registry with seqbench's own runtimes in addition to the offers of plugins."""
    return Registry((OWN, *registry.plugins), registry.unreadable)


def is_own(offer: Offer[RuntimeSpec]) -> bool:
    """Whether a runtime is seqbench's own."""
    return offer.origin == SEQBENCH


def name_in_records(name: str, registry: Registry) -> str:
    """The name in records of the runtime that a suite calls ``name``.

    For seqbench's own, this is the name without distribution; for a plugin's, the suite's name.

    Raises:
        UnknownName: no working plugin offers it, or the name is ambiguous.
    """
    offer = with_own_runtimes(registry).look_up("runtime", name)
    return offer.spec.name if is_own(offer) else name


def recorded_runtime(name: str, registry: Registry) -> Offer[RuntimeSpec]:
    """The runtime with this name in records. Raises UnknownName."""
    own = next((offer for offer in OWN.offers if offer.spec.name == name), None)
    return own or registry.look_up("runtime", name)


def runtime_names(registry: Registry) -> list[str]:
    """Every name that a suite can use; names that two distributions offer are qualified."""
    offers = with_own_runtimes(registry).all_of("runtime")
    count = Counter(offer.spec.name for offer in offers)
    return [
        offer.spec.name if count[offer.spec.name] == 1 else offer.qualified_name for offer in offers
    ]
