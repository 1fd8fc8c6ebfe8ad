"""The CUDA driver, through cuda.core and cuda.bindings: memory, kernels, launches and uploads. The only file that imports `cuda`.

Nothing here waits for the device, but for the copies `copy_to_device` and `copy_to_host`, which no step makes.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache as once
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import cache
from fastopt.transcribe import fingerprint

__all__ = [
    "THREADS",
    "allocate",
    "capture",
    "copy_to_device",
    "copy_to_host",
    "describe",
    "device_of",
    "load",
    "shape",
    "unavailable",
    "upload",
]

THREADS = 256
"""Threads of a block: as many as take one vector each of the shortest row."""


@once
def unavailable() -> str | None:
    """Why there is no CUDA here, or None if there is."""
    return toolchain_missing() or _driver_missing()


def toolchain_missing() -> str | None:
    """What is not installed that kernels are compiled with, or None; no GPU is needed for that."""
    install = "pip install 'fastopt[cuda]'"
    for package, module in (("numba-cuda", "numba_cuda"), ("cuda-core", "cuda.core"), ("cuda-bindings", "cuda.bindings")):
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:  # of the package around it
            found = None
        if found is None:
            return f"{package} is not installed: {install}"
    from cuda import pathfinder

    try:
        pathfinder.load_nvidia_dynamic_lib("nvvm")
    except Exception as error:
        return f"NVIDIA's compiler library NVVM was not found ({type(error).__name__}): {install}"
    return None


def _driver_missing() -> str | None:
    try:
        status, count = _started(_bindings())
    except Exception as error:  # bindings say a missing library in several ways
        return f"the NVIDIA driver was not found ({type(error).__name__})"
    if status:
        return f"the NVIDIA driver answers {_bindings().CUresult(status).name}"
    return None if count else "the NVIDIA driver finds no GPU"


@once
def _bindings() -> Any:
    from cuda.bindings import driver

    return driver


def _started(driver: Any) -> tuple[int, int]:
    (status,) = driver.cuInit(0)
    if status:
        return int(status), 0
    status, count = driver.cuDeviceGetCount()
    return int(status), int(count)


def _check(result: tuple[Any, ...]) -> Any:
    """What a driver call returned besides its status. Raises RuntimeError naming the status if it is an error."""
    status, *values = result
    if status:
        raise RuntimeError(f"CUDA driver: {status.name}")
    return values[0] if len(values) == 1 else tuple(values)


@once
def _device(number: int) -> Any:
    from cuda.core import Device

    return Device(number)


@once
def _context(number: int) -> Any:
    """The device's primary context: the one that PyTorch, CuPy and Numba use too."""
    driver = _bindings()
    before = _check(driver.cuCtxGetCurrent())
    _device(number).set_current()
    own = _check(driver.cuCtxGetCurrent())
    _check(driver.cuCtxSetCurrent(before))
    return own


@contextmanager
def _on(number: int) -> Iterator[Any]:
    """Runs on a device, and leaves the calling thread on the one that it was on."""
    driver = _bindings()
    own, before = _context(number), _check(driver.cuCtxGetCurrent())
    if int(before) == int(own):
        yield driver
        return
    _check(driver.cuCtxSetCurrent(own))
    try:
        yield driver
    finally:
        _check(driver.cuCtxSetCurrent(before))


@contextmanager
def _relaxed() -> Iterator[None]:
    """Allows what CUDA forbids while any graph is captured, lest it become part of it by mistake: allocations, and asking for events."""
    driver = _bindings()
    before = _check(driver.cuThreadExchangeStreamCaptureMode(driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED))
    try:
        yield
    finally:
        _check(driver.cuThreadExchangeStreamCaptureMode(before))


def _call_on(number: int, function: Any, *arguments: Any) -> Any:
    """The same for one call, and cheap where the thread is on the device already, as nearly always: this is in every step."""
    if int(_bindings().cuCtxGetCurrent()[1]) == int(_context(number)):
        return function(*arguments)
    with _on(number):
        return function(*arguments)


