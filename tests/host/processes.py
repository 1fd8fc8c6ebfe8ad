"""Scripts that tests of threads run in processes of their own, with a limit: what is to be shown may well hang."""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys
import textwrap

PATIENCE = 240
"""Seconds after which a process that waits for threads that are gone is taken for dead."""


def run(script: str, *arguments: str, **environment: str) -> str:
    """Runs a script in a process of its own, with a limit; answers what it printed."""
    text = textwrap.dedent(script)
    command = [sys.executable, "-W", "error", "-W", "ignore:.*fork.*:DeprecationWarning", "-c", text, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=os.environ | environment)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr}"
    return done.stdout


GOMP = ctypes.util.find_library("gomp")
"""GNU's OpenMP runtime."""

PREAMBLE = f"""
import os, sys
GOMP = {GOMP!r}
import numpy as np
import fastopt, fastopt.host.threads
from fastopt.backends import numba_backend
from fastopt.host import launched
launched.PARALLEL_FROM = launched.WAKE_FROM = numba_backend.PARALLEL_FROM = 0
backend, way = sys.argv[1:]
if way == "prange":
    launched._launch = None
if way == "team":
    import ctypes
    from fastopt.host.worklist import WorkList
    WorkList.by_team = True
    runtime = ctypes.CDLL(GOMP)
    launched.use_team(*(ctypes.cast(f, ctypes.c_void_p).value for f in (runtime.GOMP_parallel, runtime.omp_get_thread_num)))
ELEMENTS = 150_000
def large(seed):
    return np.random.default_rng(seed).standard_normal(ELEMENTS).astype(np.float32)
def walked(name, steps, **options):
    p = large(0)
    optimizer = fastopt.Adam(p, 0.01, backend=name, nonfinite="raise", **options)
    for step in range(steps):
        optimizer.step(large(1 + step))
    return optimizer
"""

WAYS = [("cython", "launcher"), ("numba", "launcher"), ("numba", "prange"), *([("cython", "team")] if GOMP else [])]
