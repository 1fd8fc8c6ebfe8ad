"""What the tests of generated kernels share: a kernel's source, its PTX, and a launch of it on the PTX machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from fastopt.cuda import driver
from fastopt.cuda.driver.kernels import ptx_of as ptx_of_source
from fastopt.cuda.source import kernel_source
from fastopt.rules.entry import RULES, Rule
from fastopt.transcribe import LoopBody, loop_body
from tests.cuda.ptx_machine import Heap, Program

Array = np.ndarray[Any, Any]


def needs_compiler() -> None:
    """Skips a test where numba-cuda or NVIDIA's compiler is not installed."""
    reason = driver.toolchain_missing()
    if reason is not None:
        pytest.skip(reason)


def source(rule: Rule, coupled: bool, dtype: str) -> tuple[LoopBody, str]:
    """A rule's loop body, and the text of its kernel."""
    body = loop_body(rule, coupled)
    return body, kernel_source(body, dtype, "fastopt.cuda.toolchain")


@cache
def ptx(text: str, name: str, scalars: int, dtype: str, capability: tuple[int, int]) -> str:
    """PTX of a kernel's text."""
    parameters = (np.dtype(np.int64),) * 5 + (np.dtype(dtype),) * scalars
    return ptx_of_source(text, name, parameters, capability)


def ptx_of(name: str, coupled: bool, dtype: str, capability: tuple[int, int] = (9, 0)) -> str:
    """PTX of a rule's kernel."""
    body, text = source(RULES[name], coupled, dtype)
    return ptx(text, body.name, len(body.scalars), dtype, capability)


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
    from_memory: bool = False,
) -> None:
    """Runs a kernel on copies of arrays, `streams[stream][tensor]`, and copies them back.

    Streams lie `offsets` bytes past a multiple of 256, in turns. `shift` is how many elements before its memory each stream is said
    to begin, for rows that begin as far behind its beginning.
    """
    heap = Heap(1 << 22)
    table = np.zeros((len(streams), len(streams[0])), np.int64)
    for s, arrays in enumerate(streams):
        for t, values in enumerate(arrays):
            offset = offsets[s % len(offsets)]
            table[s, t] = heap.allocate(values.nbytes + offset) + offset
            if values.size:
                heap.view(int(table[s, t]), values.nbytes)[:] = values.view(np.uint8)
    places = []
    for values in (table - shift * scalars.itemsize, rows, scalars):
        places.append(heap.allocate(values.nbytes))
        heap.view(places[-1], values.nbytes)[:] = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    given = np.full(len(scalars), np.nan) if from_memory else scalars
    program.run(heap, blocks, threads, [places[0], table.shape[1], places[1], len(rows), places[2] if from_memory else 0, *given])
    for s, arrays in enumerate(streams):
        for t, values in enumerate(arrays):
            if values.size:
                values[:] = heap.view(int(table[s, t]), values.nbytes).view(values.dtype)
