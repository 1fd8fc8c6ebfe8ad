"""Which machine a record comes from: everything a reader needs to judge a figure by."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy  # noqa: F401  (loads the BLAS whose threads are asked for below)

import fastopt
from fastopt.backends import cython_backend
from fastopt.host import launched, threads

__all__ = ["describe", "versions"]

PACKAGES = ("fastopt", "numpy", "numba", "llvmlite", "cython", "scipy", "scikit-learn", "torch", "jax", "optax", "thinc", "deepspeed")


def describe() -> dict[str, Any]:
    """CPU, caches, memory, threads, versions, revision and load, as JSON has it."""
    compiled = cython_backend.unavailable() is None
    return {
        "cpu": _cpu_model(),
        "cores": threads.available(),
        "threads": threads.resolve(None),
        "caches": _caches(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": versions(PACKAGES) | {"fastopt": fastopt.__version__},
        "backends": fastopt.available_backends(),
        "isa": cython_backend.isa() if compiled else None,
        "has_threads": bool(launched.launcher().HAS_THREADS) if compiled else None,
        "revision": _revision(),
        "load": [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "blas_threads": _blas_threads(),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = fields.get("model name", platform.machine())
    return f"{name} (family {fields['cpu family']}, model {fields['model']})" if "cpu family" in fields else name


def _caches() -> dict[str, int]:
    """Bytes of each data cache that the first core sees."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = ((index / name).read_text().strip() for name in ("type", "level", "size"))
        if kind in ("Data", "Unified"):
            unit = {"K": 1024, "M": 1024**2}.get(size[-1], 1)
            found[f"L{level}"] = int(size.rstrip("KM")) * unit
    return found


def versions(packages: Sequence[str]) -> dict[str, str | None]:
    """Installed versions; None for what is absent."""
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _revision() -> str | None:
    """The commit of the checkout these benchmarks lie in, with a mark if the tree was changed."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _blas_threads() -> int | None:
    """Threads of NumPy's BLAS, which the training benchmark's matrix products run in."""
    from threadpoolctl import threadpool_info

    return max((library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"), default=None)
