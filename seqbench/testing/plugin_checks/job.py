"""The checks of one plugin, as a worker job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from seqbench.errors import DeviceError, UsageError
from seqbench.plugins import parameters
from seqbench.plugins.choice import Choice
from seqbench.plugins.registry import Offer
from seqbench.suggest import suggestion
from seqbench.testing.plugin_checks.results import Check, CheckResult, check_results
from seqbench.types import DataContext
from seqbench.workers.context import JobContext, Workspace

if TYPE_CHECKING:
    from seqbench.testing.plugin_checks.candidate import Candidate


@dataclass(frozen=True)
class CheckPayload:
    """A model or dataset to check.

    Args:
        kind: ``model`` or ``dataset``.
        choice: the model or dataset with all its parameters.
        tasks: the kinds of task that a model declares.
        device: the device to check a model on.
    """

    kind: str
    choice: Choice
    tasks: tuple[str, ...] = ()
    device: str = "cpu"


def check_payload(
    offer: Offer[Any], params: Mapping[str, Any], device: str = "cpu"
) -> CheckPayload:
    """The payload of :func:`check_plugin`.

    Args:
        params: parameters that differ from their defaults.
        device: the device to check a model on.

    Raises:
        UsageError: unknown parameter, or invalid value.
    """
    declared = offer.spec.parameters
    for name, value in params.items():
        if name not in declared:
            hint = suggestion(name, declared) or "it has no parameters"
            raise UsageError(f"{offer.spec.name} has no parameter {name!r}; {hint}")
        if problem := parameters.problem_with(value, declared[name]):
            raise UsageError(f"{offer.spec.name}, {name}: {problem}")
    choice = Choice.of(offer, parameters.completed(params, declared))
    return CheckPayload(offer.kind, choice, tuple(getattr(offer.spec, "tasks", ())), device)


def check_plugin(payload: CheckPayload, context: JobContext) -> dict[str, Any]:
    """Run every check and send each result."""
    from seqbench.devices.registry import device_for

    device_for(payload.device).make_deterministic()  # as a training does
    for result in run_checks(payload, context.workspace, lambda name: context.send({"say": name})):
        context.send({"found": asdict(result)})
    return {}


def run_checks(
    payload: CheckPayload, workspace: Workspace, notify: Callable[[str], None] = lambda name: None
) -> Iterator[CheckResult]:
    """Run all checks of a model or dataset in order; for a model also the optional ones.

    Args:
        notify: called with the name of each check before it runs.
    """
    from seqbench.testing.plugin_checks.models import OPTIONAL_CHECKS

    subject, checks = subject_and_checks(payload, workspace)
    optional = OPTIONAL_CHECKS if payload.kind == "model" else ()
    return check_results((*checks, *optional), subject, notify)


def subject_and_checks(
    payload: CheckPayload, workspace: Workspace
) -> tuple[Any, tuple[Check, ...]]:
    """The model or dataset to check, and its required checks. Imports torch.

    Raises:
        DeviceError: the device is unknown, or not available on this machine.
    """
    from seqbench.testing.plugin_checks.candidate import Candidate
    from seqbench.testing.plugin_checks.datasets import DATASET_CHECKS, DatasetCandidate
    from seqbench.testing.plugin_checks.models import MODEL_CHECKS

    if payload.kind == "model":
        candidate = Candidate(payload.choice, payload.tasks, payload.device)
        _require_device(candidate)
        return candidate, MODEL_CHECKS
    downloads = workspace.cache / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    context = DataContext(workspace.data_dir, downloads, lambda text: None)
    return DatasetCandidate(payload.choice, context, payload.tasks), DATASET_CHECKS


def _require_device(candidate: Candidate) -> None:
    import torch

    try:
        torch.zeros(1, device=candidate.device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(
            f"device {candidate.device_name!r} is not available on this machine"
        ) from error
