"""Whatever a plugin does becomes a row with its reason, and does not affect other trials."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import install, processes_of, runner_environment
from in_process import call_main

from seqbench.workers.logs import BEGINNING, END

SECONDS = 4.0
#: After its time limit, a trial has a second to exit by itself; the rest is for slow machines.
PATIENCE = 4.0

SUITE = """
    name: faults
    datasets: [{parity: {length: 4, train_size: 200, validation_size: 50, test_size: 50}}]
    models: [MODELS]
    train: {epochs: 2, batch_size: 20}
    seeds: 1
    limits: {time: 4s, memory: 1500MiB, retries: 1}
    measure: [accuracy]
    """

MODELS = r"""
    import ctypes, os, signal, subprocess, sys, time
    import torch

    def write_to_all(data):
        from multiprocessing import resource_tracker
        # Python's own tracker, which all processes share, would complain on the terminal.
        for number in set(range(3, 100)) - {resource_tracker.getfd()}:
            try: os.write(number, data)
            except OSError: pass

    class Base(torch.nn.Module):
        def __init__(self, input_size, hidden_size):
            super().__init__()
            self.layer = torch.nn.Linear(input_size, hidden_size)

        def forward(self, x):
            if self.training:
                self.fault()
            return self.layer(x)

        def fault(self): pass

    class raises_in_build(Base):
        def __init__(self, input_size, hidden_size): raise ValueError("no such layer")

    class raises_in_forward(Base):
        def fault(self):
            print("about to raise")
            raise ValueError("no [bold]good[/bold]")

    class Sour(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x): return x.clone()
        @staticmethod
        def backward(ctx, gradient): raise ArithmeticError("no way back")

    class raises_in_backward(Base):
        def forward(self, x): return Sour.apply(self.layer(x))

    class exits(Base):
        def fault(self): sys.exit(0)

    class exits_at_once(Base):
        def fault(self):
            print("last words", flush=True)
            os._exit(3)

    class aborts(Base):
        def fault(self): os.abort()

    class segfaults(Base):
        def fault(self): ctypes.string_at(0)

    class is_killed(Base):
        def fault(self): os.kill(os.getpid(), signal.SIGKILL)

    class hangs(Base):
        def fault(self):
            while True: time.sleep(1)

    class hangs_in_c(Base):
        def fault(self):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            # Holds the interpreter's lock, so that no thread of this process runs.
            ctypes.PyDLL(None).sleep(1000)

    class leaves_a_child(Base):
        def fault(self):
            if not hasattr(self, "child"):
                self.child = subprocess.Popen(["sleep", "1000"])

    class leaves_a_daemon(Base):
        def fault(self):
            if not hasattr(self, "child"):
                self.child = subprocess.Popen(["sleep", "1000"], start_new_session=True)

    class leaves_a_fork(Base):
        def fault(self):
            if not hasattr(self, "forked"):
                self.forked = True
                if os.fork() == 0:
                    os.setsid()
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    time.sleep(1000)
                    os._exit(0)

    class forks_and_exits(Base):
        def fault(self):
            if not hasattr(self, "forked"):
                self.forked = True
                if os.fork() == 0: sys.exit(0)

    class closes_all_files(Base):
        def fault(self): os.closerange(3, 1000)

    class writes_everywhere(Base):
        def fault(self):
            write_to_all(bytes(20))

    class says_something_else(Base):
        def fault(self): write_to_all(b'{"steps": 5}\n{"done": 1}\n')

    class says_half_a_word(Base):
        def fault(self):
            write_to_all(b'{"done": {')
            time.sleep(1000)

    class has_a_helper(Base):
        def fault(self):
            if not hasattr(self, "helper"):
                shell = ["sh", "-c", "sleep 1000 > /dev/null & echo $!"]
                self.helper = int(subprocess.check_output(shell, start_new_session=True))
                time.sleep(2)
            os.kill(self.helper, 0)

    class allocates(Base):
        def fault(self):
            held = []
            while True: held.append(torch.ones(2**24))

    class prints_much(Base):
        def fault(self):
            if not hasattr(self, "printed"):
                self.printed = True
                print("the beginning", flush=True)
                for stream in (sys.stdout, sys.stderr):
                    for _ in range(50): stream.write("x" * 2**20 + "\n")
                print("the end", flush=True)

    class prints_codes(Base):
        def fault(self):
            print("\x1b[31mred\x1b]0;title\x07\x9b2J", flush=True)
            raise RuntimeError("\x1b[2Jgone\x00\r\n\u202eevil")

    class wrong_shape(Base):
        def forward(self, x):
            return self.layer(x)[:1] if self.training else self.layer(x)

    class not_finite(Base):
        def forward(self, x):
            return self.layer(x) * (float("nan") if self.training else 1.0)

    class deletes_its_folder(Base):
        def fault(self):
            if not hasattr(self, "deleted"):
                import shutil
                shutil.rmtree(os.getcwd())
                self.deleted = True
    """

DECLARED = """
    import seqbench

    NAMES = NAMES_OF_ALL

    @seqbench.hookimpl
    def seqbench_models():
        return [
            seqbench.ModelSpec(name, build="faulty_models:" + name, parameters={"hidden_size": 4})
            for name in NAMES
        ] + [seqbench.ModelSpec("imports_for_ever", build="endless:Model")]
    """


class Row(NamedTuple):
    """The expected result of one model."""

    status: str
    reason: str
    attempts: int = 1
    waits: bool = False


ROWS = {
    "raises_in_build": Row("failed", "ValueError: no such layer (faulty_models.py:"),
    "raises_in_forward": Row("failed", "ValueError: no [bold]good[/bold] (faulty_models.py:"),
    "raises_in_backward": Row("failed", "ArithmeticError: no way back (faulty_models.py:"),
    "exits": Row("failed", "SystemExit: 0"),
    "exits_at_once": Row("crashed", "exited with code 3"),
    "aborts": Row("crashed", "killed by SIGABRT", attempts=2),
    "segfaults": Row("crashed", "killed by SIGSEGV", attempts=2),
    "is_killed": Row("crashed", "killed by SIGKILL", attempts=2),
    "hangs": Row("timeout", "not finished after 4 s (limits.time)", waits=True),
    "hangs_in_c": Row("timeout", "not finished after 4 s", waits=True),
    "imports_for_ever": Row("timeout", "not finished after 4 s", waits=True),
    "leaves_a_child": Row("ok", ""),
    "leaves_a_daemon": Row("ok", ""),
    "leaves_a_fork": Row("ok", ""),
    "forks_and_exits": Row("ok", ""),
    "closes_all_files": Row("crashed", "exited with code 1"),
    "writes_everywhere": Row("crashed", "the worker's result channel was corrupted"),
    "says_something_else": Row("crashed", "the worker's result channel was corrupted"),
    "says_half_a_word": Row("timeout", "not finished after 4 s", waits=True),
    "has_a_helper": Row("ok", ""),
    "allocates": Row("out_of_memory", "(limits.memory: 1,500 MiB)"),
    "prints_much": Row("ok", ""),
    "prints_codes": Row("failed", "RuntimeError: "),
    "wrong_shape": Row("failed", "the model returned shape (1, 2), expected (20, 2)"),
    "not_finite": Row("diverged", "the loss became nan at step 1"),
    "deletes_its_folder": Row("ok", ""),
}


class Ended(NamedTuple):
    folder: Path
    done: subprocess.CompletedProcess[str]
    document: dict[str, Any]
    shared_memory: set[str]

    def trial(self, model: str) -> dict[str, Any]:
        return next(t for t in self.document["trials"] if t["model"] == model)


def write_suite(folder: Path, models: str) -> Path:
    path = folder / "faults.yaml"
    path.write_text(textwrap.dedent(SUITE).replace("MODELS", models))
    return path


def run(folder: Path, models: str) -> subprocess.CompletedProcess[str]:
    write_suite(folder, models)
    return subprocess.run(
        [sys.executable, "-m", "seqbench", "run", "faults.yaml", "--json"],
        cwd=folder, env=runner_environment(folder, folder / "site"), capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A run of all faulty models and two healthy ones."""
    folder = tmp_path_factory.mktemp("faults")
    site = folder / "site"
    names = [name for name in ROWS if name != "imports_for_ever"]
    modules = {
        "faulty": DECLARED.replace("NAMES_OF_ALL", repr(names)),
        "faulty_models": MODELS,
        "endless": "while True: pass",
    }
    install(site, "faulty", modules, "faulty = faulty")
    before = shared_memory()
    models = ["{rnn: {hidden_size: 4}}", *(f"faulty:{name}" for name in ROWS), "gru"]
    done = run(folder, ", ".join(models))
    return Ended(folder, done, json.loads(done.stdout), shared_memory() - before)


