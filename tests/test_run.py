"""`seqbench run` as a real program: results, failures as results, exit codes."""

from __future__ import annotations

import dataclasses
import json
import platform
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import install, processes_of, runner_environment

import seqbench

TINY = """
    name: tiny
    datasets: [{parity: {length: 4, train_size: 200, validation_size: 50, test_size: 50}}]
    models: [{rnn: {hidden_size: 4}}, {gru: {hidden_size: 4}}]
    train: {epochs: 2, batch_size: 20}
    seeds: 2
    measure:
      latency: {budget: 200ms, batch_sizes: [1, 8], processes: 3, warm_up: 50ms}
      memory: {batch_size: 8}
    """

FAULTY = """
    import seqbench

    @seqbench.hookimpl
    def seqbench_models():
        return [
            seqbench.ModelSpec(name, build="faulty_models:" + name, parameters={"hidden_size": 4})
            for name in ("dies", "hangs")
        ]
    """
FAULTY_MODELS = """
    import ctypes, signal, subprocess
    import torch

    class Base(torch.nn.Module):
        def __init__(self, input_size, hidden_size):
            super().__init__()
            self.layer = torch.nn.Linear(input_size, hidden_size)
            self.hidden_size = hidden_size

        def forward(self, x):
            if self.training:
                self.fault()
            return self.layer(x)

    class hangs(Base):
        def fault(self):
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            ctypes.PyDLL(None).sleep(1000)  # holds the interpreter's lock
    """


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run finished by the program with --json, with its output."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(textwrap.dedent(TINY))
    done = subprocess.run(
        [sys.executable, "-m", "seqbench", "run", "tiny.yaml", "--json"],
        cwd=folder, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "stdout.json").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    return folder


