"""The `numba` backend: kernels compiled on first use for the CPU at hand, and kept on disk.

Numba compiles the loop over rows. Where the compiled launcher is there (`fastopt.backends.launched`), it calls that loop
by its address, as it calls Cython's: entering Numba's dispatcher and its parallel scheduler costs 1 to 2 us more a step, 10 %
at 100,000 parameters. Where it is not, Numba's own `prange` shares the rows out. How many threads work is then the number
of shares, not `numba.set_num_threads`, which would change the caller's setting too; and one lock goes around parallel
launches, because Numba's `workqueue` layer, which it takes without OpenMP, ends the process when two threads enter it.
"""

from __future__ import annotations

import importlib.util
import linecache
import sys
import threading
from collections.abc import Callable
from functools import cache as once
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import cache, threads
from fastopt.backends import launched, numba_source
from fastopt.backends.launched import LaunchedRunner, launcher
from fastopt.rules.entry import Rule, once_for_each_rule
from fastopt.settings import Settings
from fastopt.transcribe import fingerprint, loop_body
from fastopt.worklist import WorkList

__all__ = ["PARALLEL_FROM", "NumbaRunner", "kernel_address", "prepare", "thread_count", "unavailable"]

PARALLEL_FROM = 16_000_000
"""Bytes of traffic from which Numba's own threads are used: well above where they gain (450 kB), because a step waits for
each of them, and one whose core is taken comes late by more than a small step takes (see CONTRIBUTING, "Threads")."""

_launching = threading.Lock()


def unavailable() -> str | None:
    """Why this backend cannot be used, or None if it can."""
    return None if importlib.util.find_spec("numba") else "numba is not installed"


def thread_count(num_threads: int | None) -> int:
    """How many threads a step may use. Raises ValueError if several are asked for and the launcher was built without."""
    return threads.resolve(num_threads) if launcher() is None else launched.thread_count(num_threads)


def prepare(rule: Rule, coupled: bool, work: WorkList) -> LaunchedRunner | NumbaRunner:
    """Gets the kernel of a rule for a work list; the launcher needs its address, and so has it compiled now."""
    update, finite = kernel(rule, coupled, work.dtype), partial(_finite, work.dtype)
    if launcher() is None:
        return NumbaRunner(rule, coupled, work, update, finite)
    return LaunchedRunner(rule, work, _address(update), lambda: _address(finite()))


class NumbaRunner:
    """Steps of one rule over one work list, called and shared out by Numba."""

    def __init__(self, rule: Rule, coupled: bool, work: WorkList, update: ModuleType, finite: Callable[[], ModuleType]) -> None:
        self.rule, self.work = rule, work
        self.scalars: NDArray[Any] = np.empty(len(loop_body(rule, coupled).scalars), work.dtype)
        traffic = work.elements * rule.bytes_per_parameter(work.dtype.itemsize)
        self.several = work.threads > 1 and traffic >= PARALLEL_FROM
        self.update, self.finite = update, finite
        self.alone, self.shared = self._arguments(work.serial), self._arguments(work.parallel)

    def _arguments(self, bounds: NDArray[np.int64]) -> tuple[int, ...]:
        """What a kernel is called with; to ask an array for its address takes a microsecond, so it is asked once."""
        work = self.work
        arrays = work.addresses.ctypes.data, work.addresses.shape[1], work.rows.ctypes.data
        return (*arrays, bounds.ctypes.data, len(bounds), self.scalars.ctypes.data)

    def _call(self, module: ModuleType) -> int:
        if not self.several or threads.forked():
            return int(module.serial(*self.alone))
        with _launching:
            return int(module.parallel(*self.shared))

    def run(self, gradients: list[Any], step: int, settings: Settings, grad_scale: float) -> None:
        """One step, on the gradients that the work list was refreshed with."""
        with np.errstate(all="ignore"):  # a scalar beyond float32 is an infinity, as in the other backends
            self.scalars[:] = settings.scalars(self.rule, step, grad_scale)
        self._call(self.update)

    def all_finite(self, gradients: list[Any]) -> bool:
        """Whether every element of every gradient is finite."""
        return not self._call(self.finite())


@once
def _primitives_fingerprint() -> str:
    """Changes with what generated modules import, which Numba's own cache does not look at."""
    folder = Path(__file__).parent
    return fingerprint((folder / "numba_primitives.py").read_text())


def kernel_address(rule: Rule, coupled: bool, dtype: str) -> int | None:
    """The kernel's entry point, or None where there is no launcher to call it."""
    return None if launcher() is None else _address(kernel(rule, coupled, np.dtype(dtype)))


@once_for_each_rule
def kernel(rule: Rule, coupled: bool, dtype: np.dtype[Any]) -> Any:
    """The generated module of a rule's kernel (what it holds: `numba_source`)."""
    body = loop_body(rule, coupled)
    return _module(f"{body.name}_{dtype.name}", lambda keep: numba_source.kernel_source(body, dtype.name, dtype.itemsize, keep))


def _finite(dtype: np.dtype[Any]) -> Any:
    return _module(f"all_finite_{dtype.name}", lambda keep: numba_source.finite_source(dtype.name, dtype.itemsize, keep))


def _address(module: ModuleType) -> int:
    """The entry point of a kernel's C function, which is kept alive as long as the module."""
    if not hasattr(module, "compiled"):
        module.compiled = module.compiled_c_function()  # type: ignore[attr-defined]
    return int(module.compiled.address)


_modules: dict[str, ModuleType] = {}


def _module(name: str, write: Any) -> ModuleType:
    """Imports generated source: from a file in the cache folder, so that Numba caches what it compiles; else from memory."""
    folder = cache.directory()
    text = write(folder is not None)
    key = f"{name}_{fingerprint(text + _primitives_fingerprint())}"
    if key not in _modules:
        if folder is not None:
            path = folder / f"numba-{_numba_version()}-python{sys.version_info[0]}.{sys.version_info[1]}" / f"{key}.py"
            try:
                cache.store(path, text)
                _modules[key] = _imported(key, path)
                return _modules[key]
            except OSError:  # the folder filled up or was taken away: compile for this process alone
                text = write(False)
        _modules[key] = _executed(key, text)
    return _modules[key]


def _numba_version() -> str:
    import numba

    return str(numba.__version__)


def _imported(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fastopt_numba_{name}", path)
    assert spec is not None
    assert spec.loader is not None
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