def shared_memory() -> set[str]:
    folder = Path("/dev/shm")
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


@pytest.mark.parametrize("model", ROWS)
def test_a_fault_is_a_row_with_its_reason(ended: Ended, model: str) -> None:
    trial, row = ended.trial(model), ROWS[model]
    assert trial["status"] == row.status, trial
    assert row.reason in trial["reason"]
    assert len(trial["reason"].splitlines()) <= 1
    assert len(trial["attempts"]) + 1 == row.attempts
    assert row.waits == (trial["seconds"] >= SECONDS)
    assert trial["seconds"] < SECONDS + PATIENCE


@pytest.mark.parametrize("model", ROWS)
def test_a_log_is_kept_and_bounded(ended: Ended, model: str) -> None:
    (log,) = ended.folder.glob(f"results/faults/*/{ended.trial(model)['log']}")
    assert log.stat().st_size < BEGINNING + 2 * END + 1000


def test_a_long_log_keeps_its_beginning_and_end(ended: Ended) -> None:
    (log,) = ended.folder.glob(f"results/faults/*/{ended.trial('prints_much')['log']}")
    text = log.read_text()
    assert text.startswith("the beginning\n")
    assert text.endswith("the end\n")
    assert "bytes left out" in text


def test_the_last_lines_are_in_the_record_and_below_the_table(ended: Ended) -> None:
    assert ended.trial("raises_in_forward")["lines"][-1].startswith("ValueError: no")
    assert ended.trial("exits_at_once")["lines"] == ["last words"]
    shown = subprocess.run(
        [sys.executable, "-m", "seqbench", "show", "--format", "markdown"], cwd=ended.folder,
        env=runner_environment(ended.folder, ended.folder / "site"), capture_output=True, text=True,
        timeout=60,
    ).stdout  # fmt: skip
    assert "\\| last words" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_healthy_trials_are_not_affected(ended: Ended, tmp_path: Path) -> None:
    suite = write_suite(tmp_path, "{rnn: {hidden_size: 4}}, gru")
    alone = json.loads(call_main(["run", str(suite), "--json"], tmp_path, {}).stdout)
    for trial in alone["trials"]:
        beside = ended.trial(trial["model"])
        assert trial["status"] == beside["status"] == "ok"
        assert trial["metrics"] == beside["metrics"]


