"""The Python API: what ``seqbench run`` does, as a function."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from seqbench.executors.registry import make_executor
from seqbench.report.run import Run
from seqbench.runner.start import Request, start_run
from seqbench.store.places import expanded
from seqbench.suite.files import read_suite
from seqbench.suite.selection import Selection
from seqbench.suite.shipped import find_suite

RESULTS = Path("results")


def run(
    suite: str | Path,
    *,
    overrides: Sequence[str] = (),
    models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    devices: Sequence[str] = (),
    seeds: int | None = None,
    allow_many: bool = False,
    out: str | Path = RESULTS,
    data_dir: str | Path | None = None,
    jobs: int | None = None,
) -> Run:
    """Run a suite and return its results, like ``seqbench run`` without the display.

    Args:
        suite: path of the YAML file, or name of a shipped suite: a text without a slash and without
            the suffix ``.yaml`` is a name.
        overrides: settings to change, such as ``"train.epochs=2"``.
        models: run only these.
        datasets: run only these.
        devices: replace the suite's devices.
        seeds: replaces the suite's seeds: 0 to ``seeds`` - 1.
        allow_many: allow more than 1,000 trials.
        out: folder for results.
        data_dir: folder to search for datasets first; default: ``SEQBENCH_DATA``.
        jobs: maximum number of busy CPU cores; default: all.

    Raises:
        UsageError: there is no shipped suite of that name.
        SuiteError: the suite is not valid. Trials that fail are results, not exceptions.
    """
    named = "data_dir" if data_dir else "SEQBENCH_DATA"
    data_dir = data_dir or os.environ.get(named)
    selection = Selection(
        overrides=_list(overrides),
        models=_list(models),
        datasets=_list(datasets),
        devices=_list(devices),
        seeds=seeds,
        allow_many=allow_many,
    )
    return start_run(
        Request(read_suite(find_suite(suite)), selection),
        out=expanded(out, "out"),
        data_dir=expanded(data_dir, named) if data_dir else None,
        executor=make_executor(cores=jobs),
    )


def _list(value: Sequence[str]) -> list[str]:
    """A single name means a list of one."""
    return [value] if isinstance(value, str) else list(value)
