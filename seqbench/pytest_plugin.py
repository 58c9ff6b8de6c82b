"""A fixture for the tests of a model plugin: times the model through pytest-benchmark.

pytest finds it by itself once seqbench is installed. Imports nothing heavy until it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest


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
    mode: Literal["inference", "training"] = "inference",
    device: str = "cpu",
    **params: Any,
) -> None:
    """Times a forward pass or a training step, on one thread, with the device waited for.

    Args:
        benchmark: the fixture of pytest-benchmark.
        name: of the model, as a suite calls it; its package must be installed.
        task: the kind of task, as ``"tokens/label"``; its inputs are small and random.
        batch_size, length: of the inputs.
        mode: ``"training"``: forward, loss and backward.
        params: those that are not to be the defaults.

    Raises:
        UnknownName: no working plugin offers the model.
    """
    import torch

    from seqbench import __version__, models, plugins, training
    from seqbench.conformance.candidate import task_of
    from seqbench.conformance.job import job_for, subject_and_checks
    from seqbench.measure import cost
    from seqbench.measure.subject import synchronize

    candidate, _ = subject_and_checks(job_for(plugins.load().model(name), params, device))
    kind = task_of(task)
    model = candidate.model(kind)
    x = candidate.inputs(kind, batch_size, length)
    y = candidate.targets(kind, batch_size, length)

    def infer() -> None:
        with torch.inference_mode():
            model(x)
        synchronize(candidate.device)

    def step() -> None:
        model.zero_grad()
        training.loss_of(model(x), y, kind).backward()  # type: ignore[no-untyped-call]
        synchronize(candidate.device)

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
        parameters=models.parameter_count(model),
        parameter_bytes=sum(p.numel() * p.element_size() for p in parameters),
        macs=cost.count_macs(model.cpu(), kind, length),
    )
