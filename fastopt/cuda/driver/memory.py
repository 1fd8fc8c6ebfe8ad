"""Device memory, and copies to and from it that wait for the device; no step makes one."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.cuda.driver.contexts import bindings, check, on, relaxed

__all__ = ["allocate", "copy_to_device", "copy_to_host", "copying_to_device", "device_of", "dlpack", "synchronize"]


def device_of(address: int) -> int:
    """The device on which an address lies. Raises RuntimeError for one that is no device's."""
    driver = bindings()
    return int(check(driver.cuPointerGetAttribute(driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address)))


def dlpack(value: Any) -> tuple[int, tuple[int, ...], tuple[int, ...] | None, str, int, bool]:
    """Address, shape, strides in elements, dtype, device and whether it is read-only, of an array that speaks DLPack."""
    from cuda.core.utils import StridedMemoryView

    found = StridedMemoryView.from_dlpack(value, stream_ptr=-1)  # -1: the producer need not wait for any stream of ours
    strides = None if found.strides is None else tuple(found.strides)
    return int(found.ptr), tuple(found.shape), strides, str(found.dtype), int(found.device_id), bool(found.readonly)


class _Memory:
    """Device memory that is freed with this object."""

    def __init__(self, device: int, size: int) -> None:
        with on(device) as driver:
            self.address = int(check(driver.cuMemAlloc(max(size, 1))))
            weakref.finalize(self, _free, device, self.address).atexit = False  # by then the driver may be gone, and the memory with it
            check(driver.cuMemsetD8(self.address, 0, max(size, 1)))


def _free(device: int, address: int) -> None:
    with on(device) as driver, relaxed():
        driver.cuMemFree(address)


def allocate(device: int, size: int) -> tuple[int, object]:
    """Zeroed memory: its address, and the object that keeps it."""
    memory = _Memory(device, size)
    return memory.address, memory


def copy_to_device(device: int, address: int, values: NDArray[Any]) -> None:
    """Copies contiguous values once all the device's work so far is done; done itself when this returns."""
    with on(device) as driver:
        check(driver.cuCtxSynchronize())
        check(driver.cuMemcpyHtoD(address, values.ctypes.data, values.nbytes))
        check(driver.cuCtxSynchronize())


def copying_to_device(device: int, copies: Sequence[tuple[int, NDArray[Any]]]) -> list[Callable[[], Any]]:
    """The calls (`fastopt.uninterrupted`) that copy contiguous values to addresses, for a thread that is on the device; the copies are
    done with the last one.

    Waits for all the device's work so far. What fails within the calls says so at the next `synchronize`.
    """
    synchronize(device)
    driver = bindings()
    # the arrays themselves go into the calls, which keep them; as bytes, since not every dtype has a buffer
    made = [partial(driver.cuMemcpyHtoD, address, values.reshape(-1).view(np.uint8), values.nbytes) for address, values in copies]
    return [*made, driver.cuCtxSynchronize]


def synchronize(device: int) -> None:
    """Waits for all the device's work. Raises RuntimeError if any of it failed."""
    with on(device) as driver:
        check(driver.cuCtxSynchronize())


def copy_to_host(device: int, values: NDArray[Any], address: int) -> None:
    """The other way."""
    with on(device) as driver:
        check(driver.cuCtxSynchronize())
        check(driver.cuMemcpyDtoH(values.ctypes.data, address, values.nbytes))
