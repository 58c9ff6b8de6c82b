"""Folders and file systems as other machines have them: shared, odd names, without locks."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import runner_environment
from test_streams import TINY

from seqbench.errors import DataError
from seqbench.plugins.choice import Choice
from seqbench.store.owner_file import OwnerFile
from seqbench.training.data import prepare_dataset, prepared_path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(textwrap.dedent(TINY).replace("MODEL", "gru"))
    return path


def problem_of(done: subprocess.CompletedProcess[str], folder: Path) -> str:
    """The one line of a command that was refused before anything was created."""
    assert (done.returncode, done.stdout) == (2, "")
    assert {path.name for path in folder.iterdir()} <= {"tiny.yaml", "tmp"}
    (line,) = done.stderr.splitlines()
    return line.removeprefix("error: ")


# A cache and a results folder that several users share.


def test_every_file_has_the_mode_of_the_umask(undisturbed: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    cache = Path(os.environ["SEQBENCH_CACHE"])
    places = [undisturbed, *undisturbed.rglob("*"), *(cache / "prepared").rglob("*")]
    modes = {path: path.stat().st_mode & 0o777 for path in places}
    assert any(path.parent.name == "weights" for path in places)
    assert any(path.parent.name == "prepared" for path in places)
    assert modes == {path: (0o777 if path.is_dir() else 0o666) & ~umask for path in places}


@pytest.fixture
def another_user() -> Iterator[None]:
    """As root, drop the rights of root for the test; any other user has none to drop."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_prepared_data_that_another_user_may_not_read_is_reported(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    choice = Choice("parity", {}, "nowhere:load", "seqbench", "0.1.0", kind="dataset")
    path = prepared_path(choice, tmp_path)
    path.parent.mkdir()
    path.touch(mode=0o000)
    request.getfixturevalue("another_user")
    with pytest.raises(DataError) as refused:
        prepare_dataset(choice, cache=tmp_path, data_dir=None, say=print)
    assert str(refused.value) == (
        f"cannot read the prepared dataset {path}: Permission denied; ask its owner for access, "
        "or set SEQBENCH_CACHE to another folder"
    )


# Folders that do not exist or cannot be used.


@pytest.mark.parametrize("name", ["SEQBENCH_CACHE", "XDG_CACHE_HOME", "SEQBENCH_DATA", "--out"])
def test_an_unknown_home_folder_is_refused_with_its_variable(
    name: str, tiny: Path, tmp_path: Path, seqbench_program: Callable[..., Any]
) -> None:
    environment = {**runner_environment(tmp_path), "SEQBENCH_CACHE": ""}
    arguments = ["--out=~nosuch/x"] if name == "--out" else []
    environment |= {} if arguments else {name: "~nosuch/x"}
    done = seqbench_program("run", tiny, *arguments, env=environment)
    expected = f"{name}: cannot expand '~nosuch/x': unknown user 'nosuch'"
    assert problem_of(done, tmp_path) == expected


def test_a_home_folder_is_expanded(tmp_path: Path, seqbench_program: Callable[..., Any]) -> None:
    environment = {**runner_environment(tmp_path), "HOME": str(tmp_path)}
    listed = seqbench_program("list", "--out=~/results", env=environment)
    assert listed.stdout.startswith(f"no runs in {tmp_path}/results/ yet")


def test_a_folder_that_is_not_utf_8_is_refused(
    tiny: Path, tmp_path: Path, seqbench_program: Callable[..., Any]
) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    why = f"{tmp_path}/caf\\xe9 is not UTF-8 text, so files there cannot be opened: choose another"
    done = seqbench_program("run", tiny, "--out", folder)
    assert problem_of(done, tmp_path) == f"{why} folder with --out"
    done = seqbench_program(
        "run", tiny, env={**runner_environment(tmp_path), "SEQBENCH_CACHE": folder}
    )
    assert problem_of(done, tmp_path) == f"{why} folder with SEQBENCH_CACHE"


@pytest.mark.slow
def test_a_temporary_folder_with_a_long_name_does_not_matter(
    tiny: Path, tmp_path: Path, seqbench_program: Callable[..., Any]
) -> None:
    """The path of a socket has at most 104 bytes, or 108."""
    folder = tmp_path / ("x" * 101)
    folder.mkdir()
    done = seqbench_program(
        "run", tiny, env={**runner_environment(tmp_path), "TMPDIR": str(folder)}
    )
    assert done.returncode == 0, done.stderr
    assert not [*folder.glob("seqbench-*"), *folder.glob("pymp-*")]


