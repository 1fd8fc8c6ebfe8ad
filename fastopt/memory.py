"""Which memory arrays lie in, host or device, and what an optimizer needs of that memory.

An optimizer works on views: what a kernel has to know of an array. In host memory that is the array itself; in device
memory it is a `fastopt.cuda.arrays.DeviceArray`, whoever made the array (PyTorch, CuPy, Numba).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments
from fastopt.states import zeros_beside
from fastopt.worklist import WorkList

try:
    from fastopt._gather import all_plain
except ImportError:  # no compiler at hand when fastopt was installed: arrays are looked at one by one

    def all_plain(arrays: list[Any]) -> bool:
        """Not known."""
        return False


__all__ = ["Memory", "host", "is_array", "of"]


class Memory(Protocol):
    """One kind of memory."""

    name: str
    backends: tuple[str, ...]

    def views(self, arrays: Sequence[Any], labels: Sequence[str]) -> list[Any]:
        """What a kernel needs to know of each parameter. Raises TypeError or ValueError for one it cannot write to as it lies."""

    def zeros_beside(self, view: Any) -> Any:
        """A state of zeros like a parameter."""

    def to_host(self, state: Any) -> NDArray[Any]:
        """A copy of a state as a NumPy array."""

    def assign(self, state: Any, values: NDArray[Any]) -> None:
        """Copies values into a state of their shape and dtype."""

    def work_list(
        self, params: Sequence[Any], states: Sequence[Sequence[Any]], labels: Sequence[str], gradient_labels: Sequence[str], threads: int
    ) -> Any:
        """The arrays of one dtype, laid out for the backends."""


class _Host:
    """The memory of NumPy arrays."""

    name = "host memory"
    backends = ("numpy", "numba", "cython")
    work_list = staticmethod(WorkList)
    zeros_beside = staticmethod(zeros_beside)

    @staticmethod
    def views(arrays: Sequence[Any], labels: Sequence[str]) -> list[NDArray[Any]]:
        found = list(arrays)
        if not all_plain(found):
            for array, label in zip(found, labels, strict=True):
                arguments.array(array, label)
        return found

    @staticmethod
    def to_host(state: NDArray[Any]) -> NDArray[Any]:
        return state.copy()

    @staticmethod
    def assign(state: NDArray[Any], values: NDArray[Any]) -> None:
        state[...] = values


host = cast(Memory, _Host)


def is_array(value: Any) -> bool:
    """Whether a value is one array, in whatever memory, and no collection of them (to iterate over a tensor gives tensors too)."""
    kind = type(value)
    return isinstance(value, np.ndarray) or hasattr(kind, "__dlpack__") or hasattr(kind, "__cuda_array_interface__")


def of(arrays: Sequence[Any], labels: Sequence[str]) -> Memory:
    """The memory that all the arrays lie in.

    Raises TypeError naming two arrays that lie in different ones, RuntimeError where a device's cannot be used.
    """
    if all(isinstance(array, np.ndarray) or not is_array(array) for array in arrays):  # what is no array is refused as such later
        return host
    device_arrays = import_module("fastopt.cuda.arrays")
    on_device = [is_array(array) and device_arrays.on_device(array) for array in arrays]
    if not any(on_device):
        return host
    if not all(on_device):
        i, j = on_device.index(True), on_device.index(False)
        raise TypeError(
            f"{labels[i]} lies in device memory, {labels[j]} in host memory: expected all arrays in one; "
            f"received {device_arrays.kind_of(arrays[i])} and {device_arrays.kind_of(arrays[j])}"
        )
    reason = import_module("fastopt.cuda").runtime().unavailable()
    if reason is not None:
        raise RuntimeError(f"backend: 'cuda' cannot be used: {reason}")
    return cast(Memory, import_module("fastopt.cuda.memory"))
