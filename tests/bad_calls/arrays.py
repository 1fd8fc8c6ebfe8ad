"""Arrays that begin where none should, or have their bytes the other way round."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def unaligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array whose first element does not lie at a multiple of its size."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    array = np.zeros(size + 16, np.uint8)[1 : 1 + size].view(dtype).reshape(shape)
    assert not array.flags.aligned
    return array


def swapped(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder())