# File systems and containers that lack something. The library makes the real program see one.

ODD = r"""
    #include <errno.h>
    #include <pwd.h>
    #include <stdlib.h>
    #include <sys/types.h>

    static int fails(const char *variable, int otherwise) {
        const char *number = getenv(variable);
        errno = number ? atoi(number) : otherwise;
        return -1;
    }
    int flock(int file, int kind) { return fails("FLOCK_ERRNO", ENOLCK); }
    int fchmod(int file, mode_t mode) { return fails("FCHMOD_ERRNO", EPERM); }
    int fsync(int file) { return fails("FSYNC_ERRNO", EINVAL); }
    int getpwuid_r(uid_t id, struct passwd *entry, char *buffer, size_t size,
                   struct passwd **result) { *result = NULL; return 0; }
    struct passwd *getpwuid(uid_t id) { return NULL; }
    """


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library under which there are no locks, modes, flushing and users."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("needs Linux and a C compiler")
    folder = tmp_path_factory.mktemp("odd")
    (folder / "odd.c").write_text(textwrap.dedent(ODD))
    command = ["cc", "-shared", "-fPIC", "-w", "-o", "odd.so", "odd.c"]
    subprocess.run(command, cwd=folder, check=True, timeout=60)
    return folder / "odd.so"


def without_home(folder: Path, odd: Path) -> dict[str, str]:
    variables = {**runner_environment(folder), "LD_PRELOAD": str(odd)}
    return {name: value for name, value in variables.items() if name != "HOME"}


def test_a_file_system_without_locks_and_modes_will_do(
    odd: Path, tiny: Path, tmp_path: Path, seqbench_program: Callable[..., Any]
) -> None:
    """In a container whose user has no name and no home."""
    done = seqbench_program("run", tiny, "--json", env=without_home(tmp_path, odd))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["status"] == "finished"
    run = tmp_path / document["run"]
    assert list(run.glob("weights/*.safetensors"))
    assert not (run / "run.owner").exists()


def test_without_a_home_the_cache_must_be_named(
    odd: Path, tiny: Path, tmp_path: Path, seqbench_program: Callable[..., Any]
) -> None:
    environment = {**without_home(tmp_path, odd), "SEQBENCH_CACHE": "", "XDG_CACHE_HOME": ""}
    done = seqbench_program("run", tiny, env=environment)
    assert problem_of(done, tmp_path) == (
        "there is no folder for the cache, since HOME is not set to one: set SEQBENCH_CACHE"
    )


CREATE = """
    import sys, pathlib
    from seqbench.store.run_folder import RunFolder
    folder = RunFolder.create(pathlib.Path("results"), "tiny", "", {"cases": [], "trials": []})
    with folder.locked():
        print(folder.path, flush=True)
        sys.stdin.read()
    """


def creator(folder: Path, odd: Path, **variables: str) -> subprocess.Popen[str]:
    """A process that creates a run and uses it until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CREATE)], cwd=folder, text=True,
        env={**without_home(folder, odd), **variables}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_run_without_locks_is_used_by_one_runner(
    odd: Path, tmp_path: Path, seqbench_program: Callable[..., Any]
) -> None:
    process = creator(tmp_path, odd)
    assert process.stdout is not None
    run = tmp_path / process.stdout.readline().strip()
    owner = OwnerFile(run / "run.owner")
    with pytest.raises(BlockingIOError), owner.hold():
        pass
    assert owner.hint() == (
        f" (process {process.pid} on {socket.gethostname()}; if it has ended, "
        f"delete {run / 'run.owner'})"
    )
    process.kill()
    process.communicate()
    assert not owner.alive()
    with owner.hold():
        assert owner.alive()
    assert not (run / "run.owner").exists()
    (run / "run.owner").write_text("another-host 1 1")
    assert owner.alive()


def test_a_folder_that_cannot_be_locked_leaves_no_run(odd: Path, tmp_path: Path) -> None:
    _, stderr = creator(tmp_path, odd, FLOCK_ERRNO="5").communicate(timeout=60)
    assert "run.lock: Input/output error; choose another folder with --out" in stderr
    assert list(tmp_path.glob("results/tiny/*")) == []
