"""The arrays of a kernel as its text speaks of them: where each begins, and how its elements are loaded and stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from fastopt.kernel import Kernel
from fastopt.storage import noise
from fastopt.storage.blocks import BLOCK
from fastopt.transcribe import variable

__all__ = ["MOST_LANES", "VECTOR", "WARP", "Naming", "Streams", "indented", "log2"]

VECTOR = 16
"""Bytes that one instruction moves."""

MOST_LANES = 8
"""The most elements of a vector: of any kernel's, the number of elements divides it."""

WARP = 32
"""Threads that do the same at the same time, and can look at each other's registers."""

Naming = Callable[[str], str]
"""From a rule's names to those of one element."""


class Streams:
    """Text for the streams of a kernel, each in its storage.

    Attributes
    ----------
    lanes
        How many elements a vector has: as many as fill it with those of the widest stream, or the most; with blocks those of the compute
        dtype, so that the threads of a warp take a block in two vectors each.
    blocked
        The streams that are stored by blocks.
    shifts
        Each address that moves with the elements, and the bits of an element's size there.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.body = kernel, kernel.body
        self.storages = dict(zip(self.body.streams, kernel.storages, strict=True))
        self.blocked = [self.body.streams[k] for k in kernel.blocked]
        widest = np.dtype(kernel.compute).itemsize if self.blocked else max(storage.itemsize for storage in kernel.storages)
        self.lanes = min(MOST_LANES, VECTOR // widest)
        self.shifts = {f"{array.stream}__{array.part}": log2(array.itemsize) for array in kernel.arrays if not array.of_blocks}

    def begun(self) -> list[str]:
        """Where the arrays of a row begin, which are lines of the table of streams; and the noise of its first element."""

        def line(k: int) -> str:
            return f"load_int64(streams_at + ({k} * tensors + tensor) * 8)"

        arrays = self.kernel.arrays
        lines = [
            f"{array.stream}__{array.part} = {line(k)} + {f'(start >> {log2(BLOCK)})' if array.of_blocks else 'start'} * {array.itemsize}"
            for k, array in enumerate(arrays)
        ]
        if self.kernel.draws:
            low, high = map(variable, noise.SCALARS)
            lines.append(f"first__element = {line(len(arrays))} * {BLOCK} + start")
            lines.append(f"step__number = int64_of_float32({low}) + (int64_of_float32({high}) << 16)")
            lines += [f"{name}__start = first__element * {a} + step__number * {t}" for name, (a, t) in self.kernel.drawn.items()]
        return lines

    def aligned(self) -> str:
        """0 where all streams begin a vector at the first element, as text."""
        return " | ".join(f"{at} >> {shift}" for at, shift in self.shifts.items())

    def unlike(self) -> str:
        """The same where all streams are as many elements behind the beginning of a vector."""
        first, *others = (f"{at} >> {shift}" for at, shift in self.shifts.items())
        return " | ".join(f"({first} ^ {other})" for other in others)

    def loads(self, element: str, names: Sequence[Naming]) -> list[str]:
        """Of every stream the elements from one on, of which each has its names."""
        return [
            f"{', '.join(named(stream) for named in names)} = {self._called('load', stream, len(names))}"
            f"({', '.join([*self._places(stream, element), *self._beside(stream, 'scale')])})"
            for stream in self.body.streams
        ]

    def stores(self, streams: Sequence[str], element: str, names: Sequence[Naming]) -> list[str]:
        """Of these streams what the elements have become."""
        lines = []
        for stream in streams:
            values = ", ".join(named("new_" + stream) for named in names)
            given = [*self._places(stream, element), *self._beside(stream, "largest"), values if len(names) == 1 else f"({values})"]
            if stream in self.kernel.drawn:
                along = self.kernel.drawn[stream][0]
                given += [f"{stream}__start + {element} * {along}", *([str(along)] if len(names) > 1 else [])]
            lines.append(f"{self._called('store', stream, len(names))}({', '.join(given)})")
        return lines

    def primitives(self) -> list[str]:
        """What a kernel imports for all of this."""
        found = ["load_int64"]
        for stream, storage in self.storages.items():
            found += [self._called(operation, stream, lanes) for operation in ("load", "store") for lanes in (1, self.lanes)]
            if storage.code is not None:
                found.append(f"scale_{storage.name}")
        return list(dict.fromkeys([*found, *(["int64_of_float32"] if self.kernel.draws else [])]))

    def names(self, count: int) -> list[Naming]:
        """The names of so many elements that are worked on together; scalars are the same in all."""
        return [partial(_of_lane, self.body.scalars, lane) for lane in range(count)]

    def _called(self, operation: str, stream: str, lanes: int) -> str:
        return f"{operation}_{'' if lanes == 1 else f'{lanes}_'}{self.storages[stream].name}"

    def _places(self, stream: str, element: str) -> list[str]:
        own = [array for array in self.kernel.arrays if array.stream == stream and not array.of_blocks]
        return [f"{stream}__{array.part} + {element} * {array.itemsize}" for array in own]

    def _beside(self, stream: str, what: str) -> list[str]:
        return [f"{stream}__{what}"] if stream in self.blocked else []


def _of_lane(scalars: Sequence[str], lane: int, name: str) -> str:
    """A rule's name in one lane of a vector. No name of `variable` ends in a digit."""
    return variable(name) if name in scalars else f"{name}_{lane}"


def log2(power: int) -> int:
    """The exponent of a power of two."""
    return power.bit_length() - 1


def indented(lines: Sequence[str], levels: int) -> str:
    """Lines as a block of a module's text."""
    return "\n".join("    " * levels + line for line in lines)
