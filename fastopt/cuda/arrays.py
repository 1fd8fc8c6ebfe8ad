"""Device arrays, whoever made them: PyTorch, CuPy, Numba, and whatever else speaks `__cuda_array_interface__` or DLPack."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments, layout
from fastopt.cuda import runtime
from fastopt.storage import STORAGES

__all__ = [
    "DEFAULT_STREAM",
    "DeviceArray",
    "as_it_lies",
    "assign",
    "current_stream",
    "from_host",
    "gradient",
    "has_current_stream",
    "kind_of",
    "on_device",
    "parameter",
    "stream_handle",
    "to_host",
    "torch_tensor",
    "view",
]

ON_GPU = (2, 13)
"""DLPack's kDLCUDA and kDLCUDAManaged."""

DEFAULT_STREAM = 1
"""The legacy default stream, as CUDA's own constant and `__cuda_array_interface__` have it."""


@dataclass(frozen=True, slots=True, eq=False)
class DeviceArray:
    """A dense array on a device: where it lies, and who keeps it there.

    `strides` are in elements, those of a C-contiguous array if none are given. `owner` is the array as another library made it
    (`foreign`), or what holds memory that fastopt allocated. Speaks `__cuda_array_interface__`, so that CuPy, Numba and PyTorch take it as
    it is.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    device: int
    owner: Any
    foreign: bool = False
    readonly: bool = False
    strides: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.strides) != len(self.shape):
            object.__setattr__(self, "strides", layout.contiguous(self.shape))

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The size in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def contiguous(self) -> bool:
        """Whether it is C-contiguous."""
        return layout.same(self.shape, self.strides, layout.contiguous(self.shape))

    def __reduce__(self) -> tuple[Any, ...]:
        # an address is of this process and of this memory: a copy has memory of its own, and alignment like this one's
        return from_host, (to_host(self), self.device, self.address % 256)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        strides = None if self.contiguous else tuple(stride * self.dtype.itemsize for stride in self.strides)
        own = {"shape": self.shape, "typestr": self.dtype.str, "data": (self.address, self.readonly), "strides": strides}
        return {**own, "version": 3, "stream": None}


def torch_tensor(value: Any) -> bool:
    """Whether a value is PyTorch's, asked without importing it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def on_device(value: Any) -> bool:
    """Whether a value is an array in the memory of a CUDA device."""
    if isinstance(value, np.ndarray):
        return False
    if isinstance(value, DeviceArray):
        return True
    if torch_tensor(value):
        return bool(value.is_cuda)
    if hasattr(type(value), "__dlpack_device__"):
        return value.__dlpack_device__()[0] in ON_GPU
    return getattr(value, "__cuda_array_interface__", None) is not None


def view(value: Any, label: str) -> DeviceArray:
    """What a kernel needs to know of a device array. Raises TypeError or ValueError for one it cannot work on as it lies."""
    if isinstance(value, DeviceArray):
        return value
    if torch_tensor(value):
        found = _of_torch(value, label)
    elif getattr(value, "__cuda_array_interface__", None) is not None:
        found = _of_interface(value, label)
    elif on_device(value):
        found = _of_dlpack(value, label)
    else:
        raise TypeError(f"{label}: expected a device array of {arguments.KINDS}, received {kind_of(value)}")
    if found.address % found.dtype.itemsize:
        raise ValueError(
            f"{label}: expected an array aligned to its {found.dtype.itemsize}-byte elements, received address {found.address:#x}"
        )
    if found.size and not found.address:
        raise ValueError(
            f"{label}: expected an array with memory of its own, such as the local part of a distributed one; "
            f"received {kind_of(value)} at address 0"
        )
    return found


def kind_of(value: Any) -> str:
    """What a value is called in an error."""
    if isinstance(value, np.ndarray):
        return f"a NumPy array of {value.dtype} in host memory"
    if torch_tensor(value):
        return f"a torch tensor on {value.device}"
    if value is None:
        return "None"
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _dtype(name: str, label: str) -> Any:
    if name not in STORAGES:
        raise TypeError(f"{label}: expected dtype {arguments.KINDS}, received {name}")
    return STORAGES[name].dtype


