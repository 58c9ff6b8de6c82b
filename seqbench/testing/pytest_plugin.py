"""A fixture for the tests of a model plugin: times the model through pytest-benchmark.

pytest finds it by itself once seqbench is installed. Imports nothing heavy until it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from seqbench.errors import UsageError
from seqbench.types import TASK_KINDS

MODES = ("inference", "training")


@pytest.fixture
def time_model(benchmark: Any) -> Iterator[Callable[..., None]]:
    """A function that times a model: ``time_model("mine", batch_size=8, hidden_size=64)``.

    What pytest-benchmark stores of it can be compared with ``pytest --benchmark-compare``;
    ``extra_info`` holds what was timed, and what it costs whatever the machine: parameters, their
    bytes, multiply-accumulates of one sequence.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def time(name: str, **asked: Any) -> None:
        _time(benchmark, name, **asked)

    yield time
    torch.set_num_threads(threads)


def _time(
    benchmark: Any,
    name: str,
    *,
    task: str = "features/label",
    batch_size: int = 1,
    length: int = 28,
    mode: str = "inference",
    device: str = "cpu",
    params: Mapping[str, Any] | None = None,
    **more: Any,
) -> None:
    """Times a forward pass or a training step, on one thread, with the device waited for.

    Args:
        benchmark: the fixture of pytest-benchmark.
        name: of the model, as a suite calls it; its package must be installed.
        task: the kind of task, as ``"tokens/label"``; its inputs are small and random.
        batch_size, length: of the inputs.
        mode: ``"inference"``, or ``"training"``: forward, loss and backward.
        params, more: the model's, where they are not to be the defaults; in ``params`` those that
            are called like something above.

    Raises:
        UnknownName: no working plugin offers the model.
        UsageError: it has no such parameter, or there is no such mode or kind of task.
    """
    import torch

    from seqbench import __version__
    from seqbench.devices.registry import device_for
    from seqbench.measure.cost import count_macs
    from seqbench.plugins.discovery import load_plugins
    from seqbench.testing.plugin_checks.candidate import task_of
    from seqbench.testing.plugin_checks.job import (
        check_payload,
        local_workspace,
        subject_and_checks,
    )
    from seqbench.training.model import parameter_count
    from seqbench.training.step import loss_of

    for given, known in ((mode, MODES), (task, TASK_KINDS)):
        if given not in known:
            raise UsageError(
                f"{given!r} is none of {', '.join(known)}; a parameter of the model that is called "
                "like one of time_model's goes into params={...}"
            )
    asked = {**(params or {}), **more}
    payload = check_payload(load_plugins().model(name), asked, device)
    candidate, _ = subject_and_checks(payload, local_workspace())
    synchronize = partial(device_for(device).synchronize, candidate.device)
    kind = task_of(task)
    model = candidate.model(kind)
    x = candidate.inputs(kind, batch_size, length)
    y = candidate.targets(kind, batch_size, length)

    def infer() -> None:
        with torch.inference_mode():
            model(x)
        synchronize()

    def step() -> None:
        model.zero_grad()
        loss_of(model(x), y, kind).backward()  # type: ignore[no-untyped-call]
        synchronize()

    model.train(mode == "training")
    benchmark(infer if mode == "inference" else step)
    parameters = list(model.parameters())
    benchmark.extra_info.update(
        seqbench=__version__,
        model=name,
        params=dict(candidate.choice.params),
        distribution=candidate.choice.distribution,
        version=candidate.choice.version,
        torch=torch.__version__,
        device=device,
        threads=torch.get_num_threads(),
        task=task,
        batch_size=batch_size,
        length=length,
        mode=mode,
        parameters=parameter_count(model),
        parameter_bytes=sum(p.numel() * p.element_size() for p in parameters),
        macs=count_macs(model.cpu(), kind, length),
    )
