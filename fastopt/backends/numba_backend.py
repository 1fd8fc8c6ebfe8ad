"""The `numba` backend: kernels compiled on first use for the CPU at hand, and kept on disk.

Threads are Numba's. How many of them work is the number of rows of `bounds`, not `numba.set_num_threads`, which would
change the caller's setting as well. One lock goes around parallel launches, because Numba's `workqueue` layer, which it
takes where there is no OpenMP, ends the process when two threads enter it at once.
"""

from __future__ import annotations

import importlib.util
import linecache
import sys
import threading
from functools import lru_cache
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import cache, threads
from fastopt.backends import numba_source
from fastopt.rules.entry import Rule
from fastopt.settings import Settings
from fastopt.transcribe import fingerprint, loop_body
from fastopt.worklist import WorkList

__all__ = ["PARALLEL_FROM", "Runner", "prepare", "thread_count", "unavailable"]

PARALLEL_FROM = 600_000
"""Bytes of traffic from which several threads are faster than one (measured: README, "Threads")."""

_launching = threading.Lock()


def unavailable() -> str | None:
    """Why this backend cannot be used, or None if it can."""
    return None if importlib.util.find_spec("numba") else "numba is not installed"


def thread_count(num_threads: int | None) -> int:
    """How many threads a step may use."""
    return threads.resolve(num_threads)


def prepare(rule: Rule, coupled: bool, work: WorkList) -> Runner:
    """Loads the kernels of a rule for a work list; compiles nothing before the first step."""
    return Runner(rule, coupled, work)


class Runner:
    """Steps of one rule over one work list."""

    def __init__(self, rule: Rule, coupled: bool, work: WorkList) -> None:
        self.rule = rule
        self.work = work
        self.kernel = kernel(rule, coupled, work.dtype)
        self.scalars: NDArray[Any] = np.empty(len(loop_body(rule, coupled).scalars), work.dtype)
        traffic = work.elements * rule.bytes_per_parameter(work.dtype.itemsize)
        self.several = work.threads > 1 and traffic >= PARALLEL_FROM

    def run(self, gradients: list[Any], step: int, settings: Settings, grad_scale: float) -> None:
        """One step, on the gradients that the work list was refreshed with."""
        work = self.work
        self.scalars[:] = settings.scalars(self.rule, step, grad_scale)
        if self.several and not threads.forked():
            with _launching:
                self.kernel.parallel(work.addresses, work.rows, work.parallel, self.scalars)
        else:
            self.kernel.serial(work.addresses, work.rows, work.serial, self.scalars)

    def all_finite(self, gradients: list[Any]) -> bool:
        """Whether every element of every gradient is finite."""
        work = self.work
        finite = _finite(work.dtype)
        if self.several and not threads.forked():
            with _launching:
                return not finite.parallel(work.addresses, work.rows, work.parallel)
        return not finite.serial(work.addresses, work.rows, work.serial)


@lru_cache(maxsize=None)
def _primitives_fingerprint() -> str:
    """Changes with what generated modules import, which Numba's own cache does not look at."""
    folder = Path(__file__).parent
    return fingerprint((folder / "numba_primitives.py").read_text())


def kernel(rule: Rule, coupled: bool, dtype: np.dtype[Any]) -> Any:
    """The module of a rule's kernel, with `serial` and `parallel`."""
    body = loop_body(rule, coupled)
    return _module(f"{body.name}_{dtype.name}", lambda keep: numba_source.kernel_source(body, dtype.name, dtype.itemsize, keep))


def _finite(dtype: np.dtype[Any]) -> Any:
    return _module(f"all_finite_{dtype.name}", lambda keep: numba_source.finite_source(dtype.name, dtype.itemsize, keep))


_modules: dict[str, ModuleType] = {}


def _module(name: str, write: Any) -> ModuleType:
    """Imports generated source: from a file in the cache folder, so that Numba caches what it compiles; else from memory."""
    folder = cache.directory()
    text = write(folder is not None)
    key = f"{name}_{fingerprint(text + _primitives_fingerprint())}"
    if key not in _modules:
        if folder is not None:
            path = folder / f"numba-{version('numba')}-python{sys.version_info[0]}.{sys.version_info[1]}" / f"{key}.py"
            try:
                cache.store(path, text)
                _modules[key] = _imported(key, path)
                return _modules[key]
            except OSError:  # the folder filled up or was taken away: compile for this process alone
                text = write(False)
        _modules[key] = _executed(key, text)
    return _modules[key]


def _imported(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fastopt_numba_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Numba's cache looks a cached function's module up by name
    spec.loader.exec_module(module)
    return module


def _executed(name: str, text: str) -> ModuleType:
    filename = f"<fastopt {name}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)  # Numba reads the source of what it compiles
    module = importlib.util.module_from_spec(ModuleSpec(f"fastopt_numba_{name}", None))
    sys.modules[module.__name__] = module
    exec(compile(text, filename, "exec"), module.__dict__)
    return module
