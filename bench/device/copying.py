"""The yardstick: copying from device memory to device memory, as many bytes moved as a step must move at the least.

A copy of n bytes reads n and writes n. NVIDIA's own copy is as near to the memory's bandwidth as anything gets that reads and
writes. Long copies are made piece by piece, through buffers that are still many times larger than the L2 cache.
"""

from __future__ import annotations

from collections.abc import Callable

from fastopt.cuda import runtime
from fastopt.cuda.arrays import DEFAULT_STREAM

from .clock import answer

__all__ = ["LARGEST", "copy_of", "memory_needed", "pieces"]

LARGEST = 1 << 30
"""Bytes of a buffer at the most."""


def pieces(traffic: int) -> list[int]:
    """The lengths of the copies that together move so many bytes, all but the last as long as the first."""
    length = max(1, traffic // 2)
    whole, rest = divmod(length, LARGEST)
    return [LARGEST] * whole + [rest] * (rest > 0)


def memory_needed(traffic: int) -> int:
    """Bytes of the two buffers."""
    return 2 * min(LARGEST, max(1, traffic // 2))


def copy_of(traffic: int, device: int = 0) -> Callable[[], object]:
    """A function that moves so many bytes on the device, on the default stream, without waiting for it."""
    lengths = pieces(traffic)
    (source, keeps_source), (target, keeps_target) = (runtime().allocate(device, lengths[0]) for _ in range(2))
    from cuda.bindings import driver

    def copy() -> object:
        for length in lengths:
            answer(driver.cuMemcpyDtoDAsync(target, source, length, DEFAULT_STREAM))
        return keeps_source, keeps_target

    return copy
