"""A device's memory, in which every access must hit what was allocated, and be aligned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Heap"]

Array = NDArray[Any]


class Heap:
    """Device memory: one range of addresses, cut into blocks of which each access must hit one."""

    def __init__(self, size: int) -> None:
        self.bytes = np.zeros(size + 4096, np.uint8)
        self.base = -(-self.bytes.ctypes.data // 4096) * 4096
        self.start = self.base - self.bytes.ctypes.data
        self.next = self.base
        self.blocks: dict[int, int] = {}
        self._bounds: tuple[Array, Array] | None = None

    def allocate(self, size: int) -> int:
        """The address of a block, a multiple of 256; with a gap behind it that belongs to nobody."""
        address = self.next
        self.next += -(-size // 256) * 256 + 256
        if self.next > self.base + len(self.bytes) - 4096:
            raise MemoryError("the machine's memory is used up")
        self.blocks[address], self._bounds = size, None
        return address

    def free(self, address: int) -> None:
        """Takes a block away: what touches it later is an error."""
        del self.blocks[address]
        self._bounds = None

    def check(self, addresses: Array, size: int) -> None:
        """Raises IndexError for an access outside of all blocks, or not aligned to its size."""
        if self._bounds is None:
            starts = np.array(sorted(self.blocks), np.int64)
            self._bounds = starts, starts + np.array([self.blocks[s] for s in starts.tolist()], np.int64)
        starts, ends = self._bounds
        if (addresses % size).any():
            raise IndexError(f"an access of {size} bytes that is not aligned: {addresses[addresses % size != 0][0]:#x}")
        found = np.searchsorted(starts, addresses, side="right") - 1
        if len(addresses) and (not len(starts) or (found < 0).any() or (addresses + size > ends[found]).any()):
            raise IndexError(f"an access of {size} bytes outside of the device's memory")

    def view(self, address: int, size: int) -> Array:
        """Bytes of a block, for copies."""
        self.check(np.array([address + size - 1 if size else address], np.int64), 1)
        begin = address - self.base + self.start
        return self.bytes[begin : begin + size]

    def cells(self, dtype: Any) -> Array:
        """All of the memory as elements of a type."""
        size = np.dtype(dtype).itemsize
        return self.bytes[self.start : self.start + (len(self.bytes) - self.start) // size * size].view(dtype)