@pytest.fixture
def tiny_document(tiny_run: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((tiny_run / "stdout.json").read_text())
    return document


def test_json_is_one_document_with_every_figure(tiny_document: dict[str, Any]) -> None:
    assert tiny_document["format"] == 2
    assert tiny_document["status"] == "finished"
    assert [(t["model"], t["seed"]) for t in tiny_document["trials"]] == [
        ("rnn", 0), ("rnn", 1), ("gru", 0), ("gru", 1),
    ]  # fmt: skip
    for case in tiny_document["cases"]:
        assert case["status"] == "ok"
        assert case["seeds"] == {"ok": 2}
        accuracy = case["accuracy"]
        assert accuracy["n"] == 2
        assert accuracy["low"] <= accuracy["mean"] <= accuracy["high"]
        assert [entry["batch_size"] for entry in case["latency"]] == [1, 8]
        for entry in case["latency"]:
            assert 0 < entry["low_s"] <= entry["median_s"] <= entry["high_s"] < 1
            assert entry["processes"] == 3
        assert case["memory"]["training_bytes"] > 4 * case["parameters"]
        assert case["macs"] > 0


def test_everything_else_goes_to_stderr_without_control_codes(tiny_run: Path) -> None:
    stderr = (tiny_run / "stderr.txt").read_text()
    assert "training: 4 trials" in stderr
    assert "\x1b" not in stderr


def test_the_run_folder_has_the_documented_files(
    tiny_run: Path, tiny_document: dict[str, Any]
) -> None:
    folder = tiny_run / tiny_document["run"]
    assert (folder / "suite.yaml").read_text() == (tiny_run / "tiny.yaml").read_text()
    for trial in tiny_document["trials"]:
        record = json.loads((folder / "trials" / f"{trial['id']}.json").read_text())
        assert [entry["epoch"] for entry in record["curve"]] == [1, 2]
        assert (folder / record["weights"]).exists()
        assert (folder / record["log"]).exists()
    assert not list(folder.rglob("*.partial"))
    assert not list(folder.rglob(".*"))


def test_printed_figures_can_be_recomputed_from_the_samples(
    tiny_run: Path, tiny_document: dict[str, Any]
) -> None:
    from seqbench.measure.latency.comparisons import compare_cases
    from seqbench.measure.latency.figures import Samples

    folder = tiny_run / tiny_document["run"]
    timed = {}
    for case in tiny_document["cases"]:
        samples = timed[case["id"]] = Samples.read(folder / "samples" / f"{case['id']}.json.gz")
        again = [m for m in samples.measurements("", 0.02) if m.quantity in ("latency", "step")]
        assert [{**m.settings, **m.values} for m in again] == [*case["latency"], *case["step"]]
        assert {window["process"] for window in samples.windows} == {0, 1, 2}
        assert {block["round"] for block in samples.blocks} >= {0, 1, 2}
    compared = [dataclasses.asdict(one) for one in compare_cases(timed, dict.fromkeys(timed, ""))]
    kept = [one for one in tiny_document["comparisons"] if one["quantity"] in ("latency", "step")]
    assert len({one["met"] for one in kept} - {""}) == 1
    assert compared == [{**one, "met": ""} for one in kept]
    assert [one["settings"]["batch_size"] for one in kept] == [1, 8, 1]


def test_show_and_list_find_the_run(
    tiny_run: Path, tiny_document: dict[str, Any], seqbench_cli: Callable[..., Any]
) -> None:
    shown = seqbench_cli("show", "--format", "json", cwd=tiny_run)
    assert json.loads(shown.stdout) == tiny_document
    by_id = seqbench_cli("show", tiny_document["run"][-4:], cwd=tiny_run)
    assert "gru" in by_id.stdout
    assert "\x1b" not in by_id.stdout
    listed = seqbench_cli("list", cwd=tiny_run)
    assert Path(tiny_document["run"]).name[-4:] in listed.stdout
    assert " 4/4 " in listed.stdout
    for form in ("markdown", "csv", "latex"):
        assert "rnn" in seqbench_cli("show", "--format", form, cwd=tiny_run).stdout
    missing = seqbench_cli("show", "nothing", cwd=tiny_run)
    assert missing.returncode == 2
    assert "unknown run 'nothing'" in missing.stderr


def test_two_runs_give_identical_weights(
    tiny_run: Path, tiny_document: dict[str, Any], tmp_path: Path
) -> None:
    """The second run has fewer trials, and uses the Python API."""
    run = seqbench.run(tiny_run / "tiny.yaml", out=tmp_path, models=["gru"], seeds=1,
                       overrides=["measure=[accuracy]"])  # fmt: skip
    assert run.ok
    (row,) = run.to_dicts()
    before = next(t for t in tiny_document["trials"] if t["id"] == row["id"])
    assert row["value"] == before["metrics"]["value"]
    weights = f"weights/{row['id']}.safetensors"
    first = (tiny_run / tiny_document["run"] / weights).read_bytes()
    assert (run.path / weights).read_bytes() == first
    assert run.document["cases"][0]["latency"] == []
    assert run.document["cases"][0]["memory"] is None


def test_one_case_alone_is_measured_too(
    write_suite: Callable[..., Path], seqbench_cli: Callable[..., Any]
) -> None:
    done = seqbench_cli("run", write_suite(TINY), "--model", "gru", "--seeds", "1", "--json")
    assert done.returncode == 0, done.stderr
    (case,) = json.loads(done.stdout)["cases"]
    assert [entry["processes"] for entry in case["latency"]] == [3, 3]
    assert [entry["batch_size"] for entry in case["throughput"]] == [8]


def test_a_case_that_crashes_while_it_is_timed_is_dropped(
    site: Path,
    write_suite: Callable[..., Path],
    seqbench_cli: Callable[..., Any],
    tmp_path: Path,
) -> None:
    code = """
        import os
        import torch

        class Mortal(torch.nn.Linear):
            calls = 0

            def forward(self, x):
                self.calls += not self.training
                if self.calls > 40:
                    os._exit(9)
                return super().forward(x)
        """
    declared = FAULTY.replace('"faulty_models:" + name', '"faulty_models:Mortal"').replace(
        'parameters={"hidden_size": 4}', 'parameters={"out_features": 4}'
    )
    install(site, "faulty", {"faulty": declared, "faulty_models": code}, "faulty = faulty")
    text = TINY.replace("{gru: {hidden_size: 4}}", "faulty:dies").replace("seeds: 2", "seeds: 1")
    done = seqbench_cli("run", write_suite(text), "--json")
    assert done.returncode == 1, done.stderr
    rnn, mortal = json.loads(done.stdout)["cases"]
    assert rnn["status"] == "ok"
    assert rnn["latency"][0]["n"] > 0
    assert mortal["accuracy"] is not None
    assert mortal["latency"] == []
    assert {one["reason"] for one in mortal["unmeasured"]} == {"the process exited with code 9"}
    line = "faulty:dies on parity, while being timed"
    assert f"  crashed {line}: the process exited with code 9" in done.stderr
    (log,) = tmp_path.glob("results/*/*/run.log")
    assert f" {line}: crashed: the process exited with code 9" in log.read_text()


def test_an_absent_device_is_refused_before_anything_is_made(
    write_suite: Callable[..., Path], seqbench_cli: Callable[..., Any], tmp_path: Path
) -> None:
    for suite, given, named in (
        (TINY, ("--device", "cuda:7"), "--device cuda:7: this machine has no device 'cuda:7'"),
        (
            TINY.replace("seeds: 2", "devices: [cuda:8, cuda:9]"),
            (),
            "devices: this machine has no device ",
        ),
    ):
        done = seqbench_cli("run", write_suite(suite), *given)
        assert done.returncode == 2
        assert f"error: {named}" in done.stderr
        assert "; available: cpu" in done.stderr
        assert done.stdout == ""
        assert not list(tmp_path.glob("results/*"))


def test_an_absent_device_beside_an_available_one_is_skipped_with_the_reason(
    write_suite: Callable[..., Path], seqbench_cli: Callable[..., Any]
) -> None:
    options = ("--seeds", "1", "--set", "train.epochs=1", "--set", "measure=[accuracy]")
    devices = ("--device", "cpu", "--device", "cuda:7")
    done = seqbench_cli("run", write_suite(TINY), *devices, *options, "--json")
    assert done.returncode == 1
    trials = json.loads(done.stdout)["trials"]
    assert {(one["device"], one["status"]) for one in trials} == {
        ("cpu", "ok"), ("cuda:7", "skipped")
    }  # fmt: skip
    absent = [one for one in trials if one["device"] == "cuda:7"]
    reason = "this machine has no device 'cuda:7'; available: cpu"
    assert all(one["reason"].startswith(reason) for one in absent)
    assert f"warning: {reason}" in done.stderr
    assert f"; skipped: {len(absent)} trial" in done.stderr


def restore_signals() -> None:
    """Undo that signals are ignored, as inherited in the background or under nohup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def hanging(
    site: Path, write_suite: Callable[..., Path], tmp_path: Path
) -> Iterator[subprocess.Popen[str]]:
    """A run with two successful trials, while another model hangs."""
    install(site, "faulty", {"faulty": FAULTY, "faulty_models": FAULTY_MODELS}, "faulty = faulty")
    text = TINY.replace("{gru: {hidden_size: 4}}", "faulty:hangs")
    process = subprocess.Popen(
        [sys.executable, "-m", "seqbench", "run", str(write_suite(text)), "--json"],
        cwd=tmp_path, env=runner_environment(tmp_path), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
        start_new_session=True,
        preexec_fn=restore_signals,
    )  # fmt: skip
    try:
        # Trials run seed by seed over all cases, two at a time.
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("results/tiny/*/trials/rnn-*.json"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)],
)
def test_an_interrupt_keeps_results_and_leaves_nothing_running(
    hanging: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    hanging.send_signal(number)
    stdout, stderr = hanging.communicate(timeout=30)
    assert hanging.returncode == 130, stderr
    document = json.loads(stdout)
    assert document["status"] == "interrupted"
    assert [trial["status"] for trial in document["trials"]] == ["ok", "ok"]
    assert "Traceback" not in stderr
    assert processes_of(tmp_path) == []


def test_workers_end_with_a_killed_runner(hanging: subprocess.Popen[str], tmp_path: Path) -> None:
    hanging.kill()
    hanging.wait()
    assert processes_of(tmp_path) == []


@pytest.mark.slow
def test_a_script_without_a_main_guard_runs_once(
    write_suite: Callable[..., Path], tmp_path: Path
) -> None:
    script = tmp_path / "study.py"
    suite = write_suite(TINY)
    script.write_text(
        "import seqbench\n"
        "print('started')\n"
        f"run = seqbench.run({str(suite)!r}, seeds=1, overrides=['measure=[accuracy]'])\n"
        "print(run.ok, len(run.records))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["started", "True", "2"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_memory_freed_in_training_is_reused() -> None:
    script = """
import resource
import torch
from seqbench.training.job import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        first, second = torch.ones(10_000_000), torch.ones(10_000_000)
        del first, second
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults()
keep_freed_memory()
faults()
print(usual, faults())
"""
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    usual, kept = map(int, answer.stdout.split())
    assert kept < usual / 10
