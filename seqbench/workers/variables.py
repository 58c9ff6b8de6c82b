"""The environment variables of workers: set, removed or passed on, and which of them are recorded.

Libraries read most of them when they load, which the fork server does once for all workers. So the
server is started with the variables of the first call, and again when they have changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from multiprocessing.process import ORIGINAL_DIR  # type: ignore[attr-defined]
from pathlib import Path

#: The number of threads can be raised later with ``torch.set_num_threads``.
SET: Mapping[str, str] = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",  # its OpenMP threads would be torch's as well
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "PYTHONHASHSEED": "0",  # a model may build its layers in the order of a set
}

#: They place or limit threads: OpenMP would bind the fork server, and with it every worker, to one
#: core, and the suite sets the number of threads. Or they make Python slow, for debugging.
REMOVED = frozenset({
    "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "KMP_ALL_THREADS", "KMP_DEVICE_THREAD_LIMIT",
    "KMP_HW_SUBSET", "KMP_TEAMS_THREAD_LIMIT", "MKL_DOMAIN_NUM_THREADS", "MKL_DYNAMIC",
    "NUMEXPR_NUM_THREADS", "OMP_DYNAMIC", "OMP_MAX_ACTIVE_LEVELS", "OMP_NESTED", "OMP_PLACES",
    "OMP_PROC_BIND", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "PYTHONPROFILEIMPORTTIME",
    "PYTHONTRACEMALLOC", "PYTHONVERBOSE", "VECLIB_MAXIMUM_THREADS",
})  # fmt: skip

#: Variables that can change a figure: they select instructions, kernels, precision, an allocator,
#: or how threads wait.
RECORDED = (
    "ATEN_", "BLIS_", "CUBLAS_", "CUBLASLT_", "CUDA_", "CUDNN_", "DNNL_", "DYLD_INSERT_LIBRARIES",
    "CXX", "DISABLE_ADDMM_CUDA_LT", "GLIBC_TUNABLES", "GOMP_", "HIP_", "HSA_", "KMP_", "LD_AUDIT",
    "LD_PRELOAD", "LRU_CACHE_CAPACITY", "MALLOC_", "MIMALLOC_", "MIOPEN_", "MKL_", "NPY_",
    "NVIDIA_TF32_OVERRIDE", "OMP_", "ONEDNN_", "OPENBLAS_", "PYTHONDEVMODE", "PYTHONMALLOC",
    "PYTORCH_", "ROCBLAS_", "TCMALLOC_", "TORCH", "TRITON_",
)  # fmt: skip

#: Of these, the ones that only name folders or say what is logged.
UNRECORDED = (
    "CUDA_CACHE_PATH", "CUDA_HOME", "CUDA_PATH", "CUDA_VERSION", "TORCHELASTIC_",
    "TORCHINDUCTOR_CACHE_DIR", "TORCH_CPP_LOG_LEVEL", "TORCH_EXTENSIONS_DIR", "TORCH_HOME",
    "TORCH_LOGS", "TORCH_SHOW_CPP_STACKTRACES", "TORCH_TRACE", "TRITON_CACHE_DIR", "TRITON_HOME",
)  # fmt: skip

#: They choose devices, whose names are compared: schedulers set them differently for each job.
DEVICES = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


def worker_variables() -> dict[str, str]:
    """The environment of a worker that is started now: that of this process, with changes."""
    kept = {name: value for name, value in os.environ.items() if name not in REMOVED}
    return {**kept, **SET}


def recorded_variables() -> dict[str, str]:
    """The variables of this process that can change a figure of its workers, by name."""
    return {name: value for name, value in _that_matter() if name not in REMOVED}


def ignored_variables() -> dict[str, str]:
    """The variables of this process that workers do not get, or get with another value."""
    return {name: value for name, value in sorted(os.environ.items())
            if name in REMOVED or SET.get(name, value) != value}  # fmt: skip


def _that_matter() -> list[tuple[str, str]]:
    return [(name, value) for name, value in sorted(os.environ.items())
            if name.startswith(RECORDED) and not name.startswith(UNRECORDED)
            and name not in SET]  # fmt: skip


def import_variables() -> dict[str, str]:
    """Variables that make a new Python process import from where this one does, and from nowhere
    else: not from the working folder, which ``python -c`` would search first.
    """
    path = [ORIGINAL_DIR if entry == "" else entry for entry in sys.path]
    # An entry with a colon has no place in PYTHONPATH; workers get it later, with the whole path.
    absolute = [str(Path(entry).absolute()) for entry in path if os.pathsep not in entry]
    return {"PYTHONPATH": os.pathsep.join(absolute), "PYTHONSAFEPATH": "1"}
