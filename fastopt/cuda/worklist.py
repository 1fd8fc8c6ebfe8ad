"""The work list on a device: every tensor of a step as rows of integers in device memory, so that a step is one launch.

    streams   int64 (2 + states, tensors)   where p, g and each state of a tensor begin; g's line changes from step to step
    rows      int64 (rows, 3)               tensor, first element, number of elements
    scalars   of the compute dtype          where a captured CUDA graph reads a step's scalars (see `Optimizer.advance`)

A row is what one block of threads works on at a time: a piece of one tensor, of at most `MOST` elements, cut at multiples of
1,024 (and so of the 256 of block-scaled storage). One tensor of a thousand million elements and a thousand of a thousand
are the same code. How long rows are follows from the device, so a reduction, such as a global norm, would write a partial
result for each 1,024 elements and add those up in their order, which depends on the sizes alone.

`refresh` checks a step's gradients on the host; `place` then uploads their addresses, where any changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.cuda import Runtime, Shape, arrays
from fastopt.cuda.arrays import DEFAULT_STREAM, DeviceArray
from fastopt.extents import Extents
from fastopt.rules.entry import MOST_SCALARS, PROLOGUE_SCALARS
from fastopt.worklist import not_known

try:
    from fastopt.cuda._gather import Gatherer
except ImportError:  # no compiler at hand when fastopt was installed
    Gatherer = None

__all__ = ["LEAST", "MOST", "DeviceWorkList", "cut", "row_length"]

LEAST, MOST = 1_024, 8_192
"""Elements of a row: one vector for each of 256 threads at the least, eight at the most."""

ROWS_EACH = 8
"""Rows that every multiprocessor should get before rows grow beyond `LEAST`: as many blocks as run there at once."""


def row_length(elements: int, shape: Shape) -> int:
    """How long rows are, so that all multiprocessors have rows and rows are no shorter than they need to be."""
    share = elements // (shape.multiprocessors * ROWS_EACH)
    return min(MOST, max(LEAST, share // LEAST * LEAST))


def cut(sizes: Sequence[int], length: int) -> NDArray[np.int64]:
    """The rows of tensors of these sizes, none longer than `length`, in the order of the tensors."""
    whole = np.array(sizes, np.int64).reshape(-1)
    counts = -(-whole // length)
    tensor = np.repeat(np.arange(len(whole)), counts)
    before = np.cumsum(counts) - counts
    start = (np.arange(len(tensor)) - before[tensor]) * length
    return np.ascontiguousarray(np.stack([tensor, start, np.minimum(length, whole[tensor] - start)], axis=1).astype(np.int64))


class DeviceWorkList:
    """The arrays of one step, of one dtype and on one device, laid out for the kernels.

    Parameters are those of `fastopt.worklist.WorkList`, but as `DeviceArray`s. Raises ValueError if any two of the arrays
    overlap, or lie on different devices.

    Attributes
    ----------
    stream, capture
        The handle of the stream on which the coming step runs, and which capture of a CUDA graph it is in, or None; set by `refresh`.
    streams_at, rows_at, scalars_at
        Where the tables above lie on the device.
    """

    def __init__(
        self,
        params: Sequence[DeviceArray],
        states: Sequence[Sequence[DeviceArray]],
        labels: Sequence[str],
        gradient_labels: Sequence[str],
        runtime: Runtime,
    ) -> None:
        self.params, self.states = list(params), [tuple(own) for own in states]
        self.labels, self.gradient_labels = list(labels), list(gradient_labels)
        self.dtype = self.params[0].dtype
        named = list(zip(self.params, self.labels, strict=True))
        named += [(s, f"state {k} of {self.labels[j]}") for j, own in enumerate(self.states) for k, s in enumerate(own)]
        self.device = _one_device(named)
        self.elements = sum(p.size for p in self.params)
        self.runtime = runtime
        self.shape = runtime.shape(self.device)
        self.guard(Extents([a.address for a, _ in named], [a.nbytes for a, _ in named], lambda i: named[i][1]))
        self.streams = np.zeros((2 + (len(self.states[0]) if self.states else 0), len(self.params)), np.int64)
        self.streams[0] = [p.address for p in self.params]
        for j, own in enumerate(self.states):
            self.streams[2:, j] = [s.address for s in own]
        self.rows = cut([p.size for p in self.params], row_length(self.elements, self.shape))
        self.blocks = min(len(self.rows), self.shape.most_blocks)
        self.stream = DEFAULT_STREAM
        self.capture: int | None = None
        self._addresses: list[int] = []
        self._placed: list[int] | None = None
        self._captured = False
        scalars = np.full(MOST_SCALARS + PROLOGUE_SCALARS, np.nan, self.dtype)  # until `advance` says what they are
        tables = (self.streams, self.rows, scalars)
        self._held = [runtime.allocate(self.device, table.nbytes) for table in tables]
        for (address, _), table in zip(self._held, tables, strict=True):
            if table.size:
                runtime.copy_to_device(self.device, address, table)
        self.streams_at, self.rows_at, self.scalars_at = (address for address, _ in self._held)
        self.upload = runtime.upload(self.device, max(self.streams[1].nbytes, scalars.nbytes))
        self._tensors = _Tensors.of(self.params)

    def refresh(self, gradients: Sequence[Any], stream: Any = None) -> None:
        """Takes the gradients of the coming step: checks each, writes down where it lies, and on which stream to run.

        Raises TypeError or ValueError naming the gradient that cannot be used. Parameters are looked at again too: one whose
        memory was replaced since (`tensor.data = ...`, `module.to(...)`) is refused.
        """
        if stream is not None:
            stream = arrays.stream_handle(stream)
        addresses = None if self._tensors is None else self._tensors.addresses(gradients)
        if addresses is None:  # not PyTorch's, or something is wrong with them: one by one, with words for what is wrong
            addresses = [g.address for g in self._views(gradients)]
            stream = stream or self._common_stream(gradients)
        if addresses != self._addresses:
            self.extents.refuse(addresses, [p.nbytes for p in self.params], self.gradient_labels.__getitem__)
            self.streams[1] = self._addresses = addresses
        self.choose_stream(stream)

    def choose_stream(self, stream: Any) -> None:
        """Where the next launch goes: a stream of any kind, or None for the one that the parameters' framework works on."""
        self.stream = self._common_stream(()) if stream is None else arrays.stream_handle(stream)
        self.capture = self.runtime.capture(self.device, self.stream)

    @property
    def recording(self) -> bool:
        """Whether the coming step is captured into a graph, and so not made now."""
        return self.capture is not None

    def _views(self, gradients: Sequence[Any]) -> list[DeviceArray]:
        for p, label in zip(self.params, self.labels, strict=True):
            now = arrays.parameter(p.owner, label) if p.foreign else p
            if now.address != p.address or now.shape != p.shape:
                raise ValueError(f"{label}: expected the array that the optimizer was built with, received it moved or reshaped")
        named = zip(gradients, self.gradient_labels, self.params, self.labels, strict=True)
        return [arrays.gradient(g, own_label, p, label) for g, own_label, p, label in named]

    gather = staticmethod(not_known)
    """The stream is to be chosen at each step: `refresh` does all of it."""

    def guard(self, extents: Extents) -> None:
        """What no gradient may share memory with, from now on: all that a step writes, be it in this list or in others."""
        self.extents = extents

    def _common_stream(self, gradients: Sequence[Any]) -> int:
        """The stream on which the framework of the parameters works, or of the gradients where that one has none.

        Raises ValueError for gradients that were made on another one: nothing would make the step wait for them.
        """
        of_params = arrays.current_stream(self.params[0].owner, self.device)
        streams = [arrays.current_stream(g, self.device) for g in gradients]
        common = next((s for s in (of_params, *streams) if s is not None), DEFAULT_STREAM)
        for s, label in zip(streams, self.gradient_labels, strict=False):
            if s is not None and s != common:
                raise ValueError(
                    f"{label}: expected an array of stream {common:#x}, received one of stream {s:#x}; "
                    "give step() the stream to run on, and have it wait for the others"
                )
        return common

    def place(self) -> None:
        """Brings the gradients' addresses to the device, on the step's stream, where they are not what it has.

        A captured graph brings its own at every replay, since a step outside it may have brought others; and once one was
        captured, what the device has is not known any more, so every step brings them.
        """
        known = self._placed is not None and not self._captured and not self.recording
        if known and self._placed is self._addresses:
            return
        now, first, last = self.streams[1], 0, len(self._addresses)
        if known:
            changed = [i for i, (a, b) in enumerate(zip(self._placed or (), self._addresses, strict=True)) if a != b]
            first, last = (changed[0], changed[-1] + 1) if changed else (0, 0)
        if last > first:
            self.upload(self.streams_at + now.nbytes + first * now.itemsize, now[first:last], self.stream, self.recording)
        self._placed = self._addresses
        self._captured = self._captured or self.recording


