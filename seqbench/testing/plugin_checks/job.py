"""An examination as plain data, so that it can be made in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seqbench.errors import DeviceError, UsageError
from seqbench.plugins import parameters
from seqbench.plugins.choice import Choice
from seqbench.plugins.registry import Offer
from seqbench.testing.plugin_checks.results import Check, CheckResult, check_results
from seqbench.training.data import cache_dir
from seqbench.types import DataContext
from seqbench.workers.channel import Channel
from seqbench.workers.main import Job


def job_for(
    offer: Offer[Any], params: Mapping[str, Any], device: str = "cpu", data_dir: Path | None = None
) -> dict[str, Any]:
    """What :func:`examine` takes.

    Args:
        params: those that are not to be the defaults.
        device: where a model is examined.
        data_dir: where a dataset may lie.

    Raises:
        UsageError: it has no such parameter, or the parameter does not take that value.
    """
    declared = offer.spec.parameters
    for name, value in params.items():
        if name not in declared:
            hint = parameters.nearest(name, declared) or "it has none"
            raise UsageError(f"{offer.spec.name} has no parameter {name!r}; {hint}")
        if problem := parameters.problem_with(value, declared[name]):
            raise UsageError(f"{offer.spec.name}, {name}: {problem}")
    return {
        "subject": offer.kind,
        "choice": asdict(Choice.of(offer, parameters.completed(params, declared))),
        "tasks": list(getattr(offer.spec, "tasks", ())),
        "device": device,
        "data_dir": str(data_dir) if data_dir else None,
    }


def run_checks(
    job: Mapping[str, Any], tell: Callable[[str], None] = lambda name: None
) -> Iterator[CheckResult]:
    """Every check of a model or dataset, one after the other; of a model also what is not required.

    Args:
        job: as :func:`job_for` makes it.
        tell: is given the name of each check before it is made.
    """
    from seqbench.testing.plugin_checks.models import OPTIONAL_CHECKS

    subject, checks = subject_and_checks(job)
    return check_results(
        (*checks, *(OPTIONAL_CHECKS if job["subject"] == "model" else ())), subject, tell
    )


def subject_and_checks(job: Mapping[str, Any]) -> tuple[Any, tuple[Check, ...]]:
    """What is examined, and what is asked of it. Loads torch.

    Args:
        job: as :func:`job_for` makes it.

    Raises:
        DeviceError: the device is not there.
    """
    import torch

    from seqbench.testing.plugin_checks.candidate import Candidate
    from seqbench.testing.plugin_checks.datasets import DATASET_CHECKS, Holding
    from seqbench.testing.plugin_checks.models import MODEL_CHECKS

    choice = Choice(**job["choice"])
    if job["subject"] == "model":
        device = torch.device(job["device"])
        _check_there(device)
        return Candidate(choice, tuple(job["tasks"]), device), MODEL_CHECKS
    downloads = cache_dir() / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    data_dir = Path(job["data_dir"]) if job["data_dir"] else None
    context = DataContext(data_dir, downloads, lambda text: None)
    return Holding(choice, context), DATASET_CHECKS


def _check_there(device: Any) -> None:
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"this machine has no device {str(device)!r}") from error


def check_plugin(job: Job, channel: Channel) -> dict[str, Any]:
    from dataclasses import asdict

    import torch

    if job["device"].startswith("cuda"):  # as a training does
        torch.use_deterministic_algorithms(True, warn_only=True)
    for finding in run_checks(job, lambda name: channel.send({"say": name})):
        channel.send(asdict(finding))
    return {}
