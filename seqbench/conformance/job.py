"""An examination as plain data, so that it can be made in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seqbench.conformance.findings import Check, Finding, findings
from seqbench.data import cache_dir
from seqbench.plugins import Offer
from seqbench.records import Choice
from seqbench.types import DataContext, ModelSpec


def job_for(
    offer: Offer[Any], params: Mapping[str, Any], device: str = "cpu", data_dir: Path | None = None
) -> dict[str, Any]:
    """What :func:`examine` takes.

    Args:
        params: those that are not to be the defaults.
        device: where a model is examined.
        data_dir: where a dataset may lie.
    """
    spec, source = offer.spec, offer.source
    model = isinstance(spec, ModelSpec)
    every = {name: param.default for name, param in spec.parameters.items()}
    target, kind = (spec.build, spec.kind) if model else (spec.load, "")
    choice = Choice(
        spec.name, {**every, **params}, target, source.distribution, source.version, kind
    )
    return {
        "choice": asdict(choice),
        "kinds": list(spec.tasks) if model else [],
        "device": device,
        "data_dir": str(data_dir) if data_dir else None,
    }


def examine(
    job: Mapping[str, Any], tell: Callable[[str], None] = lambda name: None
) -> Iterator[Finding]:
    """Every check of a model or dataset, one after the other; of a model also what is not required.

    Args:
        job: as :func:`job_for` makes it.
        tell: is given the name of each check before it is made.
    """
    from seqbench.conformance.models import OPTIONAL

    subject, checks = subject_and_checks(job)
    return findings((*checks, *(OPTIONAL if job["kinds"] else ())), subject, tell)


def subject_and_checks(job: Mapping[str, Any]) -> tuple[Any, tuple[Check, ...]]:
    """What is examined, and what is asked of it. Loads torch.

    Args:
        job: as :func:`job_for` makes it.
    """
    import torch

    from seqbench.conformance import candidate, datasets, models

    choice = Choice(**job["choice"])
    if job["kinds"]:
        device = torch.device(job["device"])
        return candidate.Candidate(choice, tuple(job["kinds"]), device), models.CHECKS
    downloads = cache_dir() / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    data_dir = Path(job["data_dir"]) if job["data_dir"] else None
    context = DataContext(data_dir, downloads, lambda text: None)
    return datasets.Holding(choice, context), datasets.CHECKS
