"""Runs one job inside its own process, and says how it ended.

A job is plain data: ``{"kind": …, "threads": …, **what that kind needs}``. The answer is a message
``{"done": {"status", "reason", "result", …}}``; before it come messages of progress. Whatever a
plugin does, it does it here.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import json
import multiprocessing
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Mapping
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from seqbench.channel import Channel
from seqbench.errors import Diverged, StoreError, reason_of
from seqbench.orphans import WORKER
from seqbench.records import Status

Job = Mapping[str, Any]

#: Errors in writing that are no fault of the job: disk full, quota, read-only, folder gone.
NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOENT}
#: Files with higher numbers are none that a server has opened.
MANY_FILES = 4096
#: From <linux/prctl.h>.
PR_SET_PDEATHSIG = 1
#: From <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def main(connection: Connection, output: Connection, job_text: str) -> None:
    """Entry point of a worker process; what it prints goes to ``output``."""
    job = json.loads(job_text)
    channel = Channel(connection)
    _settle(output, job, kept={channel.fileno()})
    worker = os.getpid()
    try:
        done = _run(job, channel)
        if os.getpid() != worker:  # a fork that a plugin has made does not speak for it
            os._exit(0)
        channel.send({"done": done})
    except (BrokenPipeError, ConnectionError):
        return  # nobody listens any more
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()


def _settle(output: Connection, job: Job, kept: Collection[int]) -> None:
    """A process group and a folder of its own, no open files but those ``kept``; ends when its
    starter ends.
    """
    gc.freeze()  # what torch has brought along need not be looked through again and again
    with contextlib.suppress(OSError):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner decides what Ctrl-C means
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # what plugins start may heed it
    sys.excepthook = sys.__excepthook__  # see seqbench.server
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        os.dup2(output.fileno(), number)
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # in their order
    output.close()
    _close_files(kept)
    os.environ[WORKER] = job["folder"]
    if job["kind"] != "prepare":  # a dataset's parameter may name a file beside the suite
        sys.path[:] = [str(Path(place).absolute()) for place in sys.path]
        os.chdir(job["folder"])
    _limit_memory(job.get("memory"))
    _die_with_server()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _close_files(kept: Collection[int]) -> None:
    """Closes what comes from the server, whose own lines a plugin could garble."""
    parent = multiprocessing.parent_process()
    own = {*kept, resource_tracker.getfd(), parent.sentinel if parent else None}
    ends = sorted(number for number in own if number is not None)
    for after, before in zip([2, *ends], [*ends, MANY_FILES], strict=True):
        os.closerange(after + 1, before)


def _limit_memory(limit: int | None) -> None:
    """No more memory of one's own than ``limit`` bytes, torch included: asking for more fails.

    Linux counts what a process may write to and shares with nobody (RLIMIT_DATA); macOS nothing.
    """
    if limit is not None:
        import resource

        with contextlib.suppress(OSError, ValueError):  # more than the system allows anyway
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _keep_freed_memory() -> None:
    """Memory that is freed stays with the process, for the next step of the training.

    Else glibc gives large blocks back to the system and asks for them again at every step, and the
    system fills each page with zeros anew. Results stay the same bit for bit. glibc only; other
    libraries have no such setting, or the same name without an effect.
    """
    with contextlib.suppress(AttributeError, OSError):
        import ctypes

        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)  # never


def _die_with_server() -> None:
    """Even a worker that is stuck, so that no thread of it runs, ends with the server it is forked
    from, and so with the runner. Linux only.
    """
    with contextlib.suppress(AttributeError, OSError):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(os.getpgid(0), signal.SIGKILL)


def _run(job: Job, channel: Channel) -> dict[str, Any]:
    try:
        import torch

        torch.set_num_threads(job.get("threads", 1))
        # One precision for every kind of layer: cuDNN's would be TF32 where matmul's is not.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        return {"status": "ok", "reason": "", "result": _KINDS[job["kind"]](job, channel)}
    except Diverged as error:
        result = {"diverged_step": error.step, "diverged_value": error.value}
        return {"status": "diverged", "reason": str(error), "result": result}
    except StoreError as error:  # no fault of the job
        return {"status": "failed", "reason": reason_of(error), "result": {"unwritten": True}}
    except BaseException as error:  # a plugin may even call sys.exit()
        traceback.print_exc()
        return {"status": status_of(error), "reason": reason_of(error), "result": None}


def status_of(error: BaseException) -> Status:
    """``out_of_memory``, or ``failed``."""
    out_of_memory = (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )
    return "out_of_memory" if out_of_memory else "failed"


def _prepare(job: Job, channel: Channel) -> dict[str, Any]:
    from seqbench import data, provenance
    from seqbench.records import Choice

    choice = Choice(**job["dataset"])
    provenance.check_unchanged(choice)
    path = data.prepare(
        choice,
        cache=Path(job["cache"]),
        data_dir=Path(job["data_dir"]) if job["data_dir"] else None,
        say=lambda text: channel.send({"say": str(text)}),
        progress=lambda done, total: channel.send(
            {"bytes": int(done), "total_bytes": int(total or 0)}
        ),
    )
    return {"path": str(path)}


def _train(job: Job, channel: Channel) -> dict[str, Any]:
    import torch

    from seqbench import data, models, provenance, training
    from seqbench.measure import accuracy
    from seqbench.records import Choice

    _keep_freed_memory()
    splits = data.open_splits(Path(job["data"]))
    device = torch.device(job["device"])
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(job["seed"])
    choice = Choice(**job["model"])
    source = provenance.source_of(choice.target, choice.distribution)
    version = provenance.version_of(choice.distribution)
    model = models.build(choice, splits.task).to(device)
    trained = training.train(
        model, splits, job["train"], device=device, seed=job["seed"], tell=channel.send
    )
    weights = Path(job["weights"])
    digest = _save(model, weights)
    classes = accuracy.by_class(model, *splits.test, task=splits.task, device=device)
    metrics = {**trained.metrics, **classes}
    return {
        "metric": splits.task.metric,
        "metrics": metrics,
        "curve": trained.curve,
        "weights_sha256": digest,
        "weights_stamp": provenance.stamp(weights),
        "source": source,
        "version": version,
    }


def _save(model: Any, path: Path) -> str:
    """Writes the weights, whole or not at all; returns their SHA-256.

    Raises:
        StoreError: that is not possible.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_model

    unfinished = path.with_suffix(".partial")
    try:
        path.parent.mkdir(exist_ok=True)
        unfinished.unlink(missing_ok=True)  # it may be a link to somewhere else
        save_model(model, str(unfinished))
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        digest = hashlib.sha256(unfinished.read_bytes()).hexdigest()
        unfinished.replace(path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        if _errno(error) in NO_PLACE:
            raise StoreError(f"cannot write {path}: {error}") from error
        raise
    return digest


def _errno(error: Exception) -> int | None:
    """The system's number of an error; that of safetensors stands in its text."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else None


def _environment(job: Job, channel: Channel) -> dict[str, Any]:
    from seqbench import environment

    return environment.describe()


def _memory(job: Job, channel: Channel) -> dict[str, Any]:
    from seqbench.measure import memory

    return memory.measure(job)


def _score(job: Job, channel: Channel) -> dict[str, Any]:
    from seqbench.measure import scores

    return scores.measure(job)


def _cost(job: Job, channel: Channel) -> dict[str, Any]:
    from seqbench.measure import cost

    return cost.measure(job)


def _doctor(job: Job, channel: Channel) -> dict[str, Any]:
    from seqbench import doctor

    return doctor.examine(job["seconds"], after_training=job["after_training"])


def _serve(job: Job, channel: Channel) -> dict[str, Any]:
    from seqbench.measure import latency

    return latency.serve(job, channel)


def _check(job: Job, channel: Channel) -> dict[str, Any]:
    from dataclasses import asdict

    import torch

    from seqbench.conformance.job import examine

    if job["device"].startswith("cuda"):  # as a training does
        torch.use_deterministic_algorithms(True, warn_only=True)
    for finding in examine(job, lambda name: channel.send({"say": name})):
        channel.send(asdict(finding))
    return {}


_KINDS: dict[str, Callable[[Job, Channel], dict[str, Any]]] = {
    "environment": _environment,
    "prepare": _prepare,
    "train": _train,
    "score": _score,
    "memory": _memory,
    "cost": _cost,
    "serve": _serve,
    "doctor": _doctor,
    "check": _check,
}
