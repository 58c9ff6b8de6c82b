"""A pytest fixture for model plugins: times a model with pytest-benchmark.

pytest discovers it once seqbench is installed. Heavy imports are deferred until it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seqbench.errors import UsageError
from seqbench.suggest import suggestion
from seqbench.types import TASK_KINDS

if TYPE_CHECKING:
    from torch import nn

    from seqbench.testing.plugin_checks.candidate import Candidate

MODES = ("inference", "training")


@pytest.fixture
def time_model(benchmark: Any) -> Iterator[Callable[..., None]]:
    """A function that times a model: ``time_model("mine", batch_size=8, hidden_size=64)``.

    Saved results can be compared with ``pytest --benchmark-compare``. ``extra_info`` holds the
    settings and the model's hardware-independent cost: parameters, their bytes, and
    multiply-accumulates per sequence.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def time(name: str, /, **settings: Any) -> None:
        _time(benchmark, name, **settings)

    yield time
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class _Setting:
    """What is timed of a model; see :func:`_time`."""

    task: str
    batch_size: int
    length: int
    mode: str
    device: str

    def __post_init__(self) -> None:
        for name, given, known in (
            ("mode", self.mode, MODES),
            ("task", self.task, TASK_KINDS),
        ):
            if given not in known:
                raise UsageError(
                    f"unknown {name} {given!r}; {suggestion(given, known)} (if the model has a "
                    f"parameter {name!r}, pass it in params={{...}})"
                )


def _time(
    benchmark: Any,
    name: str,
    /,
    *,
    task: str = "features/label",
    batch_size: int = 1,
    length: int = 28,
    mode: str = "inference",
    device: str = "cpu",
    params: Mapping[str, Any] | None = None,
    **more: Any,
) -> None:
    """Time a forward pass or a training step on one thread, including synchronization.

    Args:
        benchmark: the fixture of pytest-benchmark.
        name: the model, by its name in suites; its package must be installed.
        task: the kind of task, for example ``"tokens/label"``; its inputs are small and random.
        batch_size, length: of the inputs.
        mode: ``"inference"``, or ``"training"``: forward, loss and backward.
        params, more: parameters of the model that differ from their defaults; ``params`` is for
            those with the name of an argument above.

    Raises:
        UnknownName: no working plugin offers the model.
        UsageError: unknown parameter, mode or kind of task.
    """
    from seqbench.plugins.discovery import load_plugins
    from seqbench.runner.context import local_workspace
    from seqbench.testing.plugin_checks.candidate import task_of
    from seqbench.testing.plugin_checks.job import check_payload, subject_and_checks

    setting = _Setting(task, batch_size, length, mode, device)
    payload = check_payload(load_plugins().model(name), {**(params or {}), **more}, device)
    if payload.choice.is_estimator:
        raise UsageError(f"time_model is for models of torch, and {name!r} is an estimator")
    candidate, _ = subject_and_checks(payload, local_workspace(Path()))
    model = candidate.model(task_of(task, length)).train(mode == "training")
    benchmark(_call(candidate, model, setting))
    benchmark.extra_info.update(_extra_info(candidate, model, setting))


def _call(candidate: Candidate, model: nn.Module, setting: _Setting) -> Callable[[], None]:
    """The call to time."""
    import torch

    from seqbench.devices.registry import device_for
    from seqbench.testing.plugin_checks.candidate import task_of
    from seqbench.training.losses import default_loss

    task = task_of(setting.task, setting.length)
    synchronize = partial(device_for(setting.device).synchronize, candidate.device)
    x = candidate.inputs(task, setting.batch_size, setting.length)
    y = candidate.targets(task, setting.batch_size, setting.length)

    def infer() -> None:
        with torch.inference_mode():
            model(x)
        synchronize()

    def step() -> None:
        model.zero_grad()
        default_loss(task)(model(x), y).backward()  # type: ignore[no-untyped-call]
        synchronize()

    return infer if setting.mode == "inference" else step


def _extra_info(candidate: Candidate, model: nn.Module, setting: _Setting) -> dict[str, Any]:
    """What was timed, and its hardware-independent cost. Moves ``model`` to ``meta``."""
    import torch

    from seqbench import __version__
    from seqbench.measure.cost import count_macs
    from seqbench.testing.plugin_checks.candidate import task_of
    from seqbench.training.model import parameter_count

    choice = candidate.choice
    return {
        "seqbench": __version__,
        "model": choice.name,
        "params": dict(choice.params),
        "distribution": choice.distribution,
        "version": choice.version,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        **asdict(setting),
        "parameters": parameter_count(model),
        "parameter_bytes": sum(p.numel() * p.element_size() for p in model.parameters()),
        "macs": count_macs(model.cpu(), task_of(setting.task, setting.length)),
    }