def test_the_run_exits_with_1_and_leaves_nothing_behind(ended: Ended) -> None:
    assert ended.done.returncode == 1
    assert ended.document["status"] == "finished"
    assert "Traceback" not in ended.done.stderr
    assert "\x1b" not in ended.done.stderr
    assert processes_of(ended.folder) == []
    assert ended.shared_memory == set()
    assert list((ended.folder / "tmp").glob("seqbench-*")) == []


@pytest.fixture
def sour(site: Path) -> None:
    code = """
        import seqbench

        @seqbench.hookimpl
        def seqbench_datasets():
            return [seqbench.DatasetSpec("sour", load="sour:load")]

        def load(context):
            raise RuntimeError("gone off")
        """
    install(site, "sour-data", {"sour": code}, "sour = sour")


@pytest.mark.usefixtures("sour")
def test_a_failing_dataset_affects_only_its_own_trials(
    tmp_path: Path, seqbench_cli: Callable[..., Any]
) -> None:
    text = textwrap.dedent(SUITE).replace("MODELS", "rnn, gru")
    (tmp_path / "sour.yaml").write_text(text.replace("datasets: [", "datasets: [sour, "))
    done = seqbench_cli("run", "sour.yaml", "--json")
    assert done.returncode == 1
    trials = json.loads(done.stdout)["trials"]
    assert [trial["status"] for trial in trials] == ["failed", "failed", "ok", "ok"]
    assert trials[0]["reason"].startswith("dataset 'sour': RuntimeError: gone off")
