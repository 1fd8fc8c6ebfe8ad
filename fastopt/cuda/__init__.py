"""Everything that is particular to CUDA: device arrays, their work list, the kernels' dialect, the driver.

    arrays      what a device array is: PyTorch's, CuPy's, Numba's and any other with an interface
    memory      states on the device, copies between host and device (the counterpart of `fastopt.memory.host`)
    worklist    rows and addresses on the device, refreshed where they changed
    tensors     PyTorch's gradients, whose addresses are gathered in compiled code (`_gather.pyx`)
    source      a rule as the source of a kernel, with its loop of loops: vectors of elements, or a warp for a block that has a scale
    streams     how the arrays of a kernel are addressed, loaded and stored there
    held        what a launch reads, until its stream is done
    norm        clipping by the gradients' global norm; norm_source has its kernels
    primitives  what that source calls: arithmetic, positions, warps; access has the loads and stores of each storage
    llvm        what those are made of, and narrow: the texts of storages
    toolchain   numba-cuda: PTX out of source; the only file that imports `numba.cuda`
    driver      cuda.core and the driver API: memory, uploads, events, kernels; the only folder that imports `cuda`

The `cuda` backend, `fastopt.backends.cuda_backend`, puts them together. numba-cuda's named successor is numba-cuda-mlir:
it would take the place of `toolchain`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["Launchable", "Runtime", "Shape", "Upload", "runtime"]


class Launchable(Protocol):
    """A compiled kernel on one device."""

    def __call__(self, blocks: int, threads: int, stream: int, arguments: tuple[Any, ...]) -> None:
        """Launches it on a stream. Integers are passed as 64 bits, NumPy scalars as what they are."""

    def ready(self, blocks: int, threads: int, stream: int, arguments: tuple[Any, ...]) -> Callable[[], Any]:
        """The call that launches it (`fastopt.uninterrupted`), to be made where the calling thread is on the device (`Runtime.on`)."""


class Upload(Protocol):
    """A way for small amounts of data from the host to the device, without ever waiting for the device."""

    def __call__(self, address: int, values: NDArray[Any], stream: int, capturing: bool) -> None:
        """Copies the values to an address, in the stream's order. They may be changed as soon as this returns."""


class Shape(Protocol):
    """What a launch's shape follows from."""

    multiprocessors: int
    most_blocks: int
    threads: int


class Runtime(Protocol):
    """What a driver can do; `driver` is a module of this kind. Streams and addresses are integers."""

    def unavailable(self) -> str | None:
        """Why there is no CUDA here, or None if there is."""

    def describe(self, device: int) -> str:
        """The device in words."""

    def shape(self, device: int) -> Shape:
        """What launch shapes on this device follow from."""

    def device_of(self, address: int) -> int:
        """The device on which an address lies."""

    def allocate(self, device: int, size: int) -> tuple[int, object]:
        """Zeroed memory: its address, a multiple of 256, and the object that keeps it."""

    def copy_to_device(self, device: int, address: int, values: NDArray[Any]) -> None:
        """Copies contiguous values once all the device's work so far is done; done itself when this returns."""

    def copy_to_host(self, device: int, values: NDArray[Any], address: int) -> None:
        """The other way."""

    def copying_to_device(self, device: int, copies: Sequence[tuple[int, NDArray[Any]]]) -> list[Callable[[], Any]]:
        """The calls (`fastopt.uninterrupted`) that copy contiguous values to addresses, on the device (`on`); done with the last of them.

        Waits for all the device's work so far. What fails within the calls is said by `synchronize`.
        """

    def synchronize(self, device: int) -> None:
        """Waits for all the device's work. Raises RuntimeError if any of it failed."""

    def event(self, device: int) -> Any:
        """A place in a stream that can be asked whether the stream has passed it; which place, `recording` says."""

    def recording(self, event: Any, stream: int) -> Callable[[], Any]:
        """The call (`fastopt.uninterrupted`), on the device, that records an event behind what was launched on a stream."""

    def happened(self, device: int, events: Iterable[Any]) -> int:
        """How many of the events, from the first one on, their streams have passed. Never waits."""

    def wait_for(self, device: int, events: Iterable[Any]) -> None:
        """Waits until the streams have passed all of the events."""

    def upload(self, device: int, capacity: int) -> Upload:
        """A way for small data, with memory of its own; `capacity` is what it has room for to begin with, in bytes."""

    def on(self, device: int) -> AbstractContextManager[Any]:
        """Has the calling thread on a device, and then again where it was."""

    def capture(self, device: int, stream: int) -> int | None:
        """Which capture of a CUDA graph a stream is in, or None."""

    def load(self, source: str, name: str, parameters: tuple[np.dtype[Any], ...], device: int) -> Launchable:
        """Compiles the kernel `name` of a source text for a device."""


def runtime() -> Runtime:
    """The driver, imported when it is first asked for."""
    from fastopt.cuda import driver

    return cast(Runtime, driver)
