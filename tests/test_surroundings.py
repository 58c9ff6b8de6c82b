"""What surrounds a run: variables, the working folder, the allocator, the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, install_encoder, lay, runner_environment

from seqbench.devices.allocator import GLIBC, allocator, why_unmeasurable
from seqbench.machine.environment import git_state
from seqbench.report.run import Run
from seqbench.workers.variables import ignored_variables, recorded_variables, worker_variables

SUITE = """
    name: tiny
    datasets: [{parity: {length: 4, train_size: 40, validation_size: 20, test_size: 20}}]
    models: [{rnn: {hidden_size: 4}}]
    train: {epochs: 1, batch_size: 20}
    seeds: 1
    measure: {accuracy: , memory: {batch_size: 4}}
    """

#: Prints what workers see. Each argument after the first is a variable to set, or to unset, before
#: the next worker starts.
PROBE = """
    import json, os, sys
    from pathlib import Path
    from seqbench.executors.base import Job, Listener
    from seqbench.executors.local import LocalExecutor
    from seqbench.workers.context import Workspace
    from worker_probe import Nothing

    def look():
        folder = Path(sys.argv[1])
        job = Job("look", "look", "worker_probe:look", Nothing(), log="look.log")
        (outcome,) = LocalExecutor().run([job], Workspace(folder, folder), Listener())
        assert outcome.status == "ok", outcome.reason
        print(json.dumps(outcome.result), flush=True)

    look()
    for change in sys.argv[2:]:
        if change == "fork":
            child = os.fork()
            if child == 0:
                look()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            continue
        for part in change.split():
            name, _, value = part.partition("=")
            if name == "cores":
                os.sched_setaffinity(0, {int(value)})
            elif value:
                os.environ[name] = value
            else:
                del os.environ[name]
        look()
    """

WORKER_PROBE = """
    import os, sys
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Nothing:
        pass

    def look(payload: Nothing, context):
        import torch
        return {"variables": dict(os.environ), "cores": sorted(os.sched_getaffinity(0)),
                "capability": torch.backends.cpu.get_cpu_capability(), "path": sys.path}
    """


def probe(folder: Path, *changes: str, **variables: str) -> list[dict[str, Any]]:
    """What each worker sees, started by a program with these variables."""
    site = lay(folder / "site", {"worker_probe.py": textwrap.dedent(WORKER_PROBE)})
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROBE), str(folder), *changes],
        env={**runner_environment(folder, site), **variables}, cwd=folder, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_variables_that_bind_threads_do_not_reach_workers(tmp_path: Path) -> None:
    """OpenMP would bind the fork server, and every worker with it, to one core."""
    binding = {"OMP_PROC_BIND": "true", "GOMP_CPU_AFFINITY": "0", "OMP_PLACES": "cores",
               "OMP_THREAD_LIMIT": "1", "KMP_AFFINITY": "compact"}  # fmt: skip
    (seen,) = probe(tmp_path, **binding)
    assert seen["cores"] == sorted(os.sched_getaffinity(0))
    assert not binding.keys() & seen["variables"].keys()
    assert seen["variables"]["OMP_NUM_THREADS"] == "1"


@pytest.mark.slow
def test_a_worker_has_the_environment_of_the_call(tmp_path: Path) -> None:
    """Also variables that torch reads only when it loads; and the cores that the caller may use."""
    changes = ("X=1 Y= ATEN_CPU_CAPABILITY=default", "cores=0", "fork")
    first, *later = probe(tmp_path, *changes, OTHER="kept", Y="1", ATEN_CPU_CAPABILITY="avx2")
    assert [one["variables"].get("X") for one in (first, *later)] == [None, "1", "1", "1"]
    assert [one["variables"].get("Y") for one in (first, *later)] == ["1", None, None, None]
    assert first["capability"] != "DEFAULT"
    assert [one["capability"] for one in later] == ["DEFAULT"] * 3
    assert [one["cores"] for one in later[1:]] == [[0], [0]]
    assert {one["variables"]["OTHER"] for one in (first, *later)} == {"kept"}
    own = runner_environment(tmp_path, tmp_path / "site")["PYTHONPATH"]
    assert {one["variables"]["PYTHONPATH"] for one in (first, *later)} == {own}
    assert "PYTHONSAFEPATH" not in first["variables"]


POOL = """
    import concurrent.futures, multiprocessing, os, sys, time, warnings
    from pathlib import Path
    from seqbench.executors.base import Job, Listener
    from seqbench.executors.local import LocalExecutor
    from seqbench.workers.context import Workspace
    from worker_probe import Nothing

    def look():
        folder = Path(sys.argv[1])
        job = Job("look", "look", "worker_probe:look", Nothing(), log="look.log")
        (outcome,) = LocalExecutor().run([job], Workspace(folder, folder), Listener())
        assert outcome.status == "ok", outcome.reason
        return outcome.result["variables"].get("X")

    if __name__ == "__main__":
        context = multiprocessing.get_context("forkserver")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            assert pool.submit(abs, -1).result() == 1
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                seen = [look()]
                os.environ["X"] = "1"
                seen.append(look())
            assert pool.submit(abs, -2).result() == 2
        print(seen, len([one for one in caught if "libraries that are loaded" in str(one.message)]))
        before = dict(os.environ)
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            print(set(threads.map(lambda _: look(), range(6))))
        print(os.environ == before)
    """


@pytest.mark.slow
def test_a_callers_own_processes_and_threads_are_left_alone(tmp_path: Path) -> None:
    """They may share the fork server of multiprocessing; it is not replaced below them."""
    site = lay(tmp_path / "site", {"worker_probe.py": textwrap.dedent(WORKER_PROBE)})
    script = lay(tmp_path, {"script.py": textwrap.dedent(POOL)}) / "script.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=runner_environment(tmp_path, site),
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[None, '1'] 2", "{'1'}", "True"]


def test_nothing_in_the_working_folder_is_imported(tmp_path: Path) -> None:
    """A suite from a stranger may lie beside modules with the names of libraries."""
    write = f"open({str(tmp_path / 'imported')!r}, 'a').write(__name__ + '\\n')"
    names = ["random", "queue", "types", "triton", "torch", "pydantic", "signal", "sitecustomize"]
    lay(tmp_path, {f"{name}.py": write for name in names})
    lay(tmp_path, {"seqbench/__init__.py": write, "tiny.yaml": textwrap.dedent(SUITE)})
    program = Path(sys.executable).parent / "seqbench"
    done = subprocess.run(
        [program, "run", "tiny.yaml", "--json", "--set", "measure=[accuracy]"],
        cwd=tmp_path, env=runner_environment(tmp_path), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "imported").exists()


def test_what_a_killed_worker_leaves_is_removed_without_a_word(
    site: Path, write_suite: Callable[[str], Path], seqbench_program: Callable[..., Any]
) -> None:
    """The compiler of torch uses semaphores, and timing workers are killed when they are done."""
    code = """
        import multiprocessing, os, torch
        class Locked(torch.nn.Linear):
            def forward(self, x):
                self.lock = multiprocessing.Semaphore()
                os.kill(os.getpid(), 9)
        """
    install_encoder(site, "locked", "Locked", code)
    write_suite(SUITE.replace("rnn: {hidden_size: 4}", "locked"))
    done = seqbench_program("run", "tiny.yaml", "--set", "measure=[accuracy]")
    assert "crashed locked on parity, seed 0" in done.stderr
    assert "semaphore" not in done.stdout + done.stderr


@pytest.mark.parametrize("flags", [pytest.param(["-E"], marks=pytest.mark.slow), ["-I"]])
def test_flags_of_python_do_not_open_the_working_folder(flags: list[str], tmp_path: Path) -> None:
    lay(tmp_path, {f"{name}.py": "raise SystemExit(1)" for name in ("types", "torch")})
    (tmp_path / "tiny.yaml").write_text(textwrap.dedent(SUITE))
    program = Path(sys.executable).parent / "seqbench"
    environment = {**runner_environment(tmp_path), "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, *flags, program, "run", "tiny.yaml", "--set", "measure=[accuracy]"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_daemonic_process_gets_an_error_that_says_what_works(tmp_path: Path) -> None:
    script = f"""
        import multiprocessing, seqbench

        def run():
            try:
                seqbench.run({str(tmp_path / "tiny.yaml")!r}, out={str(tmp_path / "out")!r})
            except seqbench.SeqbenchError as error:
                print(error, flush=True)

        process = multiprocessing.get_context("fork").Process(target=run, daemon=True)
        process.start()
        process.join()
        """
    (tmp_path / "tiny.yaml").write_text(textwrap.dedent(SUITE))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=runner_environment(tmp_path),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "use concurrent.futures.ProcessPoolExecutor" in done.stdout, done.stderr
    assert not list((tmp_path / "out").rglob("run.json"))


def test_the_path_of_a_worker_is_that_of_its_runner(tmp_path: Path) -> None:
    (tmp_path / "relative").mkdir()
    script = f"import sys; sys.path[1:1] = ['relative']\n{textwrap.dedent(PROBE)}print(sys.path)"
    site = lay(tmp_path / "site", {"worker_probe.py": textwrap.dedent(WORKER_PROBE)})
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=runner_environment(tmp_path, site),
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen, own = done.stdout.splitlines()
    path = [str(tmp_path / entry) if entry in ("", "relative") else entry for entry in eval(own)]
    assert json.loads(seen)["path"] == path


def test_the_results_of_a_run_do_not_depend_on_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "results" / "reference" / "fashion", tmp_path / "results" / "one")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    run = Run.open("results/one")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run.path == tmp_path / "results" / "one"
    assert len(run.records) == len(run.document["trials"]) == 12
    assert len(run.cases) == 4


# ---------------------------------------------------------------------------------- allocators


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that replaces malloc, as jemalloc does."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("allocator")
    source = folder / "shim.c"
    source.write_text(
        "#include <stddef.h>\n"
        "void *__libc_malloc(size_t);\n"
        "void *malloc(size_t size) { return __libc_malloc(size); }\n"
    )
    library = folder / "libforeign.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def test_the_allocator_of_this_process() -> None:
    assert allocator() == GLIBC
    assert why_unmeasurable() == ""


@pytest.mark.slow
def test_memory_is_not_measured_with_a_foreign_allocator(
    foreign: Path, write_suite: Callable[[str], Path], seqbench_program: Callable[..., Any],
    tmp_path: Path,
) -> None:  # fmt: skip
    """It keeps freed memory, so the kernel's peak would be too low. A resume never mixes them."""
    write_suite(SUITE)
    given = {**runner_environment(tmp_path), "LD_PRELOAD": str(foreign), "OMP_PROC_BIND": "true"}
    done = seqbench_program("run", "tiny.yaml", "--json", env=given)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (case,) = document["cases"]
    assert case["memory"] is None
    assert {one["reason"] for one in case["unmeasured"]} == {
        "not measurable with the allocator libforeign.so.1, which keeps freed memory; "
        "unset LD_PRELOAD"
    }
    environment = document["environment"]
    assert environment["allocator"] == "libforeign.so.1"
    assert environment["variables"] == {"LD_PRELOAD": str(foreign)}
    assert environment["ignored_variables"] == {"OMP_PROC_BIND": "true"}
    refused = seqbench_program("run", "tiny.yaml", "--resume")
    assert refused.returncode == 2
    assert "was run with allocator libforeign.so.1, now with glibc" in refused.stderr


