"""torch's own OpenMP threads, which do a drop-in's large steps.

Between torch's operations they poll, so that a helper of fastopt's would have to wait for a core that they hold; and a step by them leaves
them awake for the forward pass that follows (CONTRIBUTING, "Threads", has the figures).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import torch

from fastopt.host import launched

__all__ = ["TORCHS_THREADS"]


def _used() -> bool:
    """Has the team of `fastopt.host.launched` be the threads of the runtime that torch is linked to; False where that is not found."""
    # a library's functions are looked for in the libraries that it depends on too, and so are those of the very runtime that torch calls
    library = next((Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*"), None)
    if library is None or not hasattr(os, "RTLD_NOLOAD"):
        return False
    try:
        runtime = ctypes.CDLL(str(library), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        parallel, number = runtime.GOMP_parallel, runtime.omp_get_thread_num
    except (OSError, AttributeError):
        return False
    return launched.use_team(*(ctypes.cast(function, ctypes.c_void_p).value or 0 for function in (parallel, number)))


TORCHS_THREADS = _used()
"""Whether they were found."""
