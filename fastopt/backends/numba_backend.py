"""The `numba` backend: kernels compiled on first use for the CPU at hand, and kept on disk.

Numba compiles the loop over rows. Where the compiled launcher is there (`fastopt.host.launched`), it calls that loop
by its address, as it calls Cython's: entering Numba's dispatcher and its parallel scheduler costs 1 to 2 us more a step, 10 %
at 100,000 parameters. Where it is not, Numba's own `prange` shares the rows out. How many threads work is then the number
of shares, not `numba.set_num_threads`, which would change the caller's setting too; and one lock goes around parallel
launches, because Numba's `workqueue` layer, which it takes without OpenMP, ends the process when two threads enter it.
"""

from __future__ import annotations

import atexit
import importlib.util
import linecache
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache as once
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import cache
from fastopt.backends import numba_source, numba_storage
from fastopt.host import launched, threads
from fastopt.host.launched import LaunchedRunner, launcher
from fastopt.host.worklist import WorkList
from fastopt.kernel import Kernel
from fastopt.rules.entry import PROLOGUE_SCALARS, once_for_each
from fastopt.slots import Slot
from fastopt.storage import EVERY, STORAGES
from fastopt.transcribe import fingerprint

__all__ = ["PARALLEL_FROM", "NumbaRunner", "kernel_address", "module_of", "of_storage", "prepare", "thread_count", "unavailable"]

PARALLEL_FROM = 16_000_000
"""Bytes of traffic from which Numba's own threads are used: well above where they gain (450 kB), because a step waits for
each of them, and one whose core is taken comes late by more than a small step takes (see CONTRIBUTING, "Threads")."""

_launching = threading.Lock()


@once
def unavailable() -> str | None:
    """Why this backend cannot be used, or None if it can: to know, Numba is imported."""
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed"
    try:
        import numba
    except Exception as error:  # of a NumPy that it does not go with, say
        return f"numba is installed and cannot be imported ({error})"
    if numba.config.DISABLE_JIT:
        return "NUMBA_DISABLE_JIT is set, so it compiles nothing"
    if not Path(__file__).exists():
        return "fastopt lies in an archive, where Numba finds no source text to compile"
    return None


def thread_count(num_threads: int | None) -> int:
    """How many threads a step may use. Raises ValueError if several are asked for and the launcher was built without."""
    return threads.resolve(num_threads) if launcher() is None else launched.thread_count(num_threads)


def prepare(kernel: Kernel, work: WorkList) -> LaunchedRunner | NumbaRunner:
    """Gets a kernel for a work list; the launcher needs its address, and so has it compiled now."""
    if launcher() is None:
        return NumbaRunner(kernel, work)
    return LaunchedRunner(kernel, work, _address(module_of(kernel)), lambda name: _address(_of_gradients(name)))


class NumbaRunner:
    """Steps of one kernel over one work list, called and shared out by Numba."""

    at_once = None

    def __init__(self, kernel: Kernel, work: WorkList) -> None:
        self.kernel, self.work = kernel, work
        self.dtype = np.dtype(kernel.compute)
        self.several = work.threads > 1 and work.elements * kernel.bytes_per_parameter >= PARALLEL_FROM
        self.update, self.calls = module_of(kernel), _calls()
        # to ask an array for its address takes a microsecond, so it is asked once
        arrays = work.addresses.ctypes.data, work.addresses.shape[1], work.rows.ctypes.data
        self.alone = *arrays, work.serial.ctypes.data, len(work.serial)
        self.shared = *arrays, work.parallel.ctypes.data, len(work.parallel)

    def around(self) -> AbstractContextManager[Any]:
        """Numba's own threads take one launch at a time."""
        return _launching if self._shared_out else nullcontext()

    @property
    def _shared_out(self) -> bool:
        return self.several and not threads.forked()

    def _launch(self, module: Any, scalars: NDArray[Any]) -> Callable[[], int]:
        """The call of a module's kernel over all rows, with everything compiled: Python code must not run in the middle of a step."""
        name, arguments = ("parallel", self.shared) if self._shared_out else ("serial", self.alone)
        entries = self.calls.entries
        if name not in entries:
            from numba import int64

            entries[name] = _compiled(self.calls, lambda source: _entry_of(source, name, (int64,) * 7))
        return partial(entries[name], _address(module), *arguments, scalars.ctypes.data)

    def _call(self, module: Any, scalars: NDArray[Any]) -> int:
        launch = self._launch(module, scalars)
        with self.around():
            return int(launch())

    def ready(self, gradients: list[Any], slots: Sequence[Slot], grad_scale: float, clip: float) -> list[Callable[[], Any]]:
        """The calls that make a step, on the gradients that the work list was refreshed with."""
        with np.errstate(all="ignore"):  # a scalar beyond float32 is an infinity, as in the other backends
            self.table = np.array(
                [slot.all_scalars(grad_scale, clip, self.kernel.draws) for slot in slots], self.dtype
            )  # kept until the next step
        if self.table.shape[1] != self.kernel.scalar_count:
            expected, received = self.kernel.scalar_count - PROLOGUE_SCALARS, self.table.shape[1] - PROLOGUE_SCALARS
            raise ValueError(f"scalars: expected {expected} of the rule, received {received}")
        return [self._launch(self.update, self.table)]

    def all_finite(self, gradients: list[Any]) -> bool:
        """Whether every element of every gradient is finite."""
        return not self._call(_of_gradients(f"all_finite_{self.kernel.gradient.name}"), np.empty(1))

    def squares(self, gradients: list[Any], sums: NDArray[np.float64]) -> None:
        """Writes the sums of the gradients' squares over blocks of 256 elements, each to its place among all blocks."""
        self._call(_of_gradients(f"squares_of_{self.kernel.gradient.name}"), sums)


