"""Device memory as an optimizer uses it: what may be a parameter, where states lie, and copies to and from the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.cuda import arrays, runtime
from fastopt.cuda.arrays import DeviceArray, assign, from_host, to_host
from fastopt.cuda.norm import Clipping
from fastopt.cuda.streams import MOST_LANES
from fastopt.cuda.worklist import DeviceWorkList
from fastopt.kernel import Kernel
from fastopt.storage.blocks import BLOCK

__all__ = [
    "assign",
    "assigning",
    "backends",
    "check_together",
    "clipping",
    "corrections_beside",
    "from_host",
    "name",
    "scales_beside",
    "settle",
    "to_host",
    "views",
    "work_list",
    "zeros_beside",
]

name = "device memory"
backends = ("cuda",)


def views(given: Sequence[Any], labels: Sequence[str]) -> list[DeviceArray]:
    """What a kernel needs to know of each parameter. Raises TypeError or ValueError for one it cannot write to as it lies."""
    return [arrays.parameter(array, label) for array, label in zip(given, labels, strict=True)]


def zeros_beside(parameters: Sequence[DeviceArray], dtype: np.dtype[Any], count: int) -> list[list[DeviceArray]]:
    """For each parameter so many states of zeros that lie as it does, on its device; from the framework that made it, where it can.

    As many elements behind the beginning of a vector, so that whole vectors of both can be worked on at once. A framework's own allocator
    keeps the memory that it has; memory from elsewhere would be a second pool beside it.
    """
    return [[_zeros_beside(parameter, dtype) for _ in range(count)] for parameter in parameters]


def scales_beside(parameters: Sequence[DeviceArray], count: int) -> list[list[DeviceArray]]:
    """For each parameter so many arrays of float32 zeros, with one for each of its blocks, on its device."""
    return [[_scales_beside(parameter) for _ in range(count)] for parameter in parameters]


def corrections_beside(parameters: Sequence[DeviceArray], dtype: np.dtype[Any]) -> list[DeviceArray]:
    """For each parameter zeros that lie as it does, on its device."""
    return [_zeros_beside(parameter, dtype) for parameter in parameters]


def _zeros_beside(parameter: DeviceArray, dtype: np.dtype[Any]) -> DeviceArray:
    lead = parameter.address // parameter.dtype.itemsize % MOST_LANES * dtype.itemsize
    start, owner, device = _made_beside(parameter, lead + parameter.size * dtype.itemsize)
    return DeviceArray(start + lead, parameter.shape, dtype, device, owner, strides=parameter.strides)


def _scales_beside(parameter: DeviceArray) -> DeviceArray:
    blocks, dtype = -(-parameter.size // BLOCK), np.dtype(np.float32)
    start, owner, device = _made_beside(parameter, blocks * dtype.itemsize)
    return DeviceArray(start, (blocks,), dtype, device, owner)


def _made_beside(parameter: DeviceArray, size: int) -> tuple[int, Any, int]:
    """So many bytes of zeros: where they begin, who keeps them, and their device."""
    return _zeros_of_framework(parameter, size) or _zeros(parameter, size)


def assigning(copies: Sequence[tuple[DeviceArray, NDArray[Any]]]) -> list[Callable[[], Any]]:
    """The calls that copy host values into states of their shape and dtype, made together on the device; it is waited for here first."""
    filled = [(state.address, arrays.as_it_lies(state, values), max(state.device, 0)) for state, values in copies if values.size]
    together: list[Callable[[], Any]] = []
    for device in sorted({device for _, _, device in filled}):  # one, as all of an optimizer is
        together += runtime().copying_to_device(device, [(address, values) for address, values, on in filled if on == device])
    return together


def _zeros(parameter: DeviceArray, size: int) -> tuple[int, Any, int]:
    device = max(parameter.device, 0)
    return (*runtime().allocate(device, size), device)


def _zeros_of_framework(parameter: DeviceArray, size: int) -> tuple[int, Any, int] | None:
    """So many bytes: where they begin, who keeps them, and their device."""
    owner = parameter.owner
    if arrays.torch_tensor(owner):
        import torch

        made = torch.zeros(size, dtype=torch.uint8, device=owner.device)
        return made.data_ptr(), made, made.get_device()
    if type(owner).__module__.partition(".")[0] == "cupy":
        import cupy

        with cupy.cuda.Device(parameter.device):
            made = cupy.zeros(size, np.uint8)
        return int(made.data.ptr), made, parameter.device
    return None


def work_list(
    kernel: Kernel,
    params: Sequence[DeviceArray],
    states: Sequence[Sequence[DeviceArray]],
    labels: Sequence[str],
    gradient_labels: Sequence[str],
    threads: int,
    first_blocks: Sequence[int],
) -> DeviceWorkList:
    """The arrays of one kernel, laid out for the device; `threads` is 1, the host thread that launches."""
    return DeviceWorkList(kernel, params, states, labels, gradient_labels, first_blocks, runtime())


def check_together(works: Sequence[DeviceWorkList]) -> None:
    """Has work lists run on one stream from now on. Raises ValueError naming arrays of two that lie on different devices."""
    first, *others = sorted(works, key=lambda work: not work.elements)  # one of empty arrays can go anywhere
    for work in others:
        if not work.elements:
            work.device = first.device
        elif work.device != first.device:
            raise ValueError(
                f"{_largest(work)} lies on cuda:{work.device}, {_largest(first)} on cuda:{first.device}: expected arrays on one device"
            )
    for k, work in enumerate(works):
        work.before = list(works[:k])


def settle(works: Sequence[DeviceWorkList]) -> None:
    """For after a copy that waited for the device: lets go of what steps have read. Raises RuntimeError if something failed there."""
    for device in {work.device for work in works}:
        runtime().synchronize(device)
    for work in works:
        work.held.release()


def clipping(works: Sequence[DeviceWorkList], blocks: int) -> Clipping:
    """What clips the gradients of work lists that make a step together, on their device."""
    return Clipping(works, blocks)


def _largest(work: DeviceWorkList) -> str:
    """What a parameter of a work list is called that has elements, if any has."""
    sizes = [p.size for p in work.params]
    return work.labels[sizes.index(max(sizes))]
