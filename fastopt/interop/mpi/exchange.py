"""Parameters cut among ranks, and the two exchanges of a step: sums of gradients to whom they belong, and parameters to everybody.

All parameters, one behind the other, are cut at multiples of 256 elements of a parameter, where sums of squares are cut too
(`fastopt.global_norm`), so that each rank has about as many elements. Of every parameter a rank has one range, which may be empty.

MPI's own reduction may add up in any order, and in another one at every size. Here each rank is sent all ranks' values for its elements
and adds them up in the order of the ranks: r0 + r1 + r2 + ..., in the gradients' dtype. What is sent is as much as of a ring.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fastopt import layout
from fastopt.global_norm import BLOCK

__all__ = ["Cut", "Exchange", "Lane", "Span", "flat"]

Array = NDArray[Any]
Span = tuple[int, int]


def flat(array: Array) -> Array:
    """A dense array's elements in the order of memory: a view of one dimension."""
    return array.reshape(-1) if array.flags.c_contiguous else layout.flat(array)


class Cut:
    """Which elements of arrays of these sizes belong to which of so many ranks."""

    def __init__(self, sizes: Sequence[int], ranks: int) -> None:
        self.sizes = np.array(sizes, np.int64)
        blocks = -(-self.sizes // BLOCK)
        self.first_blocks = np.cumsum(blocks) - blocks
        before = np.repeat(np.cumsum(self.sizes) - self.sizes, blocks)  # the elements before each block
        within = np.arange(len(before)) - np.repeat(self.first_blocks, blocks)
        before += BLOCK * within
        total = int(self.sizes.sum())
        targets = [total * rank // ranks for rank in range(ranks)]
        self.blocks = [*np.searchsorted(before, targets).tolist(), len(before)]

    def before(self, rank: int) -> NDArray[np.int64]:
        """How many elements of each array belong to the ranks before one."""
        found: NDArray[np.int64] = np.clip((self.blocks[rank] - self.first_blocks) * BLOCK, 0, self.sizes)
        return found

    def own(self, rank: int) -> list[Span]:
        """The range of each array that belongs to a rank."""
        return list(zip(self.before(rank).tolist(), self.before(rank + 1).tolist(), strict=True))


class Lane:
    """Arrays of one dtype, one behind the other: a vector, of which each rank has a range.

    Attributes
    ----------
    starts
        Where the ranks' ranges begin in the vector, and where the last one ends.
    """

    def __init__(self, cut: Cut, positions: Sequence[int], dtype: np.dtype[Any], ranks: int) -> None:
        self.positions, self.dtype = list(positions), dtype
        self.starts = [int(cut.before(rank)[self.positions].sum()) for rank in range(ranks + 1)]

    def rounds(self, most: int) -> Iterator[list[Span]]:
        """The ranges of all ranks, in parts of at most so many bytes together (or of one element a rank)."""
        width = max(1, most // (self.dtype.itemsize * (len(self.starts) - 1)))
        longest = max(end - start for start, end in pairwise(self.starts))
        for k in range(0, longest, width):
            yield [(min(start + k, end), min(start + k + width, end)) for start, end in pairwise(self.starts)]


class Vector:
    """Arrays of one dimension, one behind the other, the first one beginning at `start`."""

    def __init__(self, arrays: Sequence[Array], start: int = 0) -> None:
        self.arrays = arrays
        self.offsets = list(accumulate((len(array) for array in arrays), initial=start))

    def parts(self, span: Span) -> Iterator[tuple[Array, Span]]:
        """The parts of arrays that lie in a range, and where each of them lies in it."""
        begin, end = span
        at = begin
        k = bisect_right(self.offsets, begin) - 1
        while at < end:
            upto = min(self.offsets[k + 1], end)
            yield self.arrays[k][at - self.offsets[k] : upto - self.offsets[k]], (at - begin, upto - begin)
            at, k = upto, k + 1

    def read(self, span: Span, out: Array) -> None:
        """Copies a range."""
        for part, (begin, end) in self.parts(span):
            out[begin:end] = part

    def write(self, span: Span, values: Array) -> None:
        """Takes values for a range."""
        for part, (begin, end) in self.parts(span):
            part[:] = values[begin:end]


class Exchange:
    """What ranks send each other, in rounds of at most so many bytes, each of which is copied to where it can be sent from.

    Parameters
    ----------
    comm
        The communicator.
    most
        Bytes of a round. Two arrays of so many bytes are held, whatever the number of ranks.
    """

    def __init__(self, comm: Any, most: int) -> None:
        self.comm, self.most = comm, most
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self._buffers = [np.empty(0, np.uint8), np.empty(0, np.uint8)]

    def _buffer(self, which: int, elements: int, dtype: np.dtype[Any]) -> Array:
        count = elements * dtype.itemsize
        if len(self._buffers[which]) < count:
            self._buffers[which] = np.empty(count, np.uint8)
        return self._buffers[which][:count].view(dtype)

    def reduce(self, lane: Lane, arrays: Sequence[Array], out: Array) -> None:
        """Adds up all ranks' arrays in the order of the ranks; the own range of the sum comes to lie in `out`."""
        vector, done = Vector(arrays), 0
        for spans in lane.rounds(self.most):
            counts = [end - begin for begin, end in spans]
            own = counts[self.rank]
            sent, received = self._buffer(0, sum(counts), lane.dtype), self._buffer(1, own * self.size, lane.dtype)
            for (begin, end), at in zip(spans, accumulate(counts, initial=0), strict=False):
                vector.read((begin, end), sent[at : at + end - begin])
            self.comm.Alltoallv(_message(sent, counts), _message(received, [own] * self.size))
            rows, target = received.reshape(self.size, own), out[done : done + own]
            target[:] = rows[0]
            with np.errstate(all="ignore"):  # an infinity is for the step to look at, or not
                for row in rows[1:]:
                    np.add(target, row, out=target)
            done += own

    def collect(self, lane: Lane, own: Sequence[Array], into: Sequence[Array] | None, root: int | None = None) -> None:
        """Writes all ranks' ranges, whose own one `own` has, into whole arrays: everybody's, or those of the root."""
        mine = Vector(own, lane.starts[self.rank])
        everything = None if into is None else Vector(into)
        for spans in lane.rounds(self.most):
            counts = [end - begin for begin, end in spans]
            sent = self._buffer(0, counts[self.rank], lane.dtype)
            mine.read(spans[self.rank], sent)
            if everything is None:
                self.comm.Gatherv(_bytes(sent), None, root)
                continue
            received = self._buffer(1, sum(counts), lane.dtype)
            if root is None:
                self.comm.Allgatherv(_bytes(sent), _message(received, counts))
            else:
                self.comm.Gatherv(_bytes(sent), _message(received, counts), root)
            for span, at in zip(spans, accumulate(counts, initial=0), strict=False):
                everything.write(span, received[at : at + span[1] - span[0]])


def _bytes(array: Array) -> list[Any]:
    """As MPI takes an array whose dtype it may not know."""
    return [array.view(np.uint8), MPI.BYTE]


def _message(array: Array, counts: Sequence[int]) -> list[Any]:
    sizes = [count * array.itemsize for count in counts]
    return [array.view(np.uint8), sizes, list(accumulate(sizes[:-1], initial=0)), MPI.BYTE]
