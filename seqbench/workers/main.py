"""Runs one job inside its own process, and says how it ended.

A job is plain data: ``{"kind": …, "threads": …, **what that kind needs}``. The answer is a message
``{"done": {"status", "reason", "result", …}}``; before it come messages of progress. Whatever a
plugin does, it does it here.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from seqbench.errors import Diverged, StoreError, reason_of, status_of
from seqbench.workers.channel import Channel
from seqbench.workers.isolation import isolate

Job = Mapping[str, Any]


def worker_main(connection: Connection, output: Connection, job_text: str) -> None:
    """Entry point of a worker process; what it prints goes to ``output``."""
    job = json.loads(job_text)
    channel = Channel(connection)
    isolate(output, job, kept={channel.fileno()})
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


def _run(job: Job, channel: Channel) -> dict[str, Any]:
    try:
        import torch

        torch.set_num_threads(job.get("threads", 1))
        # One precision for every kind of layer: cuDNN's would be TF32 where matmul's is not.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        return {"status": "ok", "reason": "", "result": _function(job["kind"])(job, channel)}
    except Diverged as error:
        result = {"diverged_step": error.step, "diverged_value": error.value}
        return {"status": "diverged", "reason": str(error), "result": result}
    except StoreError as error:  # no fault of the job
        return {"status": "failed", "reason": reason_of(error), "result": {"unwritten": True}}
    except BaseException as error:  # a plugin may even call sys.exit()
        traceback.print_exc()
        return {"status": status_of(error), "reason": reason_of(error), "result": None}


_KINDS = {
    "environment": "seqbench.machine.environment:job_environment",
    "prepare": "seqbench.training.job:prepare_job",
    "train": "seqbench.training.job:train_job",
    "score": "seqbench.measure.metrics:job_score",
    "memory": "seqbench.measure.memory:job_memory",
    "cost": "seqbench.measure.cost:job_cost",
    "serve": "seqbench.measure.latency.timer:job_serve",
    "doctor": "seqbench.machine.doctor:job_doctor",
    "check": "seqbench.testing.plugin_checks.job:check_plugin",
}


def _function(kind: str) -> Callable[[Job, Channel], dict[str, Any]]:
    import importlib

    module, _, name = _KINDS[kind].partition(":")
    function: Callable[[Job, Channel], dict[str, Any]] = getattr(
        importlib.import_module(module), name
    )
    return function
