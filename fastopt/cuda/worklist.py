"""The work list on a device: every tensor of a step as rows of integers in device memory, so that a step is one launch.

    streams   int64 (4 + held, tensors)     where p, g and all that is held of a tensor begin; where its blocks begin among all; its slot
    rows      int64 (rows, 3)               tensor, first element, number of elements
    scalars   of the compute dtype          a row for each slot, where there are several, or a CUDA graph is captured (see
                                            `Optimizer.advance`): its scalars, and the direction that its gradients are followed in

A row is what one block of threads works on at a time: a piece of one tensor, of at most `MOST` elements, cut at multiples of
1,024 (and so of the 256 that sums are taken over). One tensor of a thousand million elements and a thousand of a thousand
are the same code.

The lines of the gradients and of the slots change from step to step. `refresh` checks a step's gradients on the host; `place` then
uploads what of the two changed. A slot of -1 is a tensor without a gradient this time, which is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.cuda import Runtime, Shape, arrays
from fastopt.cuda.arrays import DEFAULT_STREAM, DeviceArray
from fastopt.cuda.held import Held
from fastopt.cuda.tensors import Tensors
from fastopt.extents import Extents
from fastopt.host.worklist import not_known
from fastopt.kernel import Kernel

__all__ = ["LEAST", "LEAST_OF_BLOCKS", "MOST", "DeviceWorkList", "cut", "row_length"]

LEAST, LEAST_OF_BLOCKS, MOST = 1_024, 2_048, 8_192
"""Elements of a row: one vector for each of 256 threads at the least, or one block of 256 elements for each of their warps; eight vectors
at the most."""

ROWS_EACH = 8
"""Rows that every multiprocessor should get before rows grow beyond `LEAST`: as many blocks as run there at once."""


def row_length(elements: int, shape: Shape, least: int = LEAST) -> int:
    """How long rows are, so that all multiprocessors have rows and rows are no shorter than they need to be."""
    share = elements // (shape.multiprocessors * ROWS_EACH)
    return min(MOST, max(least, share // least * least))


def cut(sizes: Sequence[int], length: int) -> NDArray[np.int64]:
    """The rows of tensors of these sizes, none longer than `length`, in the order of the tensors."""
    whole = np.array(sizes, np.int64).reshape(-1)
    counts = -(-whole // length)
    tensor = np.repeat(np.arange(len(whole)), counts)
    before = np.cumsum(counts) - counts
    start = (np.arange(len(tensor)) - before[tensor]) * length
    return np.ascontiguousarray(np.stack([tensor, start, np.minimum(length, whole[tensor] - start)], axis=1).astype(np.int64))


class DeviceWorkList:
    """The arrays of one step by one kernel, on one device, laid out for the kernels.

    Parameters are those of `fastopt.host.worklist.WorkList`, but as `DeviceArray`s. Raises ValueError if any two of the arrays
    overlap, or lie on different devices.

    Attributes
    ----------
    absent, slots
        As in `fastopt.host.worklist.WorkList`.
    stream, capture
        The handle of the stream on which the coming step runs, and which capture of a CUDA graph it is in, or None; set by `refresh`.
    streams_at, rows_at, scalars_at
        Where the tables above lie on the device.
    held, holds
        What keeps what launches read, and whether the gradients of the coming step have to be kept there; set by `refresh`.
    captured
        `absent` as it was when a step was captured, or None before that.
    before
        Work lists that make a step together with this one, and choose their stream before it does.
    """

    def __init__(
        self,
        kernel: Kernel,
        params: Sequence[DeviceArray],
        states: Sequence[Sequence[DeviceArray]],
        labels: Sequence[str],
        gradient_labels: Sequence[str],
        first_blocks: Sequence[int],
        runtime: Runtime,
    ) -> None:
        self.kernel = kernel
        self.params, self.states = list(params), [tuple(own) for own in states]
        self.labels, self.gradient_labels = labels, gradient_labels
        self.gradient_dtype, self.compute = kernel.gradient.dtype, np.dtype(kernel.compute)
        written = [array for p, own in zip(self.params, self.states, strict=True) for array in (p, *own)]
        per_tensor = 1 + len(kernel.held)

        def label(index: int) -> str:
            tensor, k = divmod(index, per_tensor)
            return f"state {k - 1} of {labels[tensor]}" if k else labels[tensor]

        self.device = _one_device(written, label)
        sizes = [p.size for p in self.params]
        self.elements = sum(sizes)
        self.runtime = runtime
        self.shape = runtime.shape(self.device)
        self.guard(Extents([a.address for a in written], [a.nbytes for a in written], label))
        self.gradient_bytes = np.array([size * self.gradient_dtype.itemsize for size in sizes], np.int64)
        self.streams = np.zeros((2 + len(kernel.held) + 2, len(self.params)), np.int64)
        self.streams[0] = [p.address for p in self.params]
        for j, own in enumerate(self.states):
            self.streams[2:-2, j] = [s.address for s in own]
        self.streams[-2] = first_blocks
        self.slots = self.streams[-1]
        self.absent = np.zeros(len(self.params) + 1, np.uint8)
        self.captured: NDArray[np.uint8] | None = None
        self.row_length = row_length(self.elements, self.shape, LEAST_OF_BLOCKS if kernel.blocked else LEAST)
        self.rows = cut(sizes, self.row_length)
        self.blocks = min(len(self.rows), self.shape.most_blocks)
        self.before: list[DeviceWorkList] = []
        self._addresses: list[int | None] = []
        self._placed: list[int | None] | None = None
        self._placed_slots: bytes | None = self.slots.tobytes()
        scalars = np.full((len(self.params), kernel.scalar_count + 1), np.nan, self.compute)  # until somebody says what they are
        tables = (self.streams, self.rows, scalars)
        placed = [runtime.allocate(self.device, table.nbytes) for table in tables]
        for (address, _), table in zip(placed, tables, strict=True):
            if table.size:
                runtime.copy_to_device(self.device, address, table)
        self.streams_at, self.rows_at, self.scalars_at = (address for address, _ in placed)
        self.held, self.holds = Held(runtime, self.device, [keeper for _, keeper in placed], written), False
        self.upload = runtime.upload(self.device, max(self.slots.nbytes, scalars[:1].nbytes))
        self._tensors = Tensors.of(self.params, self.gradient_dtype)
        self.named: int | None = None
        self.stream, self.capture = DEFAULT_STREAM, None  # type: int, int | None

    def refresh(self, gradients: Sequence[Any], stream: Any = None) -> None:
        """Takes the gradients of the coming step: checks each, writes down where it lies, and on which stream to run. None is a tensor
        that is left alone.

        Raises TypeError or ValueError naming the gradient that cannot be used. Parameters are looked at again too: one whose
        memory was replaced since (`tensor.data = ...`, `module.to(...)`) is refused. Gradients that earlier steps have read are let go of.
        """
        self.held.release()
        if stream is not None:
            stream = arrays.stream_handle(stream)
        addresses = None if self._tensors is None else self._tensors.addresses(gradients)
        looked_at: Sequence[Any] = ()
        if addresses is None:  # not PyTorch's, or something is wrong with them: one by one, with words for what is wrong
            addresses = [None if g is None else g.address for g in self._views(gradients)]
            looked_at = gradients
        if addresses != self._addresses:
            self._take(addresses)
        self.choose_stream(stream, looked_at)
        self.holds = not self.recording and not self._given_out_in_order(stream, looked_at)

    def _given_out_in_order(self, stream: int | None, gradients: Sequence[Any]) -> bool:
        """Whether the memory of all gradients goes to others in the order of the step's stream only (`fastopt.cuda.held`)."""
        if stream is None:  # then it is theirs, as far as they have one
            return all(g is None or arrays.has_current_stream(g) for g in gradients)
        made = gradients or [self.params[0].owner]  # PyTorch's as the parameters are, where nobody had to look at them
        return all(g is None or (arrays.has_current_stream(g) and arrays.current_stream(g, self.device) == stream) for g in made)

    def _take(self, addresses: list[int | None]) -> None:
        given = [i for i, address in enumerate(addresses) if address is not None]
        starts = [address for address in addresses if address is not None]
        self.extents.refuse(starts, self.gradient_bytes[given], lambda k: self.gradient_labels[given[k]])
        self._addresses = []  # not known, should an interrupt come before all is written down
        if len(given) == len(addresses):
            self.streams[1] = starts
        else:
            self.streams[1, given] = starts
        absent = np.ones(len(addresses), np.uint8)
        absent[given] = 0
        self._come_and_go(absent)
        self._addresses = addresses

    def _come_and_go(self, absent: NDArray[np.uint8]) -> None:
        if (absent != self.absent[:-1]).any():
            self.absent[:-1], self.absent[-1] = absent, 1

    @property
    def gradients_at(self) -> NDArray[np.int64]:
        """Where the gradients begin that were taken last."""
        found: NDArray[np.int64] = self.streams[1]
        return found

    def forget_gradients(self) -> None:
        """Has the next gradients looked at as if none had been taken before."""
        self._addresses = []

    def as_captured(self) -> bool:
        """Takes `absent` as it was when a step was captured, for one that a graph will make; whether it has changed."""
        if self.captured is not None:
            self._come_and_go(self.captured)
            self._addresses = []  # those of the last step do not go with it
        return bool(self.absent[-1])

    def choose_stream(self, stream: Any = None, gradients: Sequence[Any] = ()) -> None:
        """Where the next launch goes: a stream of any kind, or None for the one that the parameters' framework works on, or that of
        the gradients where it has none.

        Raises ValueError for gradients that were made on another one: nothing would make the step wait for them.
        """
        named = self._named_stream(gradients) if stream is None else arrays.stream_handle(stream)
        for other in self.before:
            if named is None:
                named = other.named
            elif other.named is None:
                other._run_on(named)
            elif other.named != named:
                raise ValueError(
                    f"{self.gradient_labels[0]}: expected an array of stream {other.named:#x}, as {other.gradient_labels[0]} is, received "
                    f"one of stream {named:#x}; give step() the stream to run on, and have it wait for the others"
                )
        self._run_on(named)

    def _run_on(self, named: int | None) -> None:
        self.named = named
        self.stream = DEFAULT_STREAM if named is None else named
        self.capture = self.runtime.capture(self.device, self.stream)

    @property
    def recording(self) -> bool:
        """Whether the coming step is captured into a graph, and so not made now."""
        return self.capture is not None

    def _views(self, gradients: Sequence[Any]) -> list[DeviceArray | None]:
        labels, gradient_labels = self._all_labels
        for p, label in zip(self.params, labels, strict=True):
            if p.foreign:
                now = arrays.parameter(p.owner, label)
                if now.address != p.address or now.shape != p.shape or now.strides != p.strides:
                    raise ValueError(f"{label}: expected the array that the optimizer was built with, received it moved or reshaped")
        dtype = self.gradient_dtype
        named = zip(gradients, gradient_labels, self.params, labels, strict=True)
        writes = self.kernel.stages.zeroed
        return [None if g is None else arrays.gradient(g, own_label, p, label, dtype, writes) for g, own_label, p, label in named]

    @cached_property
    def _all_labels(self) -> tuple[list[str], list[str]]:
        """Written out when arrays are first looked at one by one: that takes longer than a step."""
        return list(self.labels), list(self.gradient_labels)

    gather = staticmethod(not_known)
    """The stream is to be chosen at each step: `refresh` does all of it."""

    def guard(self, extents: Extents) -> None:
        """What no gradient may share memory with, from now on: all that a step writes, be it in this list or in others."""
        self.extents = extents

    def _named_stream(self, gradients: Sequence[Any]) -> int | None:
        """The stream on which the framework of the parameters works, or of the gradients where that one has none; None if none does."""
        of_params = arrays.current_stream(self.params[0].owner, self.device)
        streams = [arrays.current_stream(g, self.device) for g in gradients]
        common = next((s for s in (of_params, *streams) if s is not None), None)
        for i, s in enumerate(streams):
            if s is not None and s != common:
                raise ValueError(
                    f"{self.gradient_labels[i]}: expected an array of stream {common:#x}, received one of stream {s:#x}; "
                    "give step() the stream to run on, and have it wait for the others"
                )
        return common

    def place(self) -> None:
        """Brings the gradients' addresses and the tensors' slots to the device, on the step's stream, where they are not what it has.

        A captured graph brings its own addresses at every replay, since a step outside it may have brought others; and once one was
        captured, what the device has is not known any more, so every step brings them. Slots are brought by `Optimizer.advance` then.
        """
        if not self.recording:
            self.place_slots()
        known = self._placed is not None and self.captured is None and not self.recording
        if known and self._placed is self._addresses:
            return
        now, first, last = self.streams[1], 0, len(self._addresses)
        if known:
            changed = [i for i, (a, b) in enumerate(zip(self._placed or (), self._addresses, strict=True)) if a != b]
            first, last = (changed[0], changed[-1] + 1) if changed else (0, 0)
        self._placed = None  # not known, should an interrupt come between the upload and the word of it
        if last > first:
            self.upload(self.streams_at + now.nbytes + first * now.itemsize, now[first:last], self.stream, self.recording)
        self._placed = self._addresses

    def place_slots(self) -> None:
        """Brings the tensors' slots, where they are not what the device has."""
        now = self.slots.tobytes()  # compared with by a microsecond less than arrays are
        if now != self._placed_slots:
            first, last = 0, len(self.slots)
            if self._placed_slots is not None:
                changed = np.flatnonzero(self.slots != np.frombuffer(self._placed_slots, np.int64))
                first, last = int(changed[0]), int(changed[-1]) + 1
            self._placed_slots = None  # as above
            at = self.streams_at + (len(self.streams) - 1) * self.slots.nbytes + first * self.slots.itemsize
            self.upload(at, self.slots[first:last], self.stream, False)
            self._placed_slots = now

    def bring(self, rows: NDArray[Any]) -> None:
        """Brings the first rows of the table of scalars."""
        self.upload(self.scalars_at, rows.reshape(-1), self.stream, False)


def _one_device(written: Sequence[DeviceArray], label: Callable[[int], str]) -> int:
    """The device of all that have elements (an array without any may not say)."""
    found = [(array.device, i) for i, array in enumerate(written) if array.size]
    for device, i in found[1:]:
        if device != found[0][0]:
            raise ValueError(f"{label(i)} lies on cuda:{device}, {label(found[0][1])} on cuda:{found[0][0]}: expected arrays on one device")
    return found[0][0] if found else max(0, *(array.device for array in written))
