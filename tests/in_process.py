"""The program in this process: what ``python -m seqbench`` does, without starting Python and
loading torch again.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import os
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from seqbench.cli import INTERRUPTED, main

#: Warnings that Python ignores by default, and pytest shows.
IGNORED = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def call_main(
    arguments: Sequence[str], folder: Path, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the command line with ``folder`` as the working folder; returns what a process would.

    Plugins under ``folder`` are imported again by the next call, as a new process would do.

    Args:
        variables: are added to the environment variables of this process.
    """
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    loaded = set(sys.modules)
    importlib.invalidate_caches()
    try:
        with (
            _own_process_state(folder),
            contextlib.redirect_stdout(streams[0]),
            contextlib.redirect_stderr(streams[1]),
        ):
            os.environ.update(variables)
            sys.argv = ["seqbench", *arguments]
            code = _exit_code()
        if code == INTERRUPTED:  # Ctrl-C, meant for the tests
            raise KeyboardInterrupt
    finally:
        for name in set(sys.modules) - loaded:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).is_relative_to(folder):
                del sys.modules[name]
    stdout, stderr = (stream.buffer.getvalue().decode() for stream in streams)
    return subprocess.CompletedProcess(["seqbench", *arguments], code, stdout, stderr)


def _exit_code() -> int:
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    raise AssertionError("main() returned")


@contextlib.contextmanager
def _own_process_state(folder: Path) -> Iterator[None]:
    """Restore afterwards what a program may change in its own process."""
    variables, argv, before = dict(os.environ), sys.argv, Path.cwd()
    threshold = gc.get_threshold()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.resetwarnings()
            for category in IGNORED:
                warnings.simplefilter("ignore", category)
            yield
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(variables)
        sys.argv = argv
        gc.set_threshold(*threshold)
        for number, handler in handlers.items():
            signal.signal(number, handler)
