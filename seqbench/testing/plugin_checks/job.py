"""The checks of one plugin, as a worker job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any

from seqbench.errors import DeviceError
from seqbench.plugins import parameters
from seqbench.plugins.choice import Choice
from seqbench.plugins.registry import Offer
from seqbench.testing.plugin_checks.results import Check, CheckResult, check_results
from seqbench.types import WHOLE_MODEL_KINDS, DataContext, Param
from seqbench.workers.context import JobContext, Workspace


@dataclass(frozen=True)
class CheckPayload:
    """An offer of a plugin to check.

    Args:
        kind: one of :data:`seqbench.plugins.registry.KINDS`.
        choice: the offer with all its parameters.
        device: the device to check a model or runtime on.
        tasks: the kinds of task that a model declares.
        other_seed: of a dataset: another valid value of its parameter ``seed``, if it has one.
        targets, share, higher_is_better: what a metric, or a loss, declares.
        suffix: of the files of a report.
    """

    kind: str
    choice: Choice
    _: KW_ONLY
    device: str = "cpu"
    tasks: tuple[str, ...] = ()
    other_seed: int | None = None
    targets: tuple[str, ...] = ()
    share: bool = False
    higher_is_better: bool = True
    suffix: str = ""


def check_payload(
    offer: Offer[Any], params: Mapping[str, Any], device: str = "cpu"
) -> CheckPayload:
    """The payload of :func:`check_plugin`.

    Args:
        params: parameters that differ from their defaults.
        device: the device to check a model or runtime on.

    Raises:
        UsageError: unknown parameter, or invalid value.
    """
    spec = offer.spec
    declared = getattr(spec, "parameters", {})  # a runtime has none
    choice = Choice.of(offer, parameters.checked(spec.name, params, declared))
    return CheckPayload(
        offer.kind,
        choice,
        device=device,
        tasks=tuple(getattr(spec, "tasks", ())),
        other_seed=_other_seed(choice.params, declared),
        targets=tuple(getattr(spec, "targets", ())),
        share=getattr(spec, "share", False),
        higher_is_better=getattr(spec, "higher_is_better", True),
        suffix=getattr(spec, "suffix", ""),
    )


def _other_seed(params: Mapping[str, Any], declared: Mapping[str, Param]) -> int | None:
    """A valid value of the parameter ``seed`` that differs from the given one; None if none."""
    if "seed" not in declared or not isinstance(params["seed"] or 0, int):
        return None
    seed = int(params["seed"] or 0)
    nearby = (seed + 1, seed - 1, *(c for c in declared["seed"].choices if isinstance(c, int)))
    valid = (n for n in nearby if n != seed and not parameters.problem_with(n, declared["seed"]))
    return next(valid, None)


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
    """Run all checks of an offer in order; for a model also the optional ones.

    Args:
        notify: called with the name of each check before it runs.
    """
    from seqbench.testing.plugin_checks.models import OPTIONAL_CHECKS

    subject, checks = subject_and_checks(payload, workspace)
    trained = payload.kind == "model" and not payload.choice.is_estimator
    optional = OPTIONAL_CHECKS if trained else ()
    return check_results((*checks, *optional), subject, notify)


def subject_and_checks(
    payload: CheckPayload, workspace: Workspace
) -> tuple[Any, tuple[Check, ...]]:
    """What to check, and its required checks. Imports torch.

    Raises:
        DeviceError: the device is unknown, or not available on this machine.
    """
    return _SUBJECTS[payload.kind](payload, workspace)


def _model(payload: CheckPayload, workspace: Workspace) -> tuple[Any, tuple[Check, ...]]:
    from seqbench.testing.plugin_checks.candidate import Candidate
    from seqbench.testing.plugin_checks.estimators import ESTIMATOR_CHECKS, EstimatorCandidate
    from seqbench.testing.plugin_checks.models import MODEL_CHECKS

    if payload.choice.is_estimator:  # always on the CPU
        return EstimatorCandidate(payload.choice, payload.tasks), ESTIMATOR_CHECKS
    _require_device(payload.device)
    kinds = payload.tasks
    if payload.choice.kind == "encoder":  # other targets differ in the loss, which it does not see
        kinds = tuple(kind for kind in kinds if kind in WHOLE_MODEL_KINDS) or kinds
    return Candidate(payload.choice, kinds, payload.device), MODEL_CHECKS


def _dataset(payload: CheckPayload, workspace: Workspace) -> tuple[Any, tuple[Check, ...]]:
    from seqbench.testing.plugin_checks.datasets import DATASET_CHECKS, DatasetCandidate

    downloads = workspace.cache / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    context = DataContext(workspace.data_dir, downloads, lambda text: None)
    seed, tasks = payload.other_seed, payload.tasks
    return DatasetCandidate(payload.choice, context, seed, tasks), DATASET_CHECKS


def _metric(payload: CheckPayload, workspace: Workspace) -> tuple[Any, tuple[Check, ...]]:
    from seqbench.testing.plugin_checks.metrics import METRIC_CHECKS, MetricCandidate

    about = (payload.targets, payload.share, payload.higher_is_better)
    return MetricCandidate(payload.choice, *about), METRIC_CHECKS


def _report(payload: CheckPayload, workspace: Workspace) -> tuple[Any, tuple[Check, ...]]:
    from seqbench.testing.plugin_checks.reports import REPORT_CHECKS, ReportCandidate

    return ReportCandidate(payload.choice, payload.suffix), REPORT_CHECKS


def _runtime(payload: CheckPayload, workspace: Workspace) -> tuple[Any, tuple[Check, ...]]:
    from seqbench.testing.plugin_checks.runtimes import RUNTIME_CHECKS, RuntimeCandidate

    _require_device(payload.device)
    return RuntimeCandidate(payload.choice, payload.device), RUNTIME_CHECKS


def _method(payload: CheckPayload, workspace: Workspace) -> tuple[Any, tuple[Check, ...]]:
    from seqbench.testing.plugin_checks import methods

    checks = {
        "loss": methods.LOSS_CHECKS,
        "optimizer": methods.OPTIMIZER_CHECKS,
        "schedule": methods.SCHEDULE_CHECKS,
    }
    return methods.MethodCandidate(payload.kind, payload.choice, payload.targets), checks[
        payload.kind
    ]


_SUBJECTS: Mapping[str, Callable[[CheckPayload, Workspace], tuple[Any, tuple[Check, ...]]]] = {
    "model": _model, "dataset": _dataset, "metric": _metric, "report": _report,
    "runtime": _runtime, "loss": _method, "optimizer": _method, "schedule": _method,
}  # fmt: skip


def _require_device(name: str) -> None:
    import torch

    from seqbench.devices.registry import device_for

    try:
        torch.zeros(1, device=device_for(name).torch_device(name))
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"device {name!r} is not available on this machine") from error