def test_which_variables_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*recorded_variables(), *ignored_variables()):
        monkeypatch.delenv(name)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "somewhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setenv("MKL_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_PLACES", "cores")
    assert recorded_variables() == {"ONEDNN_MAX_CPU_ISA": "SSE41"}
    assert ignored_variables() == {"OMP_NUM_THREADS": "4", "OMP_PLACES": "cores"}
    assert worker_variables()["OMP_NUM_THREADS"] == "1"


# ---------------------------------------------------------------------------------- repositories


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *identity, *arguments], capture_output=True, check=True)
    return done.stdout.decode(errors="replace").strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state() is None
    git("init", "-q")
    lay(tmp_path, {"suite.yaml": "a", ".gitattributes": "*.yaml filter=strange"})
    git("add", ".")
    git("commit", "-qm", "first")
    return tmp_path


def test_the_commit_of_the_folder_one_runs_in(repository: Path) -> None:
    commit = git("rev-parse", "--short=12", "HEAD")
    assert git_state() == commit
    (repository / "suite.yaml").write_text("b")
    assert git_state() == f"{commit}+"
    (repository / "sub").mkdir()
    os.chdir(repository / "sub")
    assert git_state() == f"{commit}+"


def test_the_repository_of_a_hook_is_not_that_of_the_folder(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git_state()
    monkeypatch.setenv("GIT_DIR", str(repository / "nowhere"))
    assert git_state() == commit


def test_a_tag_that_is_not_text(repository: Path) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b",
                    "tag", "-a", b"caf\xe9", "-m", "x"], check=True)  # fmt: skip
    state = git_state()
    assert state is not None
    assert state.startswith("caf")


