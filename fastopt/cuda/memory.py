"""Device memory as an optimizer uses it: what may be a parameter, where states lie, and copies to and from the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastopt.cuda import arrays, runtime
from fastopt.cuda.arrays import DeviceArray, assign, from_host, to_host
from fastopt.cuda.worklist import DeviceWorkList

__all__ = ["ALIGNMENT", "assign", "backends", "from_host", "name", "to_host", "views", "work_list", "zeros_beside"]

name = "device memory"
backends = ("cuda",)
ALIGNMENT = 16
"""Bytes of one vector load; arrays whose addresses agree modulo this are worked on in whole vectors."""


def views(given: Sequence[Any], labels: Sequence[str]) -> list[DeviceArray]:
    """What a kernel needs to know of each parameter. Raises TypeError or ValueError for one it cannot write to as it lies."""
    return [arrays.parameter(array, label) for array, label in zip(given, labels, strict=True)]


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


def work_list(
    params: Sequence[DeviceArray],
    states: Sequence[Sequence[DeviceArray]],
    labels: Sequence[str],
    gradient_labels: Sequence[str],
    threads: int,
) -> DeviceWorkList:
    """The arrays of one dtype, laid out for the kernels; `threads` is 1, the host thread that launches them."""
    return DeviceWorkList(params, states, labels, gradient_labels, runtime())
