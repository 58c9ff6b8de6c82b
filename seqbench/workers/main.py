"""The worker's side: calls the function that its assignment names, and reports how it ended.

The code of plugins only runs here, in a separate process.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from seqbench.devices.registry import use_full_precision
from seqbench.errors import Diverged, NotPrepared, StoreError, reason_of, status_of
from seqbench.plugins.loading import import_object
from seqbench.workers.channel import Channel
from seqbench.workers.context import JobContext
from seqbench.workers.isolation import isolate
from seqbench.workers.messages import Assignment, payload_from_json


def worker_main(connection: Connection, output: Connection, text: str) -> None:
    """Entry point of a worker process.

    Args:
        connection: its end of the channel to the runner.
        output: receives everything that it prints.
        text: the :class:`Assignment` as JSON.
    """
    assignment = Assignment.from_json(text)
    channel = Channel(connection)
    isolate(output, assignment, kept={channel.fileno()})
    worker = os.getpid()
    try:
        done = _call(assignment, channel)
        if os.getpid() != worker:  # a fork made by a plugin must not report for the worker
            os._exit(0)
        channel.send({"done": done})
    except (BrokenPipeError, ConnectionError):
        return  # the runner is gone
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()


def _call(assignment: Assignment, channel: Channel) -> dict[str, Any]:
    """Call the function; returns the status, reason and result of the job."""
    try:
        import torch

        torch.set_num_threads(assignment.threads)
        use_full_precision()
        function = import_object(assignment.function)
        payload = payload_from_json(function, assignment.payload)
        result = function(
            payload, JobContext(assignment.workspace, channel, Path(assignment.folder).parent)
        )
        return {"status": "ok", "reason": "", "result": result}
    except Diverged as error:
        result = {"diverged_step": error.step, "diverged_value": error.value}
        return {"status": "diverged", "reason": str(error), "result": result}
    except StoreError as error:  # not the job's fault
        return {"status": "failed", "reason": reason_of(error), "result": {"unwritten": True}}
    except NotPrepared as error:  # the runner can prepare the dataset again
        return {"status": "failed", "reason": reason_of(error), "result": {"not_prepared": True}}
    except BaseException as error:  # a plugin may even call sys.exit()
        traceback.print_exc()
        return {"status": status_of(error), "reason": reason_of(error), "result": None}