def _dense(label: str, shape: tuple[int, ...], strides: tuple[int, ...] | None, unit: int = 1) -> tuple[int, ...]:
    """Strides in elements, of those in units of which an element has so many. Raises ValueError for an array with gaps."""
    if strides is None or 0 in shape:
        return layout.contiguous(shape)
    if not layout.dense(shape, strides, unit):
        raise ValueError(
            f"{label}: expected a dense array, C-contiguous or with its dimensions in another order; received strides {tuple(strides)} for "
            f"shape {shape}; a step writes in place, so make a contiguous array and keep that one"
        )
    return tuple(stride // unit for stride in strides)


def _of_torch(tensor: Any, label: str) -> DeviceArray:
    import torch

    if tensor.layout is not torch.strided:
        raise TypeError(f"{label}: expected a dense tensor, received one of layout {tensor.layout}")
    if not tensor.is_cuda:
        raise TypeError(f"{label}: expected a device array of {arguments.KINDS}, received {kind_of(tensor)}")
    dtype = _dtype(str(tensor.dtype).removeprefix("torch."), label)
    shape = tuple(tensor.shape)
    strides = _dense(label, shape, tensor.stride())
    return DeviceArray(tensor.data_ptr(), shape, dtype, tensor.get_device(), tensor, foreign=True, strides=strides)


def _of_interface(value: Any, label: str) -> DeviceArray:
    """https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html"""
    interface = value.__cuda_array_interface__
    shape, (address, readonly) = tuple(interface["shape"]), interface["data"]
    if interface.get("mask") is not None:
        raise TypeError(f"{label}: expected an array without a mask, received one with")
    found = np.dtype(interface["typestr"])
    if not found.isnative:
        raise TypeError(f"{label}: expected dtype {arguments.KINDS} in native byte order, received {found.str}")
    dtype = _dtype(found.name, label)
    strides = _dense(label, shape, interface.get("strides"), dtype.itemsize)
    size = math.prod(shape)
    device = value.device.id if _of_cupy(value) else runtime().device_of(int(address or 0)) if size else -1
    return DeviceArray(int(address or 0) if size else 0, shape, dtype, device, value, True, bool(readonly), strides)


def _of_cupy(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "cupy"


def _of_dlpack(value: Any, label: str) -> DeviceArray:
    """https://dmlc.github.io/dlpack/latest/"""
    from fastopt.cuda import driver

    if type(value).__module__.partition(".")[0] in ("jax", "jaxlib"):
        raise TypeError(f"{label}: expected an array that can be written in place, received one of JAX, whose arrays never change")
    address, shape, strides, name, device, readonly = driver.dlpack(value)
    dtype = _dtype(name, label)
    strides = _dense(label, shape, strides)
    return DeviceArray(address if math.prod(shape) else 0, shape, dtype, device, value, True, readonly, strides)


def parameter(value: Any, label: str) -> DeviceArray:
    """A device array that a step can write to."""
    found = view(value, label)
    if found.readonly:
        raise ValueError(f"{label}: expected a writeable array, received a read-only one")
    return found


def gradient(value: Any, label: str, beside: DeviceArray, beside_label: str, dtype: np.dtype[Any], written: bool = False) -> DeviceArray:
    """A device array that a step can read as the gradient of a parameter, and leave as 0 if it is `written`."""
    if not on_device(value):
        raise TypeError(f"{label}: expected an array on the device of {beside_label} (cuda:{beside.device}), received {kind_of(value)}")
    found = view(value, label)
    if written and found.readonly:
        raise ValueError(f"{label}: expected a writeable array, as zero_grads leaves it as 0, received a read-only one")
    arguments.alike(found, label, beside, beside_label, dtype)
    if found.strides != beside.strides:
        arguments.lies_like(found, label, beside, beside_label)
    if found.device != beside.device and found.size:
        raise ValueError(f"{label} lies on cuda:{found.device}, its parameter {beside_label} on cuda:{beside.device}")
    return found


def has_current_stream(value: Any) -> bool:
    """Whether an array is of PyTorch or CuPy, which work on a current stream, and give memory out again in the order of that stream."""
    return torch_tensor(value) or _of_cupy(value)


def current_stream(value: Any, device: int) -> int | None:
    """The stream on which the framework of an array works at present; None where its interface names none."""
    if isinstance(value, DeviceArray):
        return None
    if torch_tensor(value):
        stream = sys.modules["torch"].cuda.current_stream(device).cuda_stream
        return int(stream) or DEFAULT_STREAM
    interface = getattr(value, "__cuda_array_interface__", None)
    stream = None if interface is None else interface.get("stream")
    return None if stream is None else int(stream)


def stream_handle(stream: Any) -> int:
    """An argument `stream=` as the driver's handle: an integer, or a stream of PyTorch, CuPy, Numba or cuda.core.

    0 is the legacy default stream, as everywhere in CUDA. Raises TypeError.
    """
    found: Any = None
    if isinstance(stream, int) and not isinstance(stream, bool):
        found = stream
    elif hasattr(stream, "__cuda_stream__"):
        protocol = stream.__cuda_stream__
        found = (protocol() if callable(protocol) else protocol)[1]
    else:
        for attribute in ("cuda_stream", "ptr"):  # PyTorch's, CuPy's
            if isinstance(getattr(stream, attribute, None), int):
                found = getattr(stream, attribute)
                break
    if found is None or int(found) < 0:
        raise TypeError(
            "stream: expected a CUDA stream (PyTorch's, CuPy's, Numba's, cuda.core's) or its handle as an integer >= 0, "
            f"received {stream!r} ({type(stream).__name__})"
        )
    return int(found) or DEFAULT_STREAM


def from_host(values: NDArray[Any], device: int = 0, offset: int = 0) -> DeviceArray:
    """A copy of a host array on a device, `offset` bytes past a multiple of 256; waits for the copy.

    Lies as the array does, if that is dense.
    """
    address, owner = runtime().allocate(device, values.nbytes + offset)
    as_it_lies = values.size and layout.dense(values.shape, values.strides, values.itemsize)
    copy = DeviceArray(address + offset, values.shape, values.dtype, device, owner, strides=layout.of(values) if as_it_lies else ())
    assign(copy, values)
    return copy


def to_host(array: DeviceArray) -> NDArray[Any]:
    """A copy of a device array in host memory, which lies as it does; waits for the device."""
    values = np.empty(array.size, array.dtype)
    if values.size:
        runtime().copy_to_host(array.device, values, array.address)
    order = layout.order(array.strides)
    return values.reshape([array.shape[axis] for axis in order]).transpose(np.argsort(order))


def assign(array: DeviceArray, values: NDArray[Any]) -> None:
    """Copies host values into a device array of their shape and dtype; waits for the device."""
    if values.size:
        runtime().copy_to_device(array.device, array.address, as_it_lies(array, values))


def as_it_lies(array: DeviceArray, values: NDArray[Any]) -> NDArray[Any]:
    """Host values of an array's shape as a contiguous array, in the order of memory that they have there."""
    return np.ascontiguousarray(values.transpose(layout.order(array.strides)))
