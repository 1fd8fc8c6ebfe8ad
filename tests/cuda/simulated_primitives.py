"""What the generated kernels import, in the simulator: the names of `fastopt.cuda.primitives`, as Python functions that check their use."""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastopt.rules import language
from fastopt.storage import EVERY, Storage
from fastopt.storage.blocks import BOUND
from tests.cuda.simulated_launch import heap, launch

VECTOR, WARP = 16, 32


def thread_index() -> int:
    """Which thread of its block this is."""
    return int(launch.cuda.threadIdx.x)


def thread_count() -> int:
    """How many threads a block has."""
    return int(launch.cuda.blockDim.x)


def block_index() -> int:
    """Which block this is."""
    return int(launch.cuda.blockIdx.x)


def block_count() -> int:
    """How many blocks there are."""
    return int(launch.cuda.gridDim.x)


def load_int64(address: int) -> int:
    """An integer in the device's memory."""
    return int(ctypes.c_int64.from_address(heap.check(address, 8)).value)


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


def no_magnitude() -> int:
    """The pattern of 0."""
    return 0


def larger_magnitude(largest: int, number: np.float32) -> int:
    """The larger of a pattern and that of a number's magnitude."""
    return max(largest, _pattern(number) & 0x7FFFFFFF)


def largest_of_warp(own: int) -> int:
    """The largest of the patterns that all threads of a warp have, which are all of a block's here."""
    shown = launch.shown.setdefault(block_index(), {})
    shown[thread_index()] = own
    launch.cuda.syncthreads()
    if len(shown) != WARP:
        raise RuntimeError(f"a warp of {WARP} threads, of which {len(shown)} are here")
    found = max(shown.values())
    launch.cuda.syncthreads()
    return found


def warp_together() -> None:
    """Waits for all threads of a warp."""
    launch.cuda.syncthreads()


def _cells(size: int, signed: bool) -> tuple[Callable[[int], int], Callable[[int, int], None]]:
    """Reads and writes patterns of so many bytes at an address; one that is read has its sign in all of 32 bits where it has one."""
    kind: Any = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_uint64}[size]

    def read(address: int) -> int:
        found: int = kind.from_address(_aligned(address, size)).value
        return found | 0xFFFFFFFF << 8 * size & 0xFFFFFFFF if signed and found >> 8 * size - 1 else found

    def write(address: int, pattern: int) -> None:
        _aligned(address, size)
        with launch.writing:
            if address in launch.written:
                raise RuntimeError(f"a second write to {address:#x} in one launch")
            launch.written.add(address)
        kind.from_address(address).value = pattern & ((1 << 8 * size) - 1)

    return read, write


def _aligned(address: int, width: int) -> int:
    if address % width:
        raise IndexError(f"an access of {width} bytes at {address:#x}, which is not aligned")
    return heap.check(address, width)


def _memory_of(storage: Storage) -> dict[str, Callable[..., Any]]:
    size, kind, code, split = storage.itemsize, getattr(np, storage.compute), storage.code, storage.split
    read, write = _cells(size, code is not None and code.signed)
    beside_size = 0 if split is None else np.dtype(split.dtype).itemsize
    beside = _cells(beside_size, True) if split is not None else None

    def load(address: int, *rest: Any) -> Any:
        found = read(address)
        if storage.load is None:
            return np.array(found, f"u{size}").view(kind)[()]
        if beside is not None:
            return _number(storage.load(found, beside[0](rest[0])))
        return _number(storage.load(found, *map(_pattern, rest)))

    def store(address: int, *rest: Any) -> None:
        others = 1 if code is not None or split is not None else 0
        value, noise = rest[others], [n & 0xFFFFFFFF for n in rest[others + 1 :]]
        if type(value) is not kind:
            raise TypeError(f"a store of {type(value).__name__} where {kind.__name__} belongs")
        bits = int(value.view(f"u{kind().itemsize}"))
        with np.errstate(all="ignore"):
            if storage.store is None:
                write(address, bits)
            elif code is None:
                write(address, storage.store(bits, *noise))
            else:
                own = 0 if rest[0] > BOUND else bits if code.signed else bits & 0x7FFFFFFF
                write(address, storage.store(own, code.inverse(rest[0]), *noise))
            if beside is not None and split is not None:
                beside[1](rest[0], split.rest(bits, *noise))

    functions: dict[str, Callable[..., Any]] = {"load": load, "store": store}

    def moved(rest: Sequence[Any], lane: int) -> list[Any]:
        """What goes beside the address of a lane: that of its correction, or what is the same for all of a block."""
        return [rest[0] + lane * beside_size, *rest[1:]] if beside is not None else list(rest)

    def vectors(lanes: int) -> None:
        def load_vector(address: int, *rest: Any) -> tuple[Any, ...]:
            _aligned(address, lanes * size)
            if beside is not None:
                _aligned(rest[0], lanes * beside_size)
            return tuple(load(address + lane * size, *moved(rest, lane)) for lane in range(lanes))

        def store_vector(address: int, *rest: Any) -> None:
            _aligned(address, lanes * size)
            if beside is not None:
                _aligned(rest[0], lanes * beside_size)
            others = 1 if code is not None or split is not None else 0
            values, noise = rest[others], rest[others + 1 :]
            if len(values) != lanes:
                raise IndexError(f"a vector of {len(values)} elements where {lanes} belong")
            for lane, value in enumerate(values):
                drawn = [noise[0] + lane * noise[1] for _ in noise[:1]]
                store(address + lane * size, *moved(rest[:others], lane), value, *drawn)

        functions[f"load_{lanes}"], functions[f"store_{lanes}"] = load_vector, store_vector

    for lanes in {VECTOR // kind().itemsize} | (set() if storage.load is None or code is not None else {8}):
        vectors(lanes)
    if code is not None:
        functions["scale"] = lambda largest: _number(code.scale(largest))
    return functions


def _number(bits: int) -> np.float32:
    return np.float32(ctypes.c_float.from_buffer(ctypes.c_uint32(bits & 0xFFFFFFFF)).value)


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
for _storage in EVERY.values():
    globals().update({f"{name}_{_storage.name}": function for name, function in _memory_of(_storage).items()})