def test_nothing_that_a_repository_configures_is_run(repository: Path) -> None:
    """Finding changes could run a filter or a monitor of whoever made the repository."""
    commit = git("rev-parse", "--short=12", "HEAD")
    script = repository / "strange"
    script.write_text(f"#!/bin/sh\ntouch {repository}/run\ncat\n")
    script.chmod(0o755)
    git("config", "core.fsmonitor", str(script))
    (repository / "suite.yaml").write_text("b")
    assert git_state() == f"{commit}?"
    git("config", "--unset", "core.fsmonitor")
    git("config", "filter.strange.clean", str(script))
    os.utime(repository / "suite.yaml", (1, 1))
    assert git_state() == f"{commit}?"
    git("config", "--unset", "filter.strange.clean")
    hook = repository / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    shutil.copy(script, hook)
    os.utime(repository / "suite.yaml", (2, 2))
    assert git_state() == f"{commit}+"
    assert not (repository / "run").exists()


def test_too_few_open_files_are_named_before_anything_starts(suite: Path, tmp_path: Path) -> None:
    command = f"ulimit -n 24; {sys.executable} -m seqbench run small.yaml"
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=runner_environment(tmp_path), capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "may open only 24 files, too few to start workers" in done.stderr
    assert not list(tmp_path.glob("results/*/*"))


