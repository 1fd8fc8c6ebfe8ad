"""The work list: every tensor of a step as rows of plain integers, so that a step is one call into compiled code.

    addresses   int64 (tensors, 4 + states)   where p, g, each state of a tensor and then its scales and its correction, if it has some,
                                              begin; where its blocks begin among all; its slot
    rows        int64 (rows, 3)               tensor, first element, number of elements
    serial      int64 (1, 2)                  all rows, for one thread: from, to (not included)
    parallel    int64 (threads, 2)            each thread's rows
    pieces      int64 (threads * PIECES, 2)   the same shares in pieces, for threads that help each other out

A row ends where its tensor ends or where a piece does, which are equal parts of all elements, so one tensor of 64
million elements and a thousand of 1,000 are the same code, with few rows. Pieces are cut at multiples of 256 elements
within a tensor, which keeps threads off each other's cache lines, and of 512 where states are stored by blocks of 256.

The slot says which row of the table of scalars a tensor takes; -1 is a tensor without a gradient this time, which is left alone.

Only the gradients' column changes from step to step: `refresh` checks the new gradients and writes their addresses,
in compiled code where it was built (`fastopt.host._gather`): 10 to 50 us for a thousand tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.extents import Extents
from fastopt.host import arrays
from fastopt.kernel import Kernel

try:
    from fastopt.host._gather import Gatherer, addresses
except ImportError:  # no compiler at hand when fastopt was installed: `refresh` checks in Python then
    Gatherer = None

    def addresses(arrays: Sequence[Array]) -> NDArray[np.int64]:
        """Where the arrays begin."""
        return np.array([array.ctypes.data for array in arrays], np.int64)


__all__ = ["BLOCK", "PAIR", "PIECES", "WorkList", "addresses", "not_known"]

BLOCK = 256
"""Rows begin at multiples of this many elements."""

PAIR = 2 * BLOCK
"""The same where states are stored by blocks, which kernels take two by two: what is less of them at a row's end takes as long as both."""

PIECES = 8
"""Into how many pieces a thread's share is cut, so that another can take some of it over."""

Array = NDArray[Any]


def not_known(gradients: Sequence[Any]) -> int:
    """The answer of a work list that cannot look at gradients quickly: 0."""
    return 0


