"""The runtimes that a suite can name: those that come with seqbench, and those of plugins."""

from __future__ import annotations

from collections import Counter

from seqbench.plugins.registry import Offer, Origin, Plugin, Registry
from seqbench.runtimes.registry import BUILT_IN
from seqbench.types import RuntimeSpec
from seqbench.version import __version__

SEQBENCH = Origin("runtimes", "seqbench", __version__)

OWN = Plugin(SEQBENCH, tuple(Offer(spec, SEQBENCH) for spec in BUILT_IN.values()))


def with_own_runtimes(registry: Registry) -> Registry:
    """A registry that knows seqbench's own runtimes beside what its plugins offer."""
    return Registry((OWN, *registry.plugins))


def is_own(offer: Offer[RuntimeSpec]) -> bool:
    """Whether a runtime comes with seqbench."""
    return offer.source == SEQBENCH


def name_in_records(name: str, registry: Registry) -> str:
    """What records call the runtime that a suite calls ``name``: seqbench's own by its bare name,
    a plugin's as the suite does.

    Raises:
        UnknownName: no working plugin offers it, or a plugin offers what seqbench has as well.
    """
    offer = with_own_runtimes(registry).look_up("runtime", name)
    return offer.spec.name if is_own(offer) else name


def recorded_runtime(name: str, registry: Registry) -> Offer[RuntimeSpec]:
    """The runtime that records call ``name``. Raises UnknownName."""
    own = next((offer for offer in OWN.offers if offer.spec.name == name), None)
    return own or registry.look_up("runtime", name)


def runtime_names(registry: Registry) -> list[str]:
    """Every name that a suite can use; one that two distributions offer is written in full."""
    offers = with_own_runtimes(registry).all_of("runtime")
    count = Counter(offer.spec.name for offer in offers)
    return [o.spec.name if count[o.spec.name] == 1 else o.qualified_name for o in offers]
