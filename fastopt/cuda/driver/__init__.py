"""The CUDA driver, through cuda.core and cuda.bindings. Only this folder imports `cuda`.

    contexts    devices, and calls where the calling thread may stand on another
    memory      device memory, and the copies that wait
    uploads     the copies that do not
    events      what a stream has passed
    kernels     PTX, loading, launches

This file is its face, a `fastopt.cuda.Runtime`: why it cannot be used, what the device is, and whether a graph is being captured.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache as once
from typing import Any

from fastopt.cuda.driver.contexts import bindings, call_on, check, core_device, on
from fastopt.cuda.driver.events import event, happened, recording, wait_for
from fastopt.cuda.driver.kernels import THREADS, load
from fastopt.cuda.driver.memory import allocate, copy_to_device, copy_to_host, copying_to_device, device_of, dlpack, synchronize
from fastopt.cuda.driver.uploads import Upload

__all__ = [
    "DeviceShape",
    "allocate",
    "capture",
    "copy_to_device",
    "copy_to_host",
    "copying_to_device",
    "describe",
    "device_of",
    "dlpack",
    "event",
    "happened",
    "load",
    "on",
    "recording",
    "shape",
    "synchronize",
    "toolchain_missing",
    "unavailable",
    "upload",
    "wait_for",
]


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
    except Exception as error:  # cuda.pathfinder has a class for each way not to find one, and what dlopen raises besides
        return f"NVIDIA's compiler library NVVM was not found ({type(error).__name__}): {install}"
    return None


def _driver_missing() -> str | None:
    try:
        status, count = _started(bindings())
    except Exception as error:  # bindings say a missing library in several ways
        return f"the NVIDIA driver was not found ({type(error).__name__})"
    if status:
        return f"the NVIDIA driver answers {bindings().CUresult(status).name}"
    return None if count else "the NVIDIA driver finds no GPU"


def _started(driver: Any) -> tuple[int, int]:
    (status,) = driver.cuInit(0)
    if status:
        return int(status), 0
    status, count = driver.cuDeviceGetCount()
    return int(status), int(count)


def describe(device: int) -> str:
    """The device in words."""
    found = core_device(device)
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
    properties = core_device(device).properties
    return DeviceShape(properties.multiprocessor_count, properties.max_grid_dim_x)


def upload(device: int, capacity: int) -> Upload:
    """A way for small data, with pinned memory of its own; `capacity` is what it has room for to begin with."""
    return Upload(device, capacity)


def capture(device: int, stream: int) -> int | None:
    """Which capture of a CUDA graph a stream is in, or None."""
    driver = bindings()
    status, number, *_ = check(call_on(device, driver.cuStreamGetCaptureInfo, stream))
    return int(number) if status == driver.CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_ACTIVE else None
