"""Parameters as steps compute with them: read from narrow arrays and their corrections, and written back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments
from fastopt.kernel import CORRECTION, Kernel
from fastopt.memory import Memory
from fastopt.storage import STORAGES
from fastopt.storage.split import joined, parted

__all__ = ["whole", "written"]


def whole(kernel: Kernel, view: Any, held: Sequence[Any], memory: Memory) -> NDArray[Any]:
    """A parameter in the compute dtype, as a new array."""
    parameter = memory.to_host(view)
    if kernel.split is None:
        return parameter.astype(kernel.compute)
    return joined(kernel.split, parameter, memory.to_host(held[kernel.held.index(CORRECTION)]))


def written(value: Any, label: str, kernel: Kernel, view: Any, held: Sequence[Any]) -> list[tuple[Any, NDArray[Any]]]:
    """What to copy where, so that a parameter is that value (`Memory.assigning`). Raises TypeError or ValueError."""
    own, compute = view.dtype, STORAGES[kernel.compute].dtype
    if not isinstance(value, np.ndarray) or value.dtype not in (own, compute):
        expected = " or ".join(dict.fromkeys((compute.name, own.name)))
        received = value.dtype.name if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{label}: expected a NumPy array of {expected}, received {received}")
    arguments.alike(value, label, view, "params", value.dtype)
    with np.errstate(all="ignore"):
        if kernel.split is None:
            return [(view, value.astype(own))]
        numbers = np.ascontiguousarray(value.astype(compute))
        parameters, corrections = parted(kernel.split, numbers.reshape(-1), own)
    correction = held[kernel.held.index(CORRECTION)]
    return [(view, parameters.reshape(value.shape)), (correction, corrections.reshape(value.shape))]