SETS = """
    import torch

    class Sets(torch.nn.Module):
        def __init__(self, input_size, out_features=4):
            super().__init__()
            self.output_size = out_features
            for name in {"alpha", "beta", "gamma", "delta", "epsilon"}:
                self.add_module(name, torch.nn.Linear(input_size, out_features))

        def forward(self, x):
            return sum(layer(x) * (n + 1) for n, (_, layer) in enumerate(sorted(
                self.named_children())))
    """


@pytest.mark.slow
def test_the_order_of_sets_does_not_change_figures(site: Path, tmp_path: Path) -> None:
    install_encoder(site, "sets", "Sets", SETS)
    (tmp_path / "sets.yaml").write_text(
        "datasets: [parity: {length: 4, train_size: 100, test_size: 50}]\nmodels: [sets]\n"
        "train: {epochs: 1}\nseeds: 1\nmeasure: [accuracy]\n"
    )
    digests = set()
    for seed in ("1", "2"):
        environment = {**runner_environment(tmp_path), "PYTHONHASHSEED": seed}
        command = [sys.executable, "-m", "seqbench", "run", "sets.yaml", "--out", seed]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
        (run,) = (tmp_path / seed).glob("sets/*")
        digests |= {record.weights_sha256 for record in Run.open(run).records}
    assert len(digests) == 1
