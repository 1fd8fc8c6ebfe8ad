"""torch tensors in host memory as a work list needs them: NumPy views of parameters, and the addresses of a step's gradients.

A gradient is asked for its address, in compiled code (`_look.pyx`), and for no NumPy view, which costs a microsecond. Parameters may lie in
any dense order of dimensions (transposed, channels last); a gradient that lies otherwise, or that shares memory with what a step writes, is
copied for the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastopt import layout
from fastopt.cuda.arrays import DeviceArray
from fastopt.cuda.tensors import BFLOAT, FLOAT, Tensors
from fastopt.host.states import zeros_beside
from fastopt.host.worklist import WorkList
from fastopt.interop.torch import looks
from fastopt.interop.torch.openmp import TORCHS_THREADS
from fastopt.kernel import Kernel
from fastopt.memory import host
from fastopt.plan import Batch
from fastopt.storage import STORAGES

__all__ = [
    "MovedError",
    "TensorMemory",
    "TensorWork",
    "let_go",
    "parameters",
    "part_of",
    "published",
    "stands_for_others",
    "tensor_of",
    "view",
    "viewed",
]

DTYPES = {getattr(torch, name): name for name in STORAGES}

Array = NDArray[Any]


class MovedError(Exception):
    """A parameter lies elsewhere than when it was laid out, or in another way: it has to be laid out anew."""


def view(tensor: Any) -> Array:
    """A NumPy array of a dense tensor's memory."""
    detached = tensor.detach()
    if detached.dtype is torch.bfloat16:  # NumPy has no name for it: its bits, under another one's
        bits: Array = detached.view(torch.int16).numpy()
        return bits.view(STORAGES["bfloat16"].dtype)
    found: Array = detached.numpy()
    return found


def tensor_of(array: Array) -> Any:
    """A tensor of a NumPy array's memory, no inference tensor even where such are made at present."""
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False):
            return tensor_of(array)
    if array.dtype.kind == "V":  # bfloat16, which is none of NumPy's own (to ask a dtype for its name takes 10 us)
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def stands_for_others(tensor: Any) -> bool:
    """Whether a tensor is of a class that has its operations done on others, as a DTensor has."""
    return type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__


def published(array: Array, param: Any) -> Any:
    """A tensor of a state's memory, of the kind that its parameter is."""
    if not stands_for_others(param):
        return tensor_of(array)
    from fastopt.interop.torch import sharded

    return sharded.like(tensor_of(array), param)


def part_of(value: Any, param: Any, label: str) -> Any:
    """What lies in memory of a tensor of a parameter's state. Raises ValueError where one is a DTensor and the other is not."""
    if not (stands_for_others(param) or stands_for_others(value)):
        return value
    from fastopt.interop.torch import sharded

    return sharded.state(value, param, label)


def parameters(tensors: Sequence[Any], labels: Sequence[str]) -> list[Array]:
    """Views of parameters that a step can write to. Raises TypeError or ValueError."""
    found = [_parameter(tensor, k, labels) for k, tensor in enumerate(tensors)]
    host.views(found, labels)
    return found


def _parameter(tensor: Any, k: int, labels: Sequence[str]) -> Array:
    if stands_for_others(tensor):
        from fastopt.interop.torch import sharded

        tensor = sharded.local(tensor, labels[k])
    if tensor.layout is not torch.strided:
        raise TypeError(f"{labels[k]}: expected a dense tensor, received one of layout {tensor.layout}")
    if not tensor.is_cpu:
        raise TypeError(
            f"{labels[k]}: expected a tensor in host memory, received one on {tensor.device}; "
            "fastopt's own optimizers take CUDA tensors, with their gradients (`fastopt.Adam(params).step(grads)`)"
        )
    if tensor.dtype not in DTYPES:
        raise TypeError(f"{labels[k]}: expected a tensor of {', '.join(DTYPES.values())}, received {tensor.dtype}")
    if stands_for_others(tensor):
        raise TypeError(f"{labels[k]}: expected a tensor with memory of its own, received {type(tensor).__name__}, which stands for others")
    if tensor.is_neg():
        raise ValueError(f"{labels[k]}: expected a tensor that is what lies in its memory, received one that is negated when it is read")
    return view(tensor)


class TensorMemory:
    """Host memory whose parameters are tensors, as a plan needs it (`fastopt.memory.Memory`)."""

    zeros_beside = staticmethod(zeros_beside)

    def __init__(self, tensors: Mapping[int, Any]) -> None:
        self.tensors = tensors
        """By the id of their views."""

    def work_list(self, kernel: Kernel, params: Sequence[Array], *rest: Any) -> TensorWork:
        """The arrays of one kernel, laid out for the backends, that takes tensors as gradients."""
        return TensorWork([self.tensors[id(p)] for p in params], kernel, params, *rest)

    def check_together(self, works: Sequence[TensorWork]) -> None:
        """Nothing: all of host memory is one."""