def describe(device: int) -> str:
    """The device in words."""
    found = _device(device)
    major, minor = found.compute_capability
    return f"{found.name}, compute capability {major}.{minor}, {found.properties.multiprocessor_count} multiprocessors"


@dataclass(frozen=True)
class DeviceShape:
    """What launch shapes follow from."""

    multiprocessors: int
    most_blocks: int
    threads: int = THREADS


@once
def shape(device: int) -> DeviceShape:
    """The device's multiprocessors and the largest grid it takes."""
    properties = _device(device).properties
    return DeviceShape(properties.multiprocessor_count, properties.max_grid_dim_x)


def device_of(address: int) -> int:
    """The device on which an address lies. Raises RuntimeError for one that is no device's."""
    driver = _bindings()
    return int(_check(driver.cuPointerGetAttribute(driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address)))


def dlpack(value: Any) -> tuple[int, tuple[int, ...], tuple[int, ...] | None, str, int, bool]:
    """Address, shape, strides in elements, dtype, device and whether it is read-only, of an array that speaks DLPack."""
    from cuda.core.utils import StridedMemoryView

    found = StridedMemoryView.from_dlpack(value, stream_ptr=-1)  # -1: the producer need not wait for any stream of ours
    strides = None if found.strides is None else tuple(found.strides)
    return int(found.ptr), tuple(found.shape), strides, str(found.dtype), int(found.device_id), bool(found.readonly)


class _Memory:
    """Device memory that is freed with this object."""

    def __init__(self, device: int, size: int) -> None:
        with _on(device) as driver:
            self.address = int(_check(driver.cuMemAlloc(max(size, 1))))
            weakref.finalize(self, _free, device, self.address).atexit = False  # by then the driver may be gone, and the memory with it
            _check(driver.cuMemsetD8(self.address, 0, max(size, 1)))


def _free(device: int, address: int) -> None:
    with _on(device) as driver, _relaxed():
        driver.cuMemFree(address)


def allocate(device: int, size: int) -> tuple[int, object]:
    """Zeroed memory: its address, and the object that keeps it."""
    memory = _Memory(device, size)
    return memory.address, memory


def copy_to_device(device: int, address: int, values: NDArray[Any]) -> None:
    """Copies contiguous values once all the device's work so far is done; done itself when this returns."""
    with _on(device) as driver:
        _check(driver.cuCtxSynchronize())
        _check(driver.cuMemcpyHtoD(address, values.ctypes.data, values.nbytes))
        _check(driver.cuCtxSynchronize())


def copy_to_host(device: int, values: NDArray[Any], address: int) -> None:
    """The other way."""
    with _on(device) as driver:
        _check(driver.cuCtxSynchronize())
        _check(driver.cuMemcpyDtoH(values.ctypes.data, address, values.nbytes))


class Upload:
    """Copies from pinned memory, which the device reads when it gets there: so each copy has a slot to itself until it is done.

    Whether it is done is asked and never waited for; where no slot is free, more are made. A copy that is captured into a graph
    keeps its slot for good, since every replay reads it again.
    """

    SLOTS = 16

    def __init__(self, device: int, capacity: int) -> None:
        self.device, self.capacity = device, -(-capacity // 64) * 64
        self.free: list[NDArray[np.uint8]] = []
        self.busy: deque[tuple[NDArray[np.uint8], Any]] = deque()
        self.blocks: list[Any] = []
        self._make_slots()
        weakref.finalize(self, _settle, device, self.busy, self.blocks).atexit = False

    def __call__(self, address: int, values: NDArray[Any], stream: int, capturing: bool) -> None:
        """Copies the values to an address, in the stream's order. They may be changed as soon as this returns."""
        _call_on(self.device, self._copy, address, values, stream, capturing)

    def _copy(self, address: int, values: NDArray[Any], stream: int, capturing: bool) -> None:
        driver = _bindings()
        if not self.free:
            with _relaxed():
                while self.busy and self.busy[0][1].is_done:
                    self.free.append(self.busy.popleft()[0])
                if not self.free:
                    self._make_slots()
        slot = self.free.pop()
        slot[: values.nbytes] = values.view(np.uint8)
        _check(driver.cuMemcpyHtoDAsync(address, slot.ctypes.data, values.nbytes, stream))
        if not capturing:
            self.busy.append((slot, _stream(stream).record()))

    def _make_slots(self) -> None:
        from cuda.core import LegacyPinnedMemoryResource

        size = self.SLOTS * self.capacity
        block = _call_on(self.device, LegacyPinnedMemoryResource().allocate, size)
        self.blocks.append(block)
        memory = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(int(block.handle)))
        self.free.extend(memory.reshape(self.SLOTS, self.capacity))


