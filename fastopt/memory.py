"""Which memory arrays lie in, host or device, and what an optimizer needs of that memory.

An optimizer works on views: what a kernel has to know of an array. In host memory that is the array itself; in device
memory it is a `fastopt.cuda.arrays.DeviceArray`, whoever made the array (PyTorch, CuPy, Numba).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from fastopt.host import memory as _host_memory
from fastopt.kernel import Kernel

__all__ = ["Memory", "host", "is_array", "of"]


class Memory(Protocol):
    """One kind of memory."""

    name: str
    backends: tuple[str, ...]

    def views(self, arrays: Sequence[Any], labels: Sequence[str]) -> list[Any]:
        """What a kernel needs to know of each parameter. Raises TypeError or ValueError for one it cannot write to as it lies."""

    def zeros_beside(self, views: Sequence[Any], dtype: np.dtype[Any], count: int) -> list[list[Any]]:
        """For each parameter so many states of zeros, of its shape and layout."""

    def scales_beside(self, views: Sequence[Any], count: int) -> list[list[Any]]:
        """For each parameter so many arrays of float32 zeros, with one for each of its blocks (`fastopt.storage.blocks`)."""

    def corrections_beside(self, views: Sequence[Any], dtype: np.dtype[Any]) -> list[Any]:
        """For each parameter zeros of its shape and layout (`fastopt.storage.split`)."""

    def to_host(self, state: Any) -> NDArray[Any]:
        """A copy of a state as a NumPy array."""

    def assign(self, state: Any, values: NDArray[Any]) -> None:
        """Copies values into a state of their shape and dtype that nobody works with yet."""

    def assigning(self, copies: Sequence[tuple[Any, NDArray[Any]]]) -> list[Callable[[], Any]]:
        """The calls that copy values into states of their shape and dtype, made together and on their device (`fastopt.uninterrupted`)."""

    def work_list(
        self,
        kernel: Kernel,
        params: Sequence[Any],
        states: Sequence[Sequence[Any]],
        labels: Sequence[str],
        gradient_labels: Sequence[str],
        threads: int,
        first_blocks: Sequence[int],
    ) -> Any:
        """The arrays of one kernel, laid out for the backends."""

    def check_together(self, works: Sequence[Any]) -> None:
        """Raises ValueError where work lists cannot make one step together."""

    def settle(self, works: Sequence[Any]) -> None:
        """For after a copy that waited for a device: lets go of what steps have read. Raises RuntimeError if something failed there."""

    def clipping(self, works: Sequence[Any], blocks: int) -> Any:
        """What clips gradients where nobody waits for their norm. Only on a device: on the host a step knows it."""


host = cast(Memory, _host_memory)


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
