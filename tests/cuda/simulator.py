"""Numba's CUDA simulator in the place of a GPU (NUMBA_ENABLE_CUDASIM=1): the kernels' own source, run as Python, thread by thread.

It checks what a GPU would not say: that every address lies within memory that was allocated, that vectors are aligned, that no two
threads write to one place in a launch, and that no operation mixes float32 with float64. It is slow, and has no streams.

This one module stands for two of the library's: `fastopt.cuda.driver`, the device, and `fastopt.cuda.toolchain`, of which the
kernels' source imports its primitives. It is to be imported before anything in the process imports either.
"""

from __future__ import annotations

import ctypes
import importlib.util
import operator
import os
import sys
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache as once
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastopt.cuda
from fastopt.rules import language
from fastopt.storage import OF_STATES, STORAGES, Storage

VECTOR = 16


def unavailable() -> str | None:
    """None: the simulator comes with numba-cuda and takes no GPU."""
    return None if importlib.util.find_spec("numba_cuda") else "numba-cuda is not installed: pip install 'fastopt[cuda]'"


def describe(device: int) -> str:
    """The device in words."""
    return "Numba's CUDA simulator (NUMBA_ENABLE_CUDASIM=1)"


@dataclass(frozen=True)
class SimulatedShape:
    """A small device, since each of its threads is a thread of Python."""

    multiprocessors: int = 2
    most_blocks: int = 3
    threads: int = 8


def shape(device: int) -> SimulatedShape:
    """The simulated device's launch shapes."""
    return SimulatedShape()


class _Heap:
    """The simulated device's memory: blocks of host memory, and which addresses are in one."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.sizes: dict[int, int] = {}

    def allocate(self, size: int) -> tuple[int, NDArray[np.uint8]]:
        buffer = np.zeros(size + 256, np.uint8)
        start = -(-buffer.ctypes.data // 256) * 256
        self.starts.append(start)
        self.starts.sort()
        self.sizes[start] = size
        return start, buffer

    def check(self, address: int, size: int) -> int:
        found = bisect_right(self.starts, address) - 1
        start = self.starts[found] if found >= 0 else 0
        if not start <= address <= address + size <= start + self.sizes.get(start, 0):
            raise IndexError(f"{size} bytes at {address:#x} are not within memory of the device")
        return address


_heap = _Heap()
_running: dict[str, Any] = {}
"""The globals of the kernel that runs: the simulator puts a `cuda` there that knows where in the grid its caller is."""
_written: set[int] = set()
_writing = threading.Lock()


class _Memory:
    def __init__(self, size: int) -> None:
        self.address, self.buffer = _heap.allocate(size)

    def __del__(self) -> None:
        _heap.starts.remove(self.address)
        del _heap.sizes[self.address]


def device_of(address: int) -> int:
    """0: there is one device."""
    _heap.check(address, 0)
    return 0


def allocate(device: int, size: int) -> tuple[int, object]:
    """Zeroed memory: its address, and the object that keeps it."""
    memory = _Memory(size)
    return memory.address, memory


def copy_to_device(device: int, address: int, values: NDArray[Any]) -> None:
    """Copies contiguous values into memory of the device."""
    ctypes.memmove(_heap.check(address, values.nbytes), values.ctypes.data, values.nbytes)


def copy_to_host(device: int, values: NDArray[Any], address: int) -> None:
    """The other way."""
    ctypes.memmove(values.ctypes.data, _heap.check(address, values.nbytes), values.nbytes)


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
        global _running
        _running = self.namespace
        _written.clear()
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


# --- what the generated kernels import: the names of `fastopt.cuda.toolchain`


def thread_index() -> int:
    """Which thread of its block this is."""
    return int(_running["cuda"].threadIdx.x)


def thread_count() -> int:
    """How many threads a block has."""
    return int(_running["cuda"].blockDim.x)


def block_index() -> int:
    """Which block this is."""
    return int(_running["cuda"].blockIdx.x)


def block_count() -> int:
    """How many blocks there are."""
    return int(_running["cuda"].gridDim.x)


def load_int64(address: int) -> int:
    """An integer in the device's memory."""
    return int(ctypes.c_int64.from_address(_heap.check(address, 8)).value)


def zero_float64() -> np.float64:
    """0."""
    return np.float64(0)


def one_float64() -> np.float64:
    """1."""
    return np.float64(1)


def int64_of_float32(x: np.float32) -> int:
    """The integer part."""
    return int(x)