def _settle(device: int, busy: deque[tuple[Any, Any]], blocks: list[Any]) -> None:
    """Waits for the copies on their way before the memory that they read is freed."""
    with _on(device), _relaxed():
        for _, event in busy:
            event.sync()
        blocks.clear()


def upload(device: int, capacity: int) -> Upload:
    """A way for small data, with pinned memory of its own; `capacity` is the size of the largest."""
    return Upload(device, capacity)


@once
def _stream(handle: int) -> Any:
    from cuda.core import Stream

    return Stream.from_handle(handle)


def capture(device: int, stream: int) -> int | None:
    """Which capture of a CUDA graph a stream is in, or None."""
    driver = _bindings()
    status, number, *_ = _check(_call_on(device, driver.cuStreamGetCaptureInfo, stream))
    return int(number) if status == driver.CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_ACTIVE else None


class LoadedKernel:
    """A kernel on one device."""

    def __init__(self, kernel: Any, device: int) -> None:
        from cuda.core import LaunchConfig, launch

        self.kernel, self.device, self.launch, self.configuration = kernel, device, launch, once(LaunchConfig)

    def __call__(self, blocks: int, threads: int, stream: int, arguments: tuple[Any, ...]) -> None:
        """Launches it on a stream."""
        configuration = self.configuration(grid=blocks, block=threads)
        _call_on(self.device, self.launch, _stream(stream), configuration, self.kernel, *arguments)


_kernels: dict[tuple[str, int], LoadedKernel] = {}


def load(source: str, name: str, parameters: tuple[np.dtype[Any], ...], device: int) -> LoadedKernel:
    """Compiles the kernel `name` of a source text for a device; PTX is kept on disk, and loaded kernels in this process.

    The driver translates the PTX to machine code as it loads it, and keeps that in a cache of its own.
    """
    from cuda.core import ObjectCode

    key = source, device
    if key not in _kernels:
        major, minor = _device(device).compute_capability
        ptx = _ptx(source, name, parameters, (major, minor))
        with _on(device):
            _kernels[key] = LoadedKernel(ObjectCode.from_ptx(ptx.encode()).get_kernel(entry_of(ptx)), device)
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


def _ptx(source: str, name: str, parameters: tuple[np.dtype[Any], ...], capability: tuple[int, int]) -> str:
    """A kernel's PTX, from the cache folder where it is there: to import numba-cuda takes a second."""
    folder = cache.directory()
    path = None
    if folder is not None:
        toolchain_text = (Path(__file__).parent / "toolchain.py").read_text()
        key = fingerprint(f"{source}{toolchain_text}{version('numba-cuda')}{capability}{LEAST_VERSION.get(capability)}")
        path = folder / "ptx" / f"{name}_{key}.ptx"
        if path.is_file():
            return path.read_text()
    from fastopt.cuda import toolchain

    ptx = for_older_drivers(toolchain.compile_to_ptx(source, name, parameters, capability, THREADS), capability)
    if path is not None:
        with suppress(OSError):  # the folder filled up or was taken away
            cache.store(path, ptx)
    return ptx
