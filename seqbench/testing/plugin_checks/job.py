"""The checks of one plugin, as a job that a process of its own can run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.errors import DeviceError, UsageError
from seqbench.plugins import parameters
from seqbench.plugins.choice import Choice
from seqbench.plugins.registry import Offer
from seqbench.testing.plugin_checks.results import Check, CheckResult, check_results
from seqbench.training.data import cache_dir
from seqbench.types import DataContext
from seqbench.workers.context import JobContext, Workspace

if TYPE_CHECKING:
    from seqbench.testing.plugin_checks.candidate import Candidate


@dataclass(frozen=True)
class CheckPayload:
    """A model or dataset to be checked.

    Args:
        kind: ``model`` or ``dataset``.
        choice: with the parameters that it is checked with.
        tasks: the kinds of task that a model claims to solve.
        device: where a model is checked.
    """

    kind: str
    choice: Choice
    tasks: tuple[str, ...] = ()
    device: str = "cpu"


def check_payload(
    offer: Offer[Any], params: Mapping[str, Any], device: str = "cpu"
) -> CheckPayload:
    """What :func:`check_plugin` takes.

    Args:
        params: those that are not to be the defaults.
        device: where a model is checked.

    Raises:
        UsageError: there is no such parameter, or it does not take that value.
    """
    declared = offer.spec.parameters
    for name, value in params.items():
        if name not in declared:
            hint = parameters.nearest(name, declared) or "it has none"
            raise UsageError(f"{offer.spec.name} has no parameter {name!r}; {hint}")
        if problem := parameters.problem_with(value, declared[name]):
            raise UsageError(f"{offer.spec.name}, {name}: {problem}")
    choice = Choice.of(offer, parameters.completed(params, declared))
    return CheckPayload(offer.kind, choice, tuple(getattr(offer.spec, "tasks", ())), device)


def local_workspace(data_dir: Path | None = None) -> Workspace:
    """The user's own folders; checks write nothing into a run's folder."""
    return Workspace(Path(), cache_dir(), data_dir)


def check_plugin(payload: CheckPayload, context: JobContext) -> dict[str, Any]:
    """Runs every check and sends each result."""
    from seqbench.devices.registry import device_for

    device_for(payload.device).make_deterministic()  # as a training does
    for result in run_checks(payload, context.workspace, lambda name: context.send({"say": name})):
        context.send({"found": asdict(result)})
    return {}


def run_checks(
    payload: CheckPayload, workspace: Workspace, tell: Callable[[str], None] = lambda name: None
) -> Iterator[CheckResult]:
    """Every check of a model or dataset, one after the other; of a model also the optional ones.

    Args:
        tell: is given the name of each check before it runs.
    """
    from seqbench.testing.plugin_checks.models import OPTIONAL_CHECKS

    subject, checks = subject_and_checks(payload, workspace)
    return check_results(
        (*checks, *(OPTIONAL_CHECKS if payload.kind == "model" else ())), subject, tell
    )


def subject_and_checks(
    payload: CheckPayload, workspace: Workspace
) -> tuple[Any, tuple[Check, ...]]:
    """What is checked, and its checks. Loads torch.

    Raises:
        DeviceError: the device is unknown, or this machine does not have it.
    """
    from seqbench.testing.plugin_checks.candidate import Candidate
    from seqbench.testing.plugin_checks.datasets import DATASET_CHECKS, Holding
    from seqbench.testing.plugin_checks.models import MODEL_CHECKS

    if payload.kind == "model":
        candidate = Candidate(payload.choice, payload.tasks, payload.device)
        _check_available(candidate)
        return candidate, MODEL_CHECKS
    downloads = workspace.cache / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    context = DataContext(workspace.data_dir, downloads, lambda text: None)
    return Holding(payload.choice, context), DATASET_CHECKS


def _check_available(candidate: Candidate) -> None:
    import torch

    try:
        torch.zeros(1, device=candidate.device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"this machine has no device {candidate.device_name!r}") from error