class WorkList:
    """The arrays of one step by one kernel, laid out for the backends.

    Parameters
    ----------
    kernel
        Says how the arrays lie in memory.
    params
        Dense, writeable arrays of the kernel's dtype for parameters.
    states
        For each parameter, its state arrays: of its shape and layout, in the order of the rule; then what else is kept (`Kernel.held`).
    labels, gradient_labels
        What to call each parameter and each gradient in an error.
    threads
        How many threads share the work at the most.
    first_blocks
        For each parameter, where its blocks of 256 elements begin among all that a reduction goes over.

    Attributes
    ----------
    absent
        Of each tensor, whether the coming step has no gradient for it; the element behind the last one, whether that has changed since
        somebody last set it to 0 and gave each tensor its slot (`slots`).

    Raises ValueError if any two of the arrays overlap.
    """

    recording = False
    """Whether a step is captured instead of made, as it can be on a device."""

    by_team = False
    """Whether the threads that do it are those of the team (`host/team.h`), where there is one."""

    gather: Callable[[list[Any]], int] = staticmethod(not_known)
    """Whether these gradients can all be used as they lie, and then their addresses are written down, and `absent`; 0: ask `refresh`."""

    def __init__(
        self,
        kernel: Kernel,
        params: Sequence[Array],
        states: Sequence[Sequence[Array]],
        labels: Sequence[str],
        gradient_labels: Sequence[str],
        threads: int,
        first_blocks: Sequence[int],
    ) -> None:
        self.kernel = kernel
        self.params = list(params)
        self.states = list(states)
        self.labels = labels
        self.gradient_labels = gradient_labels
        self.threads = threads
        self.gradient_dtype = kernel.gradient.dtype
        sizes = [p.size for p in self.params]
        self.elements = sum(sizes)
        self._shapes = [p.shape for p in self.params]
        per_tensor = 1 + len(kernel.held)
        written = addresses([array for p, own in zip(self.params, self.states, strict=True) for array in (p, *own)])
        self.addresses = np.zeros((len(self.params), 1 + per_tensor + 2), np.int64)
        self.addresses[:, 0] = written[::per_tensor]
        for k in range(1, per_tensor):
            self.addresses[:, 1 + k] = written[k::per_tensor]
        self.addresses[:, -2] = first_blocks
        self.slots = self.addresses[:, -1]
        self.absent = np.zeros(len(self.params) + 1, np.uint8)
        self.rows, self.pieces = _cut(sizes, threads * PIECES, PAIR if kernel.blocked else BLOCK)
        self.serial = np.array([[0, len(self.rows)]], np.int64)

        def label(index: int) -> str:
            tensor, k = divmod(index, per_tensor)
            return f"state {k - 1} of {labels[tensor]}" if k else labels[tensor]

        self.guard(Extents(written, _lengths(kernel, np.array(sizes, np.int64)[:, None]), label))

    @cached_property
    def parallel(self) -> NDArray[np.int64]:
        """Each thread's rows; asked for only where nobody helps others out."""
        return np.stack([self.pieces[::PIECES, 0], self.pieces[PIECES - 1 :: PIECES, 1]], axis=1)

    def guard(self, extents: Extents) -> None:
        """What no gradient may share memory with, from now on: all that a step writes, be it in this list or in others."""
        self.extents = extents
        if Gatherer is not None:
            number = self.gradient_dtype.num
            writes = self.kernel.stages.zeroed
            self.gather = Gatherer(self.params, number, writes, self.addresses, self.absent, extents.low, extents.high)

    @property
    def gradients_at(self) -> NDArray[np.int64]:
        """Where the gradients begin that were taken last."""
        return self.addresses[:, 1]

    @cached_property
    def gradient_bytes(self) -> NDArray[np.int64]:
        """The bytes of each."""
        return np.array([p.size * self.gradient_dtype.itemsize for p in self.params], np.int64)

    def forget_gradients(self) -> None:
        """Has the next gradients looked at as if none had been taken before."""
        self.addresses[:, 1] = 0

    def refresh(self, gradients: list[Any], stream: None = None) -> None:
        """Takes the gradients of the coming step: checks each, and writes down where it lies. None is a tensor that is left alone.

        Raises TypeError or ValueError naming the gradient that cannot be used. Parameters are looked at again too:
        one that was resized or made read-only since is refused. In host memory there are no streams.
        """
        if stream is not None:
            raise TypeError(f"stream: expected None for arrays in host memory, received {stream!r}")
        if self.gather(gradients):
            return
        for i, (g, p) in enumerate(zip(gradients, self.params, strict=True)):
            arrays.parameter(p, self.labels[i])
            if p.ctypes.data != self.addresses[i, 0] or p.shape != self._shapes[i]:
                raise ValueError(f"{self.labels[i]}: expected the array that the optimizer was built with, received it moved or reshaped")
            if g is not None:
                arrays.gradient(g, self.gradient_labels[i], p, self.labels[i], self.gradient_dtype, self.kernel.stages.zeroed)
        given = [i for i, g in enumerate(gradients) if g is not None]
        starts = addresses([gradients[i] for i in given])
        self.extents.refuse(starts, [gradients[i].nbytes for i in given], lambda k: self.gradient_labels[given[k]])
        self.addresses[given, 1] = starts
        absent = np.array([g is None for g in gradients], np.uint8)
        if (absent != self.absent[:-1]).any():
            self.absent[:-1], self.absent[-1] = absent, 1


def _lengths(kernel: Kernel, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes of each array that a step writes: parameters, states, scales and corrections, of tensors of these sizes, a row each."""
    written = [array for array in kernel.arrays if array.stream != "g"]
    blocks = -(-sizes // BLOCK)
    return np.concatenate([(blocks if array.of_blocks else sizes) * array.itemsize for array in written], axis=1)


def _cut(sizes: Sequence[int], parts: int, block: int = BLOCK) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows, which begin at multiples of `block` elements, and each part's range of them."""
    share = -(-sum(sizes) // parts)
    share = -(-share // block) * block
    rows: list[tuple[int, int, int]] = []
    bounds = [0]
    room = share
    for tensor, size in enumerate(sizes):
        start = 0
        while start < size:
            length = size - start
            if length > room:  # the part ends inside this tensor
                length = min(length, max(block, room // block * block))
                room = length
            rows.append((tensor, start, length))
            start += length
            room -= length
            if room <= 0 and len(bounds) < parts:
                bounds.append(len(rows))
                room = share
    bounds += [len(rows)] * (parts + 1 - len(bounds))
    return np.array(rows, np.int64).reshape(-1, 3), np.array([bounds[:-1], bounds[1:]], np.int64).T.copy()