class TensorWork(WorkList):
    """A work list whose gradients are tensors.

    Attributes
    ----------
    taken
        The gradients of the coming step, copies in the place of those that cannot be used as they lie: they have to live until it is made.
    came
        Whether gradients have come or gone since somebody last set this to False.
    """

    by_team = TORCHS_THREADS

    def __init__(self, tensors: Sequence[Any], kernel: Kernel, params: Sequence[Array], *rest: Any) -> None:
        super().__init__(kernel, params, *rest)
        self.tensors = list(tensors)
        self.parameter_type, self.gradient_type = (getattr(torch, storage.name) for storage in kernel.storages[:2])
        self.bytes = np.array([p.size * self.gradient_dtype.itemsize for p in params], np.int64)
        self.taken: list[Any] = []
        self.came = True
        starts = self.addresses[:, 0].tolist()
        seen = [
            DeviceArray(start, p.shape, p.dtype, -1, tensor, foreign=True, strides=tensor.stride())
            for start, p, tensor in zip(starts, params, tensors, strict=True)
        ]
        self._seen = seen
        self._look = Tensors(seen, self.gradient_dtype).looked_at
        self.guard(self.extents)

    def guard(self, extents: Any) -> None:
        """What no gradient may share memory with, from now on."""
        self.extents = extents
        self._compiled = None
        if looks.HostGatherer is not None and "bytes" in self.__dict__:
            code = BFLOAT if self.gradient_dtype.name == "bfloat16" else FLOAT
            bits, arrays = 8 * self.gradient_dtype.itemsize, (self.addresses, self.absent, extents.low, extents.high)
            with suppress(ValueError):  # a PyTorch without the functions that it takes
                self._compiled = looks.HostGatherer(self.tensors, torch.Tensor, code, bits, *arrays)

    def gather(self, gradients: list[Any]) -> int:
        """As that of a work list, of tensors."""
        found = self._written(gradients) if self._compiled is None else self._compiled(gradients)
        if found:
            self.taken = gradients
            self.came = self.came or found == 2
        return found

    def _written(self, gradients: list[Any]) -> int:
        """The same as the compiled gatherer, in Python."""
        found = self._look(gradients)
        if found is None or any(tensor.dtype is not self.parameter_type for tensor in self.tensors):
            return 0
        if any(g is not None and g.numel() == 1 and g.is_neg() for g in gradients) or not self._write(found):
            return 0
        return 2 if self.absent[-1] else 1

    def _write(self, found: list[int | None]) -> bool:
        """Writes down where the gradients lie, and which are absent, unless one of them lies in what a step writes."""
        if None in found:
            absent = np.array([address is None for address in found], np.uint8)
            starts = np.array([address or 0 for address in found], np.int64)
            sizes = np.where(absent, 0, self.bytes)
        else:
            absent, starts, sizes = np.zeros(len(found), np.uint8), np.array(found, np.int64), self.bytes
        column = self.addresses[:, 1]
        if (starts != column).any():
            if self._overlapping(starts, sizes).any():
                return False
            column[:] = starts
        if (absent != self.absent[:-1]).any():
            self.absent[:-1], self.absent[-1] = absent, 1
        return True

    def _overlapping(self, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
        low, high = self.extents.low, self.extents.high
        if not len(low):
            return np.zeros(len(starts), bool)
        ends = starts + sizes
        before = np.searchsorted(low, ends, side="left") - 1  # the last extent that begins before a gradient ends
        return (sizes > 0) & (before >= 0) & (high[before] > starts)

    def refresh(self, gradients: list[Any], stream: None = None) -> None:
        """Takes gradients that cannot all be used as they lie.

        Raises MovedError, or TypeError, ValueError or RuntimeError for one of no use.
        """
        for tensor, p, seen in zip(self.tensors, self.params, self._seen, strict=True):
            if (tensor.data_ptr() != seen.address and p.size) or tensor.shape != p.shape or DTYPES.get(tensor.dtype) != p.dtype.name:
                raise MovedError
            if not layout.same(p.shape, tensor.stride(), seen.strides):
                raise MovedError
        taken = [None if g is None else self._usable(g, i) for i, g in enumerate(gradients)]
        self._write([None if g is None else g.data_ptr() for g in taken])
        self.taken, self.came = taken, self.came or bool(self.absent[-1])

    def _usable(self, given: Any, i: int) -> Any:
        """A gradient as it lies, or a copy that lies as its parameter does."""
        label, tensor = self.gradient_labels[i], self.tensors[i]
        if given.layout is not torch.strided:
            raise RuntimeError(f"{label}: sparse gradients are not supported, expected a dense one; received layout {given.layout}")
        if given.device.type != "cpu":
            raise TypeError(f"{label}: expected a tensor in host memory, as its parameter is, received one on {given.device}")
        if given.dtype is not self.gradient_type:
            raise TypeError(f"{label}: expected a gradient of {self.gradient_type}, as its parameter is, received {given.dtype}")
        if given.shape != tensor.shape:
            raise ValueError(f"{label} has shape {tuple(given.shape)}, its parameter {self.labels[i]} has shape {tuple(tensor.shape)}")
        own = given.detach()
        as_it_lies = layout.same(own.shape, own.stride(), tensor.stride()) and not own.is_neg() and own.data_ptr() % own.element_size() == 0
        if as_it_lies and not self._overlapping(np.array([own.data_ptr()]), self.bytes[i : i + 1]).any():
            return own
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype).copy_(own)


def let_go(batches: Sequence[Batch]) -> None:
    """Of the gradients that batches took: whoever takes them away wants their memory."""
    for batch in batches:
        batch.work.taken = []


def viewed(batches: Sequence[Batch], gradients: Sequence[Any]) -> list[Any]:
    """Arrays of the gradients that batches took of these, in their order, for the backend that is NumPy."""
    found: list[Any] = [None] * len(gradients)
    for batch in batches:
        for i, g in zip(batch.positions, batch.work.taken, strict=True):
            found[i] = None if g is None else view(g)
    return found
