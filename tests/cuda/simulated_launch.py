"""What the two halves of the simulator share: the simulated device's memory, and the launch that is under way."""

from __future__ import annotations

import threading
from bisect import bisect_right
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Heap", "Launch", "heap", "launch"]


class Heap:
    """The simulated device's memory: blocks of host memory, and which addresses are in one."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.sizes: dict[int, int] = {}

    def allocate(self, size: int) -> tuple[int, NDArray[np.uint8]]:
        """Zeroed memory: its address, and the buffer that keeps it."""
        buffer = np.zeros(size + 256, np.uint8)
        start = -(-buffer.ctypes.data // 256) * 256
        self.starts.append(start)
        self.starts.sort()
        self.sizes[start] = size
        return start, buffer

    def check(self, address: int, size: int) -> int:
        """The address, if so many bytes from there on are in one block."""
        found = bisect_right(self.starts, address) - 1
        start = self.starts[found] if found >= 0 else 0
        if not start <= address <= address + size <= start + self.sizes.get(start, 0):
            raise IndexError(f"{size} bytes at {address:#x} are not within memory of the device")
        return address


class Launch:
    """A launch under way.

    Attributes
    ----------
    namespace
        The globals of the kernel that runs: the simulator puts a `cuda` there that knows where in the grid its caller is.
    written, writing
        The addresses that were written to, and what keeps threads from writing at once.
    shown
        Of each block, what its threads show each other.
    """

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {}
        self.written: set[int] = set()
        self.writing = threading.Lock()
        self.shown: dict[int, dict[int, int]] = {}

    def begin(self, namespace: dict[str, Any]) -> None:
        """Another kernel runs from now on."""
        self.namespace = namespace
        self.written.clear()
        self.shown.clear()

    @property
    def cuda(self) -> Any:
        """Numba's module as the calling thread sees it."""
        return self.namespace["cuda"]


heap = Heap()
launch = Launch()
