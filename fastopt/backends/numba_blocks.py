"""A row of a work list in Numba where states are stored by blocks of 256.

`fastopt.backends.cython_blocks` says why blocks go two by two, and what becomes of the end of a row: it is the same here.
"""

from __future__ import annotations

from typing import NamedTuple

from fastopt.backends import numba_storage
from fastopt.backends.numba_storage import indented
from fastopt.kernel import Kernel
from fastopt.storage.blocks import BOUND
from fastopt.transcribe import spell, variable

__all__ = ["loop", "places"]

LOOP = """\
        for pair in range(0, length, 512):
            here = min(512, length - pair)
{starts}
            if here < 512:
{taken}
{arrays}
            for half in range(2):
{begun}
                for i in range(256):
{body}
{ended}
            for half in range(2):
{codes}
            if here < 512:
{given}
{advanced}"""


class _Array(NamedTuple):
    """An array of a kernel: its name, the name of a pointer's type, its column among a row's addresses, the bytes of an element, and
    whether it has one for each block, and whether it is written.
    """

    name: str
    pointer: str
    column: int
    itemsize: int
    of_blocks: bool
    written: bool

    @property
    def room(self) -> int:
        """Bytes of a pair."""
        return self.itemsize * (2 if self.of_blocks else 512)

    @property
    def start(self) -> str:
        """The address where a pair begins."""
        return f"at[{self.column}] + (offset + pair){' // 256' * self.of_blocks} * {self.itemsize}"

    def at(self, address: str, shape: str) -> str:
        """So many of its elements, as an array."""
        return f"carray({self.pointer}({address}), {shape})"

    def taken(self) -> list[str]:
        """Lines that have the end of a row in a room of its own, filled up."""
        there, room = self.at(f"{self.name}_from", self.here), self.at(f"{self.name}_end", "2" if self.of_blocks else "512")
        return [f"filled({room}, {there}, {self.here})", f"{self.name}_from = {self.name}_end"]

    def given(self) -> str:
        """A line that copies back as much as there is."""
        return f"filled({self.at(self.start, self.here)}, {self.at(f'{self.name}_end', self.here)}, {self.here})"

    def pair(self) -> str:
        """The line that has a pair as an array."""
        return f"{self.name} = {self.at(f'{self.name}_from', '2' if self.of_blocks else '(2, 256)')}"

    @property
    def here(self) -> str:
        return "(here + 255) // 256" if self.of_blocks else "here"


def _arrays(kernel: Kernel) -> list[_Array]:
    found = []
    for column, own in enumerate(kernel.arrays):
        written = own.stream in kernel.body.written
        name, pointer = f"{own.stream}__{own.part}", numba_storage.pointer_to(own)
        found.append(_Array(name, pointer, column, own.itemsize, own.of_blocks, written))
    return found


def places(kernel: Kernel) -> list[str]:
    """Room on the stack: for the new numbers of two blocks, what those are multiplied by, and the end of a row; and noise along a block."""
    names = [kernel.streams[k] for k in kernel.blocked]
    lines = [line for name in names for line in (f"{name}__block = carray(buffer(), (2, 256))", f"{name}__inverse = carray(inverses(), 2)")]
    for name, (along, _) in kernel.drawn.items():
        lines += [f"{name}__along = carray(table(), 256)", "for i in range(256):"]
        lines.append(f"    {name}__along[i] = bits_multiply(uint32(i), bits_constant({along}))")
    return lines + [f"{array.name}_end = room_of_{array.room}()" for array in _arrays(kernel)]


def loop(kernel: Kernel, functions: dict[str, str]) -> str:
    """The loop over pairs of blocks."""
    body, every = kernel.body, _arrays(kernel)
    streams = dict(zip(body.streams, kernel.storages, strict=True))
    blocked, split = [body.streams[k] for k in kernel.blocked], kernel.split is not None
    noises = {name: f"bits_add({name}__from, {name}__along[i])" for name in kernel.drawn}
    behind = {
        name: f"{name}__from = bits_add({name}__start, bits_multiply(uint32(half), bits_constant({256 * along & 0xFFFFFFFF})))"
        for name, (along, _) in kernel.drawn.items()
    }
    beside = {name: f", {name}__scale" for name in blocked} | ({"p": ", p__corrections[half, i]"} if split else {})
    lines = [f"{variable(name)} = {numba_storage.load(own, f'{name}__at[half, i]', beside.get(name, ''))}" for name, own in streams.items()]
    lines += spell(body, functions)
    for name in body.written:
        new = variable("new_" + name)
        if name in blocked:
            lines.append(f"{name}__block[half, i] = {f'absolute({new})' if streams[name].of_magnitudes else new}")
            lines.append(f"{name}__largest = larger({name}__largest, {new})")
            continue
        given = [new, *([noises[name]] if name in noises else [])]
        lines.append(f"{name}__at[half, i] = {numba_storage.store(streams[name], *given)}")
        if name == "p" and split:
            lines.append(f"p__corrections[half, i] = rest_{streams[name].name}({', '.join(given)})")
    begun, ended, codes = [behind[name] for name in behind if name not in blocked], [], []
    for name in blocked:
        storage = streams[name]
        begun += [f"{name}__scale = {name}__scales[half]", f"{name}__largest = uint32(0)"]
        ended += [
            f"{name}__scales[half] = as_float(scale_{storage.name}({name}__largest))",
            f"{name}__inverse[half] = inverse_{storage.name}({name}__largest)",
            f"if {name}__largest > uint32({BOUND}):",
            "    for i in range(256):",
            f"        {name}__block[half, i] = ZERO",
        ]
        stored = numba_storage.store(storage, f"{name}__block[half, i]", f"{name}__own", noises[name])
        codes += [behind[name], f"{name}__own = {name}__inverse[half]", "for i in range(256):", f"    {name}__at[half, i] = {stored}"]
    advanced = [
        f"{name}__start = bits_add({name}__start, bits_constant({512 * along & 0xFFFFFFFF}))" for name, (along, _) in kernel.drawn.items()
    ]
    return LOOP.format(
        starts=indented([f"{array.name}_from = {array.start}" for array in every], 3),
        taken=indented([line for array in every for line in array.taken()], 4),
        arrays=indented([array.pair() for array in every], 3),
        begun=indented(begun, 4),
        body=indented(lines, 5),
        ended=indented(ended, 4),
        codes=indented(codes, 4),
        given=indented([array.given() for array in every if array.written], 4),
        advanced=indented(advanced, 3),
    )
