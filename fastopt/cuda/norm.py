"""Clipping by the gradients' global norm on a device, which is never waited for: the update reads what the device has computed.

A clipped step takes its scalars from the table in device memory, also where there is one slot; before it, on the same stream, the kernels
of `fastopt.cuda.norm_source` sum squares over all work lists of the plan and put the gradients' factor into the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from fastopt.cuda.norm_source import PARTS, clip_source, fold_source, squares_source
from fastopt.cuda.source import PRIMITIVES
from fastopt.cuda.worklist import DeviceWorkList
from fastopt.global_norm import BLOCK
from fastopt.slots import Slot

__all__ = ["Clipping", "Norm"]

INT64, FLOAT64 = np.dtype(np.int64), np.dtype(np.float64)


class _Runner(Protocol):
    work: DeviceWorkList

    def bring(self, slots: Sequence[Slot], grad_scale: float) -> None:
        """Brings what the kernels read: the gradients' addresses, the slots, and the table of scalars."""


class Norm:
    """The norm that the last clipped step has found: a number on the device. `calls` launch what finds it, before that step."""

    def __init__(self, runtime: Any, device: int) -> None:
        self.runtime, self.device = runtime, device
        self.calls: list[Callable[[], Any]] = []
        self.address, self.owner = runtime.allocate(device, FLOAT64.itemsize)

    def read(self) -> float:
        """Waits for the device, and fetches it."""
        found = np.empty(1)
        self.runtime.copy_to_host(self.device, found, self.address)
        return float(found[0])


class Clipping:
    """What clips the gradients of some work lists, which make a step together.

    `blocks` is how many blocks of 256 elements their tensors have, in the order of the parameters.
    """

    def __init__(self, works: Sequence[DeviceWorkList], blocks: int) -> None:
        self.works = [work for work in works if work.blocks]
        first = works[0] if not self.works else self.works[0]
        self.runtime, self.device, self.shape = first.runtime, first.device, first.shape
        self.counts = [blocks]
        while self.counts[-1] > 1:
            self.counts.append(-(-self.counts[-1] // BLOCK))
        # each fold reads what the one before it wrote, so two places are enough
        sizes = [max(count, 1) * PARTS * FLOAT64.itemsize for count in (*self.counts, 1)[:2]]
        self._held = [self.runtime.allocate(self.device, size) for size in sizes]
        self.scale_at, self._scale = self.runtime.allocate(self.device, FLOAT64.itemsize)
        self.upload = self.runtime.upload(self.device, FLOAT64.itemsize)
        self.norm = Norm(self.runtime, self.device)
        self.squares = [self._load(squares_source(work.kernel.gradient, PRIMITIVES), (INT64,) * 6) for work in self.works]
        self.fold = self._load(fold_source(PRIMITIVES), (INT64,) * 3)
        arguments = (INT64,) * 3 + (FLOAT64,) * 2 + (INT64,) * 3
        self.clip = [self._load(clip_source(work.kernel.compute, PRIMITIVES), arguments) for work in self.works]

    def _load(self, source: tuple[str, str], parameters: tuple[np.dtype[Any], ...]) -> Any:
        return self.runtime.load(*source, parameters, self.device)

    def __call__(self, batches: Sequence[tuple[_Runner, Sequence[Slot]]], grad_scale: float, max_norm: float) -> Norm:
        """Gets ready what clips a step: the calls that put its tables in order, on the stream that its work lists have chosen.

        They are made with those of the step (`fastopt.uninterrupted`), or recorded with them during a capture.
        """
        self.norm.calls = calls = []
        for runner, slots in batches:
            runner.bring(slots, grad_scale)
        if not self.works:
            return self.norm  # of nothing, and so 0
        stream, recording = self.works[0].stream, self.works[0].recording
        places = [address for address, _ in self._held]
        for work, squares in zip(self.works, self.squares, strict=True):
            threads = min(self.shape.threads, work.row_length // (BLOCK // PARTS))
            tables = work.streams_at, len(work.params), work.rows_at, len(work.rows), len(work.streams)
            calls.append(squares.ready(work.blocks, threads, stream, (*tables, places[0])))
        for count, sums in pairwise(self.counts):
            calls.append(self.fold.ready(*self._grid(sums * PARTS), stream, (places[0], count, places[1])))
            places.reverse()
        scale_at = self.scale_at if recording else 0
        numbers = np.float64(max_norm), np.float64(grad_scale)
        slots_of = {id(runner.work): len(slots) for runner, slots in batches}
        for work, clip in zip(self.works, self.clip, strict=True):
            rows = slots_of[id(work)]
            table = work.scalars_at, work.kernel.scalar_count, rows
            calls.append(clip.ready(*self._grid(max(rows, 1)), stream, (places[0], self.norm.address, scale_at, *numbers, *table)))
        return self.norm

    def _grid(self, threads: int) -> tuple[int, int]:
        """Blocks, and threads of each, for so many in all; the kernels' loops make up for blocks that there cannot be."""
        return min(self.shape.most_blocks, -(-threads // self.shape.threads)), self.shape.threads

    def advance(self, grad_scale: float) -> None:
        """Brings what the gradients of the coming replay are scaled by."""
        if self.works:
            self.upload(self.scale_at, np.array([grad_scale]), self.works[0].stream, False)
