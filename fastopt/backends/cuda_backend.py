"""The `cuda` backend: a rule's kernel launched once a step, over all tensors of one dtype on a device.

A step launches on the caller's stream and returns; it never waits for the device. While a CUDA graph is being captured it
records a launch that reads its scalars from device memory, which `Optimizer.advance` fills before each replay.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import threads
from fastopt.cuda import runtime, simulated
from fastopt.cuda.arrays import torch_tensor
from fastopt.cuda.source import kernel_source
from fastopt.cuda.worklist import DeviceWorkList
from fastopt.rules.entry import Rule
from fastopt.settings import Settings
from fastopt.transcribe import loop_body

__all__ = ["CudaRunner", "kernel_address", "prepare", "thread_count", "unavailable"]


def unavailable() -> str | None:
    """Why this backend cannot be used, or None if it can."""
    return runtime().unavailable()


def thread_count(num_threads: int | None) -> int:
    """1: one thread of the host launches. Raises ValueError if more are asked for."""
    return threads.only_one(num_threads, "a step on a device is launched by one thread of the host")


def kernel_address(rule: Rule, coupled: bool, dtype: str) -> None:
    """None: a kernel on a device is not called by its address."""
    return None


def prepare(rule: Rule, coupled: bool, work: DeviceWorkList) -> CudaRunner:
    """Gets the kernel of a rule for a work list: compiled at its first use, for the device at hand."""
    return CudaRunner(rule, coupled, work)


class CudaRunner:
    """Steps of one rule over one work list."""

    def __init__(self, rule: Rule, coupled: bool, work: DeviceWorkList) -> None:
        self.rule, self.work = rule, work
        body = loop_body(rule, coupled)
        source = kernel_source(body, work.dtype.name, "fastopt.cuda.simulator" if simulated() else "fastopt.cuda.toolchain")
        parameters = (np.dtype(np.int64),) * 5 + (work.dtype,) * len(body.scalars)
        self.kernel = work.runtime.load(source, body.name, parameters, work.device)
        self.tables = work.streams_at, len(work.params), work.rows_at, len(work.rows)
        self.captured: set[int] = set()
        tensors = [p.owner for p in work.params if p.foreign and torch_tensor(p.owner)]
        self.tensors = [tensor for tensor in tensors if not tensor.is_inference()]  # those keep no version

    def run(self, gradients: Sequence[Any], step: int, settings: Settings, grad_scale: float) -> None:
        """One step, on the gradients and the stream that the work list was refreshed with; or its record, during a capture."""
        work = self.work
        if work.capture is None:
            work.place()
            self._launch(0, self._scalars(step, settings, grad_scale))
        else:
            self._refuse_capture(work.capture, grad_scale)
            work.place()
            self._launch(work.scalars_at, self._scalars(step, settings, grad_scale))
            self.captured.add(work.capture)
        if self.tensors:  # autograd looks at a tensor's version to see whether it was written to
            sys.modules["torch"].autograd.graph.increment_version(self.tensors)

    def _refuse_capture(self, capture: int, grad_scale: float) -> None:
        if grad_scale != 1.0:
            raise ValueError(f"grad_scale: expected 1 while a graph is captured (advance() takes that of a replay), received {grad_scale}")
        if capture in self.captured:
            raise RuntimeError("step: expected one step in the capture of a graph, whose scalars advance() sets; received a second one")

    def _scalars(self, step: int, settings: Settings, grad_scale: float) -> NDArray[Any]:
        with np.errstate(all="ignore"):  # a scalar beyond float32 is an infinity, as in the other backends
            return np.array(settings.scalars(self.rule, step, grad_scale), self.work.dtype)

    def _launch(self, scalars_at: int, scalars: NDArray[Any]) -> None:
        work = self.work
        if work.blocks:
            self.kernel(work.blocks, work.shape.threads, work.stream, (*self.tables, scalars_at, *scalars))

    def advance(self, step: int, settings: Settings, grad_scale: float) -> None:
        """Brings a step's scalars to where captured steps read them, on the stream that the work list has chosen."""
        work = self.work
        if work.capture is not None:
            raise RuntimeError("advance: expected a stream that no graph is being captured on; call it before each replay")
        if not self.captured:
            raise RuntimeError("advance: expected a step that was captured in a CUDA graph before, with the weight decay of the same kind")
        work.upload(work.scalars_at, self._scalars(step, settings, grad_scale), work.stream, False)