def float64_of_float32(x: np.float32) -> np.float64:
    """The same number, wider."""
    if type(x) is not np.float32:
        raise TypeError(f"a conversion of {type(x).__name__} where float32 belongs")
    return np.float64(x)


def float32_of_float64(x: np.float64) -> np.float32:
    """The nearest number."""
    if type(x) is not np.float64:
        raise TypeError(f"a conversion of {type(x).__name__} where float64 belongs")
    with np.errstate(all="ignore"):
        return np.float32(x)


def _memory_of(storage: Storage) -> dict[str, Callable[..., Any]]:
    cell: Any = {2: ctypes.c_uint16, 4: ctypes.c_float, 8: ctypes.c_double}[storage.itemsize]
    size, kind = storage.itemsize, getattr(np, storage.compute)

    def aligned(address: int, width: int) -> int:
        if address % width:
            raise IndexError(f"an access of {width} bytes at {address:#x}, which is not aligned")
        return _heap.check(address, width)

    def load(address: int) -> Any:
        found = cell.from_address(aligned(address, size)).value
        return kind(found) if storage.load is None else _number(storage.load(found))

    def store(address: int, value: Any, *noise: int) -> None:
        if type(value) is not kind:
            raise TypeError(f"a store of {type(value).__name__} where {kind.__name__} belongs")
        aligned(address, size)
        with _writing:
            if address in _written:
                raise RuntimeError(f"a second write to {address:#x} in one launch")
            _written.add(address)
        with np.errstate(all="ignore"):
            cell.from_address(address).value = (
                value if storage.store is None else storage.store(_pattern(value), *(n & 0xFFFFFFFF for n in noise))
            )

    functions: dict[str, Callable[..., Any]] = {"load": load, "store": store}

    def vectors(lanes: int) -> None:
        def load_vector(address: int) -> tuple[Any, ...]:
            aligned(address, lanes * size)
            return tuple(load(address + lane * size) for lane in range(lanes))

        def store_vector(address: int, values: tuple[Any, ...], *noise: int) -> None:
            aligned(address, lanes * size)
            if len(values) != lanes:
                raise IndexError(f"a vector of {len(values)} elements where {lanes} belong")
            for lane, value in enumerate(values):
                store(address + lane * size, value, *(noise[0] + lane * noise[1] for _ in noise[:1]))

        functions[f"load_{lanes}"], functions[f"store_{lanes}"] = load_vector, store_vector

    for lanes in {VECTOR // size, VECTOR // np.dtype(kind).itemsize}:
        vectors(lanes)
    return functions


def _number(bits: int) -> np.float32:
    return np.float32(ctypes.c_float.from_buffer(ctypes.c_uint32(bits)).value)


def _pattern(value: np.float32) -> int:
    return int(value.view(np.uint32))


def _arithmetic_of(kind: type[np.floating[Any]]) -> dict[str, Callable[..., Any]]:
    def checked(function: Callable[..., Any]) -> Callable[..., Any]:
        def apply(*operands: Any) -> Any:
            for operand in operands:
                if type(operand) is not kind:
                    raise TypeError(f"{function.__name__} of {type(operand).__name__} in a kernel of {kind.__name__}")
            with np.errstate(all="ignore"):  # here and not around the launch: each simulated thread is one of Python's, with its own
                return kind(function(*operands))

        return apply

    def select(test: Any, then: Any, otherwise: Any) -> Any:
        return then if test else otherwise

    operations: dict[str, Callable[..., Any]] = {
        "add": operator.add,
        "subtract": operator.sub,
        "multiply": operator.mul,
        "divide": operator.truediv,
        "sqrt": np.sqrt,
        "absolute": np.abs,
        "maximum": language.maximum,
        "minimum": language.minimum,
        "sign": language.sign,
    }
    return {name: checked(function) for name, function in operations.items()} | {"select": select}


for _kind in (np.float32, np.float64):
    globals().update({f"{name}_{_kind.__name__}": function for name, function in _arithmetic_of(_kind).items()})
for _storage in (*STORAGES.values(), OF_STATES["drawn_bfloat16"]):
    globals().update({f"{name}_{_storage.name}": function for name, function in _memory_of(_storage).items()})


def install() -> bool:
    """Takes the place of the two modules, for this process."""
    this = sys.modules[__name__]
    for name in ("driver", "toolchain"):
        sys.modules[f"fastopt.cuda.{name}"] = this
        setattr(fastopt.cuda, name, this)
    return True


SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1" and install()
"""Whether the environment asks for the simulator, and so has it."""
