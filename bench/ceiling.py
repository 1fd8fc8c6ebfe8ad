"""The traffic ceiling: a kernel that moves what a step moves, with next to no arithmetic.

A step reads p, g and each state, and writes p and each state, in place. So does this; it adds, where the step takes
roots and divides. Copies and triads as STREAM has them are no ceiling for that: a store to memory that was not read
before brings the line in first, so they move other bytes than they count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, prange

from .arrays import filled

__all__ = ["MOST_STATES", "SERIAL_BELOW", "probe"]

MOST_STATES = 3
"""The most states a rule may have for this probe to know its traffic."""

SERIAL_BELOW = 300_000
"""Bytes of traffic under which one thread is faster than several, as for the kernels."""


@njit(error_model="numpy", cache=True, nogil=True)
def _move(p: Any, g: Any, a: Any, b: Any, c: Any, states: int) -> None:
    if states == 0:
        for i in range(p.size):
            p[i] += g[i]
    elif states == 1:
        for i in range(p.size):
            x, y, z = g[i], a[i], p[i]
            a[i], p[i] = y + x, z + x
    elif states == 2:
        for i in range(p.size):
            x, y, z, w = g[i], a[i], b[i], p[i]
            a[i], b[i], p[i] = y + x, z + x, w + x
    else:
        for i in range(p.size):
            x, y, z, w, u = g[i], a[i], b[i], c[i], p[i]
            a[i], b[i], c[i], p[i] = y + x, z + x, w + x, u + x


@njit(parallel=True, cache=True, nogil=True)
def _move_shared(p: Any, g: Any, a: Any, b: Any, c: Any, states: int, threads: int) -> None:
    for thread in prange(threads):
        start, stop = np.int64(thread) * p.size // threads, (np.int64(thread) + 1) * p.size // threads
        _move(p[start:stop], g[start:stop], a[start:stop], b[start:stop], c[start:stop], states)


def probe(size: int, states: int, dtype: Any, threads: int) -> Callable[[], object]:
    """A function that moves the streams of one step of a rule with so many states, over so many parameters."""
    if not 0 <= states <= MOST_STATES:
        raise ValueError(f"states: expected 0 to {MOST_STATES}, the numbers this probe has a loop for; received {states}")
    p, g, *held = (filled(size, dtype, 50 + i) for i in range(2 + states))
    g *= np.dtype(dtype).type(1e-6)  # it is added over and over
    a, b, c = (held + [np.empty(0, dtype)] * MOST_STATES)[:MOST_STATES]
    traffic = size * np.dtype(dtype).itemsize * (3 + 2 * states)
    if threads == 1 or traffic < SERIAL_BELOW:
        return lambda: _move(p, g, a, b, c, states)
    return lambda: _move_shared(p, g, a, b, c, states, threads)
