"""Untrusted suites and results folders: refused or read, never executed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import resource
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import runner_environment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import call_main
from test_suite import KEYS, TINY, TREES, parse

from seqbench.errors import SuiteError
from seqbench.suite.keys import Suite

START = "datasets: [parity]\nmodels: [rnn]\n"
BILLION_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n"
    for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
HOSTILE = {
    "deep nesting": "datasets: " + "[" * 100_000,
    "exploding aliases": BILLION_LAUGHS + "datasets: *j\nmodels: [rnn]\n",
    "10 MB of entries": START + "notes: |\n" + "  filler filler\n" * 700_000,
    "10 MB in a line": START + f"notes: {'x' * 10_000_000}\n",
    "a python tag": START + "notes: !!python/object/apply:os.system ['touch hacked']\n",
    "another python tag": "!!python/object/new:os.system [touch hacked]\n",
    "NUL bytes": START + "notes: a\0b\n",
    "path separators": START + "name: ../../etc/passwd\n",
    "an absolute path": START + "name: /etc/passwd\n",
    "a dataset with a path": "datasets: [../parity]\nmodels: [rnn]\n",
    "negative epochs": START + "train: {epochs: -1}\n",
    "a huge batch": START + "train: {batch_size: 1e300}\n",
    "a huge integer": START + f"train: {{epochs: {'9' * 5000}}}\n",
    "a grid of a billion": "datasets: [parity]\nmodels: [{rnn: {"
    + ", ".join(
        f"{name}: [{', '.join(map(str, range(1, 1001)))}]"
        for name in ("hidden_size", "num_layers", "embedding_size")
    )
    + "}}]\n",
    "seeds without end": START + "seeds: 99999999999999\n",
    "an include of itself": START + "include: hostile.yaml\n",
    "an include from outside": START + "include: /dev/zero\n",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_suites_are_refused_quickly(what: str, tmp_path: Path) -> None:
    """On the command line: one error, no traceback, bounded time and memory, nothing executed."""
    (tmp_path / "hostile.yaml").write_text(HOSTILE[what], encoding="utf-8")

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))

    clock = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "seqbench", "run", "hostile.yaml"], cwd=tmp_path, timeout=60,
        env=runner_environment(tmp_path), capture_output=True, text=True, preexec_fn=bound,
    )  # fmt: skip
    assert time.monotonic() - clock < 10  # on a busy machine
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "\nerror: " in f"\n{done.stderr}"
    assert len(done.stderr) < 20_000
    assert not (tmp_path / "hacked").exists()
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "count", [100, pytest.param(10_000, marks=pytest.mark.slow)], ids=["some", "ten thousand"]
)
def test_no_suite_makes_a_traceback(count: int) -> None:
    """Arbitrary trees as the value of every key, and as an override."""

    @given(
        st.fixed_dictionaries({}, optional=dict.fromkeys(Suite.model_fields, TREES)),
        st.dictionaries(KEYS, TREES, max_size=2),
        TREES,
    )
    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))
    def check(tree: dict[str, Any], more: dict[str, Any], value: Any) -> None:
        override = f"train.optimizer={yaml.safe_dump(value, default_flow_style=True)}"
        text = yaml.safe_dump({**yaml.safe_load(TINY), **tree, **more})
        for overrides in ((), (override,)):
            with contextlib.suppress(SuiteError):
                suite = parse(text, *overrides)
                assert all(suite.train_for(entry) for entry in suite.models)

    check()


SMALL = """
    name: small
    datasets: [{parity: {length: 4, train_size: 200, validation_size: 50, test_size: 50}}]
    models: [{rnn: {hidden_size: 4}}]
    train: {epochs: 1}
    seeds: 1
    measure: {memory: {batch_size: 8}}
    """


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite and its run."""
    folder = tmp_path_factory.mktemp("original")
    (folder / "small.yaml").write_text(textwrap.dedent(SMALL))
    assert call_main(["run", "small.yaml"], folder, {}).returncode == 0
    return folder


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    """A copy of it in ``tmp_path``."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    (folder,) = tmp_path.glob("results/small/*")
    return folder


def test_nothing_is_ever_unpickled(
    run: Path, tmp_path: Path, seqbench_cli: Callable[..., Any]
) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    (weights,) = run.glob("weights/*")
    weights.write_bytes(bomb)
    (trial,) = run.glob("trials/*.json")
    record = json.loads(trial.read_text())
    trial.write_text(json.dumps({**record, "weights_sha256": hashlib.sha256(bomb).hexdigest()}))
    for case in run.glob("cases/*.json"):
        case.unlink()
    for arguments in (["show"], ["show", "--memory"], ["run", "small.yaml", "--resume"]):
        done = seqbench_cli(*arguments)
        assert "Traceback" not in done.stderr
    assert done.returncode == 1  # the weights are invalid
    assert not (tmp_path / "exploded").exists()
    pickle.loads(bomb)
    assert (tmp_path / "exploded").exists()


def test_a_link_in_a_results_folder_is_not_followed_out_of_it(
    run: Path, tmp_path: Path, seqbench_cli: Callable[..., Any]
) -> None:
    treasure = tmp_path / "treasure"
    treasure.write_text("mine")
    for path in (*run.glob("trials/*.json"), *run.glob("weights/*"), run / "run.log"):
        path.unlink()
        path.symlink_to(treasure)
    seqbench_cli("run", "small.yaml", "--resume")
    assert treasure.read_text() == "mine"