@once
def _primitives_fingerprint() -> str:
    """Changes with what generated modules import, which Numba's own cache does not look at."""
    folder = Path(__file__).parent
    return fingerprint((folder / "numba_primitives.py").read_text(encoding="utf-8"))


def kernel_address(kernel: Kernel) -> int | None:
    """The kernel's entry point, or None where there is no launcher to call it."""
    return None if launcher() is None else _address(module_of(kernel))


@once_for_each
def module_of(kernel: Kernel) -> Any:
    """The generated module of a kernel (what it holds: `numba_source`)."""
    return _module(kernel.name, lambda keep: numba_source.kernel_source(kernel, keep))


@once
def of_storage(name: str, made_of: str) -> tuple[Any, ...]:
    """The functions of a narrow storage, for generated modules, whose texts say of which text those are made."""
    storage = EVERY[name]
    module = _executed(f"storage_{name}_{made_of}", numba_storage.module_source(storage))
    return tuple(vars(module)[function] for function in numba_storage.names(storage))


def _of_gradients(name: str) -> Any:
    """The module that looks for gradients of a storage that are not finite, or sums their squares."""
    sources = {"all_finite_": numba_source.finite_source, "squares_of_": numba_source.squares_source}
    question = next(prefix for prefix in sources if name.startswith(prefix))
    return _module(name, lambda keep: sources[question](STORAGES[name.removeprefix(question)], keep))


def _address(module: Any) -> int:
    """The entry point of a kernel's C function, which is kept alive as long as the module."""
    if "kernel" not in module.entries:
        module.entries["kernel"] = _compiled(module, lambda source: source.compiled())
    return int(module.entries["kernel"].address)


def _calls() -> Any:
    """The module that calls kernels where there is no launcher."""
    if "calls" not in _modules:  # to find it by its text takes 0.1 ms, a third of what it takes to build an optimizer
        _modules["calls"] = _module("calls", numba_source.calls_source)
    return _modules["calls"]


def _compiled(module: Any, compile_it: Callable[[Any], Any]) -> Any:
    """What Numba makes of a module, kept on disk and sealed; for this process alone where the disk is full or the folder was taken away."""
    if module.kept is None:
        return compile_it(module)
    seal = _seal(module.kept)
    try:
        with cache.locked(seal):
            cache.intact(seal, _files(module.kept))
            found = compile_it(module)
            cache.seal(seal, _files(module.kept))
    except OSError:
        found = compile_it(_executed(f"{module.kept.stem}_for_this_process", module.uncached))
    return found


def _entry_of(module: Any, name: str, signature: tuple[Any, ...]) -> Any:
    entry = getattr(module, name)
    entry.compile(signature)
    return entry


def _seal(path: Path) -> Path:
    return path.parent / "__pycache__" / f"{path.stem}.seal"


def _files(path: Path) -> list[Path]:
    """What Numba keeps of the functions of a generated file."""
    return [found for ending in ("nbi", "nbc") for found in (path.parent / "__pycache__").glob(f"{path.stem}.*.{ending}")]


_modules: dict[str, ModuleType] = {}


def _module(name: str, write: Any) -> ModuleType:
    """Imports generated source: from a file in the cache folder, so that Numba caches what it compiles; else from memory."""
    folder = cache.readable()
    text = write(folder is not None)
    key = f"{name}_{fingerprint(text + _primitives_fingerprint())}"
    if key not in _modules:
        if folder is not None:
            path = folder / f"numba-{_numba_version()}-python{sys.version_info[0]}.{sys.version_info[1]}" / f"{key}.py"
            try:
                if cache.directory() is None:
                    path = _lent(path, text)
                with cache.locked(path):
                    cache.store(path, text)
                module = _imported(key, path, text)
                vars(module).update(kept=path, uncached=write(False), entries={})
                _modules[key] = module
                return module
            except OSError:  # the folder filled up or was taken away: compile for this process alone
                text = write(False)
        _modules[key] = _executed(key, text)
    return _modules[key]


def _lent(path: Path, text: str) -> Path:
    """A copy of what was kept where nothing can be written now: Numba reads only what lies where it could write.

    Raises OSError if there is nothing, or something else.
    """
    seal = _seal(path)
    if path.read_bytes() != text.encode() or not cache.intact(seal, _files(path)):
        raise FileNotFoundError(path)
    own = Path(tempfile.mkdtemp(prefix="fastopt-"))
    atexit.register(_take_away, own, os.getpid())
    _seal(own / path.name).parent.mkdir()
    shutil.copy2(path, own)  # with its time, by which Numba knows whether what it kept is of this text
    for file in (seal, *_files(path)):
        shutil.copy2(file, _seal(own / path.name).parent)
    return own / path.name


def _take_away(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not in a child that was forked, whose parent goes on
        shutil.rmtree(folder, ignore_errors=True)


def _numba_version() -> str:
    import numba

    return str(numba.__version__)


def _imported(name: str, path: Path, text: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fastopt_numba_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Numba's cache looks a cached function's module up by name
    exec(compile(text, path, "exec"), module.__dict__)  # not by the loader, which would run bytecode that lies beside it
    return module


def _executed(name: str, text: str) -> ModuleType:
    filename = f"<fastopt {name}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)  # Numba reads the source of what it compiles
    module = importlib.util.module_from_spec(ModuleSpec(f"fastopt_numba_{name}", None))
    sys.modules[module.__name__] = module
    exec(compile(text, filename, "exec"), module.__dict__)
    vars(module).update(kept=None, entries={})
    return module
