"""A pytest plugin: runs of a small suite, to be interrupted, damaged and resumed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import install, runner_environment
from in_process import call_main

from seqbench.store.run_folder import RunFolder

SUITE = """
    name: small
    datasets: [{parity: {length: 4, train_size: 400, validation_size: 50, test_size: 50}}]
    models: [{rnn: {hidden_size: 4}}, {gru: {hidden_size: 4}}]
    train: {epochs: 3, batch_size: 20}
    seeds: 3
    measure: {accuracy: , memory: {batch_size: 8}}
    """


TIMED_SUITE = SUITE.replace(
    "memory: {batch_size: 8}",
    "memory: {batch_size: 8}, latency: {batch_sizes: [1], budget: 1s, processes: 3, warm_up: 10ms}",
)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(textwrap.dedent(SUITE))
    return path


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "seqbench", "run", "small.yaml", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=runner_environment(folder), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def called(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Like ``start``, in this process, which is faster; waits until the run ends."""
    return call_main(["run", "small.yaml", *arguments], folder, {})


def finish(folder: Path, *arguments: str) -> Path:
    """Run to completion in this process; returns the run's folder."""
    done = called(folder, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return folder / str(json.loads(done.stdout)["run"])


def begun(run: Path) -> dict[str, str]:
    """The start time of each recorded trial."""
    return {p.stem: json.loads(p.read_text())["started"] for p in (run / "trials").glob("*.json")}


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "small.yaml").write_text(textwrap.dedent(SUITE))
    return finish(folder)


@pytest.fixture(scope="session")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like ``undisturbed``, with latency, and in a process of its own."""
    folder = tmp_path_factory.mktemp("timed")
    (folder / "small.yaml").write_text(textwrap.dedent(TIMED_SUITE))
    process = start(folder, "--json")
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    return folder / str(json.loads(stdout)["run"])


@pytest.fixture
def finished(undisturbed: Path, suite: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, with its suite."""
    copy = tmp_path / "results" / "small" / undisturbed.name
    shutil.copytree(undisturbed, copy)
    return copy


def wait_until_running(folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a runner has locked a folder."""
    wait_for(
        lambda: any(RunFolder(run).in_use() for run in folder.glob("results/small/*")), process
    )


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


FLAKY = """
    from pathlib import Path
    import torch

    class Flaky(torch.nn.Linear):
        def forward(self, x):
            if (Path(__file__).parents[1] / "bad").exists():
                raise ValueError("bad weather")
            return super().forward(x)
    """


FLAKY_SPEC = """
    import seqbench

    @seqbench.hookimpl
    def seqbench_models():
        return [seqbench.ModelSpec("flaky", build="flaky_layer:Flaky",
                                   parameters={"out_features": 4})]
    """


@pytest.fixture
def slow_run(site: Path, suite: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A running run with one completed trial; the other trials are slow."""
    slow = FLAKY.replace('raise ValueError("bad weather")', "import time; time.sleep(0.2)")
    install(site, "flaky", {"flaky": FLAKY_SPEC, "flaky_layer": slow}, "flaky = flaky")
    (tmp_path / "bad").touch()
    suite.write_text(suite.read_text().replace("{gru: {hidden_size: 4}}", "flaky"))
    process = start(tmp_path)
    try:
        wait_for(lambda: list(tmp_path.glob("results/small/*/trials/rnn-*.json")), process)
        yield process
    finally:
        process.kill()
        process.communicate()
