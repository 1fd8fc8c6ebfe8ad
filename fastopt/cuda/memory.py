"""Device memory as an optimizer uses it: what may be a parameter, where states lie, and copies to and from the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.cuda import arrays, runtime
from fastopt.cuda.arrays import DeviceArray
from fastopt.cuda.worklist import DeviceWorkList
from fastopt.extents import Span

__all__ = ["ALIGNMENT", "assign", "backends", "from_host", "name", "span", "to_host", "view", "work_list", "zeros_beside"]

name = "device memory"
backends = ("cuda",)
ALIGNMENT = 16
"""Bytes of one vector load; arrays whose addresses agree modulo this are worked on in whole vectors."""

view = arrays.parameter


def span(array: DeviceArray, label: str) -> Span:
    """The memory that an array takes up."""
    return array.span(label)


def zeros_beside(parameter: DeviceArray) -> DeviceArray:
    """A state of zeros on the parameter's device, at its own offset within 16 bytes; from the framework that made it, where it can.

    A framework's own allocator keeps the memory that it has; memory from elsewhere would be a second pool beside it.
    """
    lead = parameter.address % ALIGNMENT // parameter.dtype.itemsize
    made = _zeros_of_framework(parameter, lead + parameter.size)
    if made is not None:
        start, owner, device = made.address, made.owner, made.device
    else:
        device = max(parameter.device, 0)
        start, owner = runtime().allocate(device, (lead + parameter.size) * parameter.dtype.itemsize)
    return DeviceArray(start + lead * parameter.dtype.itemsize, parameter.shape, parameter.dtype, device, owner)


def _zeros_of_framework(parameter: DeviceArray, size: int) -> DeviceArray | None:
    owner = parameter.owner
    if arrays.torch_tensor(owner):
        import torch

        return arrays.view(torch.zeros(size, dtype=owner.dtype, device=owner.device), "state")
    if type(owner).__module__.partition(".")[0] == "cupy":
        import cupy

        with cupy.cuda.Device(parameter.device):
            return arrays.view(cupy.zeros(size, parameter.dtype), "state")
    return None


def from_host(values: NDArray[Any], device: int = 0, offset: int = 0) -> DeviceArray:
    """A copy of a host array on a device, `offset` bytes past a multiple of 256; waits for the copy."""
    address, owner = runtime().allocate(device, values.nbytes + offset)
    copy = DeviceArray(address + offset, values.shape, values.dtype, device, owner)
    assign(copy, values)
    return copy


def to_host(array: DeviceArray) -> NDArray[Any]:
    """A copy of a device array in host memory; waits for the device."""
    values = np.empty(array.shape, array.dtype)
    if values.size:
        runtime().copy_to_host(array.device, values, array.address)
    return values


def assign(array: DeviceArray, values: NDArray[Any]) -> None:
    """Copies host values into a device array of their shape and dtype; waits for the device."""
    if values.size:
        runtime().copy_to_device(array.device, array.address, np.ascontiguousarray(values))


def work_list(
    params: Sequence[DeviceArray],
    states: Sequence[Sequence[DeviceArray]],
    labels: Sequence[str],
    gradient_labels: Sequence[str],
    threads: int,
) -> DeviceWorkList:
    """The arrays of one dtype, laid out for the kernels; `threads` is 1, the host thread that launches them."""
    return DeviceWorkList(params, states, labels, gradient_labels, runtime())
