"""Small data from the host to the device without ever waiting for it: what a step brings along."""

from __future__ import annotations

import ctypes
import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.cuda.driver.contexts import bindings, call_on, check, on, relaxed, stream_of

__all__ = ["Upload"]


class Upload:
    """Copies from pinned memory, which the device reads when it gets there: so each copy has a slot to itself until it is done.

    Whether it is done is asked and never waited for; where no slot is free, more are made. A copy that is captured into a graph
    keeps its slot for good, since every replay reads it again. `capacity` is the size of a slot, and grows where a copy asks for more.
    """

    SLOTS = 16

    def __init__(self, device: int, capacity: int) -> None:
        self.device, self.capacity = device, _whole(capacity)
        self.free: list[NDArray[np.uint8]] = []
        self.busy: deque[tuple[NDArray[np.uint8], Any]] = deque()
        self.blocks: list[Any] = []
        self._make_slots()
        weakref.finalize(self, _settle, device, self.busy, self.blocks).atexit = False

    def __call__(self, address: int, values: NDArray[Any], stream: int, capturing: bool) -> None:
        """Copies the values to an address, in the stream's order. They may be changed as soon as this returns."""
        call_on(self.device, self._copy, address, values, stream, capturing)

    def _copy(self, address: int, values: NDArray[Any], stream: int, capturing: bool) -> None:
        driver = bindings()
        if values.nbytes > self.capacity:
            self.capacity, self.free = _whole(max(values.nbytes, 2 * self.capacity)), []
        if not self.free:
            with relaxed():
                while self.busy and self.busy[0][1].is_done:
                    slot, _ = self.busy.popleft()
                    if slot.nbytes == self.capacity:  # not one from before it grew
                        self.free.append(slot)
                if not self.free:
                    self._make_slots()
        slot = self.free.pop()
        slot[: values.nbytes] = values.view(np.uint8)
        check(driver.cuMemcpyHtoDAsync(address, slot.ctypes.data, values.nbytes, stream))
        if not capturing:
            self.busy.append((slot, stream_of(stream).record()))

    def _make_slots(self) -> None:
        from cuda.core import LegacyPinnedMemoryResource

        size = self.SLOTS * self.capacity
        block = call_on(self.device, LegacyPinnedMemoryResource().allocate, size)
        self.blocks.append(block)
        memory = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(int(block.handle)))
        self.free.extend(memory.reshape(self.SLOTS, self.capacity))


def _whole(size: int) -> int:
    """Whole cache lines."""
    return -(-size // 64) * 64


def _settle(device: int, busy: deque[tuple[Any, Any]], blocks: list[Any]) -> None:
    """Waits for the copies on their way before the memory that they read is freed."""
    with on(device), relaxed():
        for _, event in busy:
            event.sync()
        blocks.clear()
