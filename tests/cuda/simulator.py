"""Numba's CUDA simulator in the place of a GPU (NUMBA_ENABLE_CUDASIM=1): the kernels' own source, run as Python, thread by thread.

It checks what a GPU would not say: that every address lies within memory that was allocated, that vectors are aligned, that no two
threads write to one place in a launch, and that no operation mixes float32 with float64. It is slow, and has no streams.

This module stands for `fastopt.cuda.driver`, the device, and `simulated_primitives` for `fastopt.cuda.primitives`, of which the kernels'
source imports what it calls. It is to be imported before anything in the process imports either.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache as once
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastopt.cuda
from tests.cuda import simulated_primitives
from tests.cuda.simulated_launch import heap, launch


def unavailable() -> str | None:
    """None: the simulator comes with numba-cuda and takes no GPU."""
    return None if importlib.util.find_spec("numba_cuda") else "numba-cuda is not installed: pip install 'fastopt[cuda]'"


def describe(device: int) -> str:
    """The device in words."""
    return "Numba's CUDA simulator (NUMBA_ENABLE_CUDASIM=1)"


@dataclass(frozen=True)
class SimulatedShape:
    """A small device, since each of its threads is a thread of Python: a warp to a block."""

    multiprocessors: int = 2
    most_blocks: int = 3
    threads: int = simulated_primitives.WARP


def shape(device: int) -> SimulatedShape:
    """The simulated device's launch shapes."""
    return SimulatedShape()


class _Memory:
    def __init__(self, size: int) -> None:
        self.address, self.buffer = heap.allocate(size)

    def __del__(self) -> None:
        heap.starts.remove(self.address)
        del heap.sizes[self.address]


def device_of(address: int) -> int:
    """0: there is one device."""
    heap.check(address, 0)
    return 0


def allocate(device: int, size: int) -> tuple[int, object]:
    """Zeroed memory: its address, and the object that keeps it."""
    memory = _Memory(size)
    return memory.address, memory


def copy_to_device(device: int, address: int, values: NDArray[Any]) -> None:
    """Copies contiguous values into memory of the device."""
    ctypes.memmove(heap.check(address, values.nbytes), values.ctypes.data, values.nbytes)


def copy_to_host(device: int, values: NDArray[Any], address: int) -> None:
    """The other way."""
    ctypes.memmove(values.ctypes.data, heap.check(address, values.nbytes), values.nbytes)


def copying_to_device(device: int, copies: Sequence[tuple[int, NDArray[Any]]]) -> list[Callable[[], Any]]:
    """The calls that do the first for each of several."""
    return [partial(copy_to_device, device, address, values) for address, values in copies]


def synchronize(device: int) -> None:
    """Nothing: the simulator does everything when it is asked to."""


def event(device: int) -> None:
    """Nothing: all that a stream was asked for has happened."""


def recording(event: None, stream: int) -> Callable[[], Any]:
    """A call that does nothing."""
    return int


def happened(device: int, events: Iterable[None]) -> int:
    """All of them."""
    return len(list(events))


def wait_for(device: int, events: Iterable[None]) -> None:
    """Nothing to wait for."""


class Upload:
    """Copies at once: the simulator does everything when it is asked to."""

    def __call__(self, address: int, values: NDArray[Any], stream: int, capturing: bool) -> None:
        """Copies the values to an address."""
        copy_to_device(0, address, np.ascontiguousarray(values))


def upload(device: int, capacity: int) -> Upload:
    """A way for small data."""
    return Upload()


def on(device: int) -> AbstractContextManager[None]:
    """There is one device."""
    return nullcontext()


def capture(device: int, stream: int) -> int | None:
    """None: the simulator has no graphs."""
    return None


class SimulatedKernel:
    """A kernel for the simulator."""

    def __init__(self, function: Any, parameters: tuple[np.dtype[Any], ...]) -> None:
        from numba import cuda

        function.__globals__["cuda"] = cuda
        self.namespace, self.function, self.parameters = function.__globals__, cuda.jit(function), parameters

    def __call__(self, blocks: int, threads: int, stream: int, arguments: tuple[Any, ...]) -> None:
        """Runs it, one block after the other."""
        if len(arguments) != len(self.parameters):
            raise TypeError(f"kernel: expected {len(self.parameters)} arguments, received {len(arguments)}")
        launch.begin(self.namespace)
        values = [p.type(a) if p.kind == "f" else int(a) for p, a in zip(self.parameters, arguments, strict=True)]
        self.function[blocks, threads](*values)

    def ready(self, blocks: int, threads: int, stream: int, arguments: tuple[Any, ...]) -> Callable[[], None]:
        """The call that does it."""
        return partial(self, blocks, threads, stream, arguments)


@once
def load(source: str, name: str, parameters: tuple[np.dtype[Any], ...], device: int) -> SimulatedKernel:
    """The kernel `name` of a source text."""
    namespace: dict[str, Any] = {"__name__": f"fastopt_cuda_{name}"}
    exec(compile(source, f"<fastopt {name}>", "exec"), namespace)
    return SimulatedKernel(namespace[name], parameters)


def install() -> bool:
    """Takes the place of the two modules, for this process."""
    for name, instead in (("driver", sys.modules[__name__]), ("primitives", simulated_primitives)):
        sys.modules[f"fastopt.cuda.{name}"] = instead
        setattr(fastopt.cuda, name, instead)
    return True


SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1" and install()
"""Whether the environment asks for the simulator, and so has it."""