def _one_device(named: Sequence[tuple[DeviceArray, str]]) -> int:
    """The device of all that have elements (an array without any may not say)."""
    found = [(array.device, label) for array, label in named if array.size]
    for device, label in found[1:]:
        if device != found[0][0]:
            raise ValueError(f"{label} lies on cuda:{device}, {found[0][1]} on cuda:{found[0][0]}: expected arrays on one device")
    return found[0][0] if found else 0


class _Tensors:
    """PyTorch's tensors, asked for just what is needed, in compiled code where it was built and PyTorch has the C functions for it."""

    def __init__(self, params: Sequence[DeviceArray]) -> None:
        import torch

        self.kind = torch.Tensor
        self.params = [p.owner for p in params]
        self.at = [p.address for p in params]
        self.shapes = [p.owner.shape for p in params]
        self.dtype, self.device = self.params[0].dtype, self.params[0].get_device()
        self.compiled = None
        if Gatherer is not None:
            with suppress(ValueError):  # a PyTorch without the functions that it takes
                self.compiled = Gatherer(self.params, self.kind, 8 * params[0].dtype.itemsize, *self.params[0].__dlpack_device__())

    @classmethod
    def of(cls, params: Sequence[DeviceArray]) -> _Tensors | None:
        """None where not all are PyTorch's."""
        return cls(params) if all(p.foreign and arrays.torch_tensor(p.owner) for p in params) else None

    def addresses(self, gradients: Sequence[Any]) -> list[int] | None:
        """Where the gradients lie, or None if any of them, or a parameter, is not as it should be."""
        return self.compiled(gradients) if self.compiled is not None else self.looked_at(gradients)

    def looked_at(self, gradients: Sequence[Any]) -> list[int] | None:
        """The same in Python."""
        found = []
        try:
            for p, at, shape, g in zip(self.params, self.at, self.shapes, gradients, strict=True):
                if p.data_ptr() != at or p.shape != shape or type(g) is not self.kind or g.get_device() != self.device:
                    return None
                if g.shape != shape or g.dtype is not self.dtype or not g.is_contiguous():
                    return None
                found.append(g.data_ptr())
        except (RuntimeError, NotImplementedError):  # a sparse tensor has no such thing as an address
            return None
        return found
