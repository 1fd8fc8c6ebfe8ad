"""Where the state arrays of an optimizer lie in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import layout

__all__ = ["zeros_beside"]

PAGE = 4096
"""Bytes after which the low address bits that a CPU compares first repeat."""

PLACED_FROM = 32 * 1024
"""Bytes of a state from which up to a page of padding is a small price."""


def zeros_beside(parameter: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A state of zeros that lies as its parameter does, at the parameter's own offset within a page.

    A CPU that looks for a load's data among the stores in flight compares the low 12 bits of their addresses. A stream
    that is read up to 200 bytes below another one's stores, modulo 4096, waits for them in vain: measured with Adam in
    float32 on AMD Zen 4, 1.3 to 1.6 times the time at 10,000 to 1,000,000 parameters. Streams at one offset never do.
    """
    nbytes = parameter.size * dtype.itemsize
    if nbytes < PLACED_FROM and parameter.flags.c_contiguous:
        return np.zeros(parameter.shape, dtype)
    if nbytes < PLACED_FROM:
        flat = np.zeros(parameter.size, dtype)
    else:
        buffer = np.zeros(nbytes + PAGE, np.uint8)
        start = (parameter.ctypes.data - buffer.ctypes.data) % PAGE
        flat = buffer[start : start + nbytes].view(dtype)
    if parameter.flags.c_contiguous:
        return flat.reshape(parameter.shape)
    order = layout.order(parameter.strides)
    return flat.reshape([parameter.shape[axis] for axis in order]).transpose(np.argsort(order))
