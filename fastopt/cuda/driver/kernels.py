"""Kernels on a device: compiled to PTX, kept on disk, loaded and launched."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache as once
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from fastopt import cache
from fastopt.cuda.driver.contexts import call_on, check, core_device, on, stream_of
from fastopt.transcribe import fingerprint

__all__ = ["LEAST_VERSION", "THREADS", "LoadedKernel", "entry_of", "for_older_drivers", "load", "ptx_of"]

THREADS = 256
"""Threads of a block: as many as take one vector each of the shortest row."""


PRIMITIVES = (
    *(f"cuda/{name}.py" for name in ("primitives", "access", "llvm", "narrow", "toolchain")),
    *(f"storage/{name}.py" for name in ("__init__", "bits", "blocks", "split")),
)
"""The files that say what the names in a kernel's source are."""


class LoadedKernel:
    """A kernel on one device."""

    def __init__(self, kernel: Any, device: int) -> None:
        from cuda.core import LaunchConfig, launch

        self.kernel, self.device, self.launch, self.configuration = kernel, device, launch, once(LaunchConfig)

    def __call__(self, blocks: int, threads: int, stream: int, arguments: tuple[Any, ...]) -> None:
        """Launches it on a stream."""
        call_on(self.device, self.ready(blocks, threads, stream, arguments))

    def ready(self, blocks: int, threads: int, stream: int, arguments: tuple[Any, ...]) -> Callable[[], Any]:
        """The call that launches it on a stream, for a thread that is on the device."""
        return partial(self.launch, stream_of(stream), self.configuration(grid=blocks, block=threads), self.kernel, *arguments)


_kernels: dict[tuple[str, int], LoadedKernel] = {}


def load(source: str, name: str, parameters: tuple[np.dtype[Any], ...], device: int) -> LoadedKernel:
    """Compiles the kernel `name` of a source text for a device; PTX is kept on disk, and loaded kernels in this process.

    The driver translates the PTX to machine code as it loads it, and keeps that in a cache of its own.
    """
    from cuda.core import ObjectCode

    key = source, device
    if key not in _kernels:
        major, minor = core_device(device).compute_capability
        ptx = ptx_of(source, name, parameters, (major, minor))
        with on(device) as driver:
            kernel = ObjectCode.from_ptx(ptx.encode()).get_kernel(entry_of(ptx))
            # the driver loads a kernel when it is first needed, which must not be during the capture of a graph: so it is asked about it
            check(driver.cuKernelGetAttribute(driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_NUM_REGS, kernel.handle, device))
            _kernels[key] = LoadedKernel(kernel, device)
    return _kernels[key]


def entry_of(ptx: str) -> str:
    """The name that the one kernel of a PTX text has there."""
    (entry,) = re.findall(r"\.visible \.entry (\w+)\(", ptx)
    return str(entry)


LEAST_VERSION = {
    (7, 5): "6.3",
    (8, 0): "7.0",
    (8, 6): "7.1",
    (8, 7): "7.4",
    (8, 8): "9.0",
    (8, 9): "7.8",
    (9, 0): "7.8",
    (10, 0): "8.6",
    (10, 3): "8.8",
    (11, 0): "9.0",
    (12, 0): "8.7",
    (12, 1): "8.8",
}
"""The first version of PTX that knows a compute capability (ptxas 13.0 takes each of these and refuses the one before)."""


def for_older_drivers(ptx: str, capability: tuple[int, int]) -> str:
    """A PTX text that asks for no newer a version than its target does.

    A compiler writes its own version, and a driver refuses one that is newer than itself, whatever the text needs. What the kernels
    are made of has been in PTX since long before the targets were, so any driver that knows the GPU can take them.
    """
    if capability not in LEAST_VERSION:
        return ptx
    return re.sub(r"^\.version .*$", f".version {LEAST_VERSION[capability]}", ptx, count=1, flags=re.MULTILINE)


def ptx_of(source: str, name: str, parameters: tuple[np.dtype[Any], ...], capability: tuple[int, int]) -> str:
    """A kernel's PTX, from the cache folder where it is there: to import numba-cuda takes a second."""
    folder = cache.directory()
    path = None
    if folder is not None:
        made_of = "".join((Path(__file__).parents[2] / name).read_text(encoding="utf-8") for name in PRIMITIVES)
        key = fingerprint(f"{source}{made_of}{version('numba-cuda')}{capability}{LEAST_VERSION.get(capability)}")
        path = folder / "ptx" / f"{name}_{key}.ptx"
        with cache.locked(path):
            if cache.intact(path.with_suffix(".seal"), [path] if path.is_file() else []):
                return path.read_text(encoding="utf-8")
    try:
        from fastopt.cuda import toolchain
    except Exception as error:  # numba-cuda looks into Numba's and NumPy's insides, and not every release of the three goes together
        together = ", ".join(f"{package} {version(package)}" for package in ("numba-cuda", "numba", "numpy"))
        raise RuntimeError(f"backend: 'cuda' cannot be used: numba-cuda cannot be imported here ({together}): {error}") from error
    ptx = for_older_drivers(toolchain.compile_to_ptx(source, name, parameters, capability, THREADS), capability)
    if path is not None:
        with suppress(OSError), cache.locked(path):  # the folder filled up or was taken away
            cache.store(path, ptx)
            cache.seal(path.with_suffix(".seal"), [path])
    return ptx
