"""The `cuda` backend: a kernel launched once a step, over all tensors that it is for.

A step launches on the caller's stream and returns; it never waits for the device, and what it reads is held until that is done
(`fastopt.cuda.held`). While a CUDA graph is being captured it
records a launch that reads its scalars from device memory, which `Optimizer.advance` fills before each replay.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.cuda import runtime
from fastopt.cuda.arrays import torch_tensor
from fastopt.cuda.norm import Norm
from fastopt.cuda.source import PRIMITIVES, kernel_source
from fastopt.cuda.worklist import DeviceWorkList
from fastopt.host import threads
from fastopt.kernel import Kernel
from fastopt.rules.entry import PROLOGUE_SCALARS
from fastopt.slots import Slot

__all__ = ["CudaRunner", "kernel_address", "prepare", "thread_count", "unavailable"]


def unavailable() -> str | None:
    """Why this backend cannot be used, or None if it can."""
    return runtime().unavailable()


def thread_count(num_threads: int | None) -> int:
    """1: one thread of the host launches. Raises ValueError if more are asked for."""
    return threads.only_one(num_threads, "a step on a device is launched by one thread of the host")


def kernel_address(kernel: Kernel) -> None:
    """None: a kernel on a device is not called by its address."""
    return None


def prepare(kernel: Kernel, work: DeviceWorkList) -> CudaRunner:
    """Gets a kernel ready for a work list: compiled at its first use, for the device at hand."""
    return CudaRunner(kernel, work)


class CudaRunner:
    """Steps of one kernel over one work list."""

    at_once = None

    def __init__(self, kernel: Kernel, work: DeviceWorkList) -> None:
        self.kernel, self.work = kernel, work
        parameters = (np.dtype(np.int64),) * 5 + (work.compute,) * kernel.scalar_count
        self.update = work.runtime.load(kernel_source(kernel, PRIMITIVES), kernel.name, parameters, work.device)
        self.tables = work.streams_at, len(work.params), work.rows_at, len(work.rows)
        self.unread = np.zeros(kernel.scalar_count, work.compute)
        """In the place of the scalars, where the kernel reads a table."""
        self.captured: set[int] = set()
        tensors = [(i, p.owner) for i, p in enumerate(work.params) if p.foreign and torch_tensor(p.owner)]
        self.tensors = [(i, tensor) for i, tensor in tensors if not tensor.is_inference()]  # those keep no version

    def around(self) -> AbstractContextManager[Any]:
        """The calling thread has to be on the device."""
        on: AbstractContextManager[Any] = self.work.runtime.on(self.work.device)
        return on

    def ready(self, gradients: Sequence[Any], slots: Sequence[Slot], grad_scale: float, clip: float | Norm) -> list[Callable[[], Any]]:
        """The calls that launch a step on the gradients and the stream that the work list was refreshed with; or record it, in a capture.

        With a norm, its factor is in the table already (`fastopt.cuda.norm.Clipping`), and so is all that `bring` brings.
        """
        work = self.work
        scalars_at, scalars = work.scalars_at, self.unread
        if not isinstance(clip, Norm) and len(slots) == 1 and not work.recording:
            work.place()
            scalars_at, scalars = 0, self._rows(slots, grad_scale, clip)[0, :-1]
        elif not isinstance(clip, Norm):
            self.bring(slots, grad_scale, clip)
        self._tell_autograd(gradients)
        calls: list[Callable[[], Any]] = []
        if work.blocks:
            calls.append(self.update.ready(work.blocks, work.shape.threads, work.stream, (*self.tables, scalars_at, *scalars)))
            if work.holds:
                calls += work.held.until_done(gradients, work.stream)
        if work.capture is not None:
            calls.append(partial(self.captured.add, work.capture))
            calls.append(partial(setattr, work, "captured", work.absent[:-1].copy()))
        return calls

    def bring(self, slots: Sequence[Slot], grad_scale: float, clip: float = 1.0) -> None:
        """Brings what the kernel reads: gradients' addresses, slots, and the table of scalars, which `advance` brings to a graph."""
        work = self.work
        if work.recording and slots:
            self._refuse_capture(grad_scale)
        work.place()
        if slots and not work.recording:
            work.bring(self._rows(slots, grad_scale, clip))

    def _refuse_capture(self, grad_scale: float) -> None:
        work = self.work
        if grad_scale != 1.0:
            raise ValueError(f"grad_scale: expected 1 while a graph is captured (advance() takes that of a replay), received {grad_scale}")
        if work.capture in self.captured:
            raise RuntimeError("step: expected one step in the capture of a graph, whose scalars advance() sets; received a second one")
        if work.captured is not None and (work.captured != work.absent[:-1]).any():
            raise RuntimeError("step: expected gradients for the same parameters as in the step that was captured before")

    def _rows(self, slots: Sequence[Slot], grad_scale: float, clip: float) -> NDArray[Any]:
        """The table of scalars: a row for each slot, and behind its scalars the direction that its gradients are followed in."""
        with np.errstate(all="ignore"):  # a scalar beyond float32 is an infinity, as in the other backends
            rows = [(*slot.all_scalars(grad_scale, clip, self.kernel.draws), slot.settings.direction) for slot in slots]
            table = np.array(rows, self.work.compute)
        if table.shape[1] != self.kernel.scalar_count + 1:
            expected, received = self.kernel.scalar_count - PROLOGUE_SCALARS, table.shape[1] - 1 - PROLOGUE_SCALARS
            raise ValueError(f"scalars: expected {expected} of the rule, received {received}")
        return table

    def _tell_autograd(self, gradients: Sequence[Any]) -> None:
        """That the parameters are written to, and gradients that are left as 0: it looks at a tensor's version for that."""
        if self.tensors:
            absent = self.work.absent
            written = [tensor for i, tensor in self.tensors if not absent[i]] if absent.any() else [tensor for _, tensor in self.tensors]
            if self.kernel.stages.zeroed:
                written += [g for g in gradients if g is not None and torch_tensor(g) and not g.is_inference()]
            sys.modules["torch"].autograd.graph.increment_version(written)

    def advance(self, slots: Sequence[Slot], grad_scale: float) -> None:
        """Brings a step's scalars to where captured steps read them, on the stream that the work list has chosen."""
        work = self.work
        if work.recording:
            raise RuntimeError("advance: expected a stream that no graph is being captured on; call it before each replay")
        if not self.captured:
            raise RuntimeError("advance: expected a step that was captured in a CUDA graph before, with the weight decay of the same kind")
        work.held.release()
        work.bring(self._rows(slots, grad_scale, 1.0))
        work.place_slots()
