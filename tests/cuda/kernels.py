"""What the tests of generated kernels share: a kernel's source, its PTX, and a launch of it on the PTX machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from fastopt.cuda import driver
from fastopt.cuda.driver.kernels import ptx_of as ptx_of_source
from fastopt.cuda.source import PRIMITIVES, kernel_source
from fastopt.kernel import Kernel, kernel_of
from fastopt.rules.entry import RULES
from fastopt.stages import Stages
from tests.cuda.heap import Heap
from tests.cuda.ptx_machine import Program

Array = np.ndarray[Any, Any]


def needs_compiler() -> None:
    """Skips a test where numba-cuda or NVIDIA's compiler is not installed."""
    reason = driver.toolchain_missing()
    if reason is not None:
        pytest.skip(reason)


def kernel(name: str, coupled: bool, *storages: str, **others: bool) -> Kernel:
    """A rule's kernel for parameters, gradients and states of these storages, or all of one; with `others` of the stages."""
    return kernel_of(RULES[name], Stages(coupled, **others), *(storages if len(storages) == 3 else storages * 3))


def source(kernel: Kernel) -> str:
    """The text of a kernel."""
    return kernel_source(kernel, PRIMITIVES)


@cache
def ptx(text: str, name: str, scalars: int, compute: str, capability: tuple[int, int]) -> str:
    """PTX of a kernel's text."""
    parameters = (np.dtype(np.int64),) * 5 + (np.dtype(compute),) * scalars
    return ptx_of_source(text, name, parameters, capability)


def ptx_of(kernel: Kernel, capability: tuple[int, int] = (9, 0)) -> str:
    """PTX of a kernel."""
    return ptx(source(kernel), kernel.name, kernel.scalar_count, kernel.compute, capability)


def launch(
    program: Program,
    streams: Sequence[Sequence[Array]],
    rows: Array,
    scalars: Array,
    *,
    offsets: Sequence[int] = (0,),
    shift: int = 0,
    blocks: int = 3,
    threads: int = 64,
    slots: Sequence[int] | None = None,
    first_blocks: Sequence[int] | int = 0,
) -> None:
    """Runs a kernel on copies of arrays, `streams[stream][tensor]`, and copies them back: p, g, and all that is held.

    Streams lie `offsets` elements past a multiple of 256 bytes, in turns. `shift` is how many elements before its memory each stream is
    said to begin, for rows that begin as far behind its beginning. `slots` of the tensors mean that `scalars` is a table in the device's
    memory. `first_blocks` is where each tensor's blocks begin among all.
    """
    heap = Heap(1 << 22)
    table = np.zeros((len(streams) + 2, len(streams[0])), np.int64)
    table[-2], table[-1] = first_blocks, 0 if slots is None else slots
    for s, arrays in enumerate(streams):
        for t, values in enumerate(arrays):
            offset = offsets[s % len(offsets)] * values.itemsize
            table[s, t] = heap.allocate(values.nbytes + offset) + offset
            if values.size:
                heap.view(int(table[s, t]), values.nbytes)[:] = values.view(np.uint8)
    placed = table.copy()
    for s, arrays in enumerate(streams):
        placed[s] -= shift * arrays[0].itemsize
    places = []
    for values in (placed, rows, scalars if slots is None else np.insert(scalars, scalars.shape[1], np.nan, axis=1)):
        places.append(heap.allocate(values.nbytes))
        heap.view(places[-1], values.nbytes)[:] = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    given = scalars if slots is None else np.full(scalars.shape[1], np.nan)
    program.run(heap, blocks, threads, [places[0], table.shape[1], places[1], len(rows), 0 if slots is None else places[2], *given])
    for s, arrays in enumerate(streams):
        for t, values in enumerate(arrays):
            if values.size:
                values[:] = heap.view(int(table[s, t]), values.nbytes).view(values.dtype)
