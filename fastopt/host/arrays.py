"""What may be a parameter or a gradient in host memory: NumPy arrays that a kernel can use as they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments, layout, storage
from fastopt.rules.domain import describe, masked

__all__ = ["copied_from", "gradient", "parameter"]

Array = NDArray[Any]


def parameter(value: Any, label: str, writeable: bool = True) -> None:
    """A plain, dense NumPy array that a kernel can work on in place. Raises TypeError or ValueError."""
    if not isinstance(value, np.ndarray) or masked(value):
        hint = "; np.asarray makes a 0-d array of it" if isinstance(value, np.generic) else ""
        raise TypeError(f"{label}: expected a NumPy array of {arguments.KINDS}, received {describe(value)}{hint}")
    if storage.of(value.dtype) is None:
        raise TypeError(f"{label}: expected dtype {arguments.KINDS} in native byte order, received {arguments.dtype_name(value.dtype)}")
    if not layout.dense(value.shape, value.strides, value.itemsize):
        raise ValueError(
            f"{label}: expected a dense array, C-contiguous or with its dimensions in another order; received strides {value.strides} for "
            f"shape {value.shape}; "
            + (
                "a step writes in place, so make a contiguous array and keep that one (np.ascontiguousarray)"
                if writeable
                else "np.ascontiguousarray makes one"
            )
        )
    if not value.flags.aligned:
        raise ValueError(
            f"{label}: expected an array aligned to its {value.itemsize}-byte elements, received address {value.ctypes.data:#x}"
        )
    if writeable and not value.flags.writeable:
        raise ValueError(f"{label}: expected a writeable array, received a read-only one")


def gradient(value: Any, label: str, beside: Array, beside_label: str, dtype: np.dtype[Any], written: bool = False) -> None:
    """An array that a kernel can read as the gradient of a parameter, and leave as 0 if it is `written`. Raises TypeError or ValueError."""
    parameter(value, label, writeable=False)
    if written and not value.flags.writeable:
        raise ValueError(f"{label}: expected a writeable array, as zero_grads leaves it as 0, received a read-only one")
    arguments.alike(value, label, beside, beside_label, dtype)
    arguments.lies_like(value, label, beside, beside_label)


def copied_from(value: Any, label: str, state: Any, parameter_label: str) -> None:
    """An array whose values a state, or the scales of one, can take over. Raises TypeError or ValueError."""
    if state.dtype.kind in "iu" and isinstance(value, np.ndarray) and not masked(value):  # codes, which no parameter is made of
        arguments.alike(value, label, state, parameter_label, state.dtype)
        return
    parameter(value, label, writeable=False)
    arguments.alike(value, label, state, parameter_label, state.dtype)
