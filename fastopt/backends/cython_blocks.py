"""A row of a work list in Cython where states are stored by blocks of 256: codes are made when the largest of a block's numbers is known.

Blocks go two by two, first the new numbers of both, into buffers, then the codes of both. So the largest of the first is found, and divided
by, while the numbers of the second are computed, and nothing waits for it: with vectors of 64 bytes a tenth of the time in the caches.

All loops have 256 elements, which compilers make whole vectors of. What is left of a row at its end is copied, filled up with its last
element (so that what is largest of a block stays that), done as any other, and copied back.
"""

from __future__ import annotations

from fastopt.backends.cython_storage import REAL
from fastopt.backends.cython_text import Array, arrays, functions, indented
from fastopt.kernel import Kernel
from fastopt.storage import noise
from fastopt.storage.blocks import BOUND
from fastopt.transcribe import spell, variable

__all__ = ["row_source"]

PAIR = """
cdef void {name}_pair({arguments}, {noises}, const {real}* scalars) noexcept nogil:
    cdef Py_ssize_t i, half
    cdef {real} {variables}
    cdef {real} {buffers}
    cdef uint32_t {patterns}
{scalars}
    for half in range(2):
{begun}
        for i in range(256 * half, 256 * half + 256):
{loads}
{lines}
{stores}
{ended}
    for half in range(2):
{codes}

"""

ROW = """
cdef void {name}_row(Py_ssize_t length, {arguments}, uint32_t first, const {real}* scalars) noexcept nogil:
    cdef Py_ssize_t i, here, block, blocks
    cdef uint32_t step = <uint32_t> scalars[{low}] + (<uint32_t> scalars[{high}] << 16)
{starts}
{ends}
    for i in range(512):
{tables}
    for block in range(0, length - 511, 512):
        {name}_pair({whole}, {drawn}, scalars)
{advanced}
    block = length // 512 * 512
    here = length - block
    if here:
        blocks = (here + 255) // 256
{taken}
        {name}_pair({end}, {drawn}, scalars)
{given}

"""


def row_source(kernel: Kernel) -> str:
    """A function over a row, `<name>_row`: the arrays and the number of the first element, and the scalars."""
    return _pair(kernel) + _row(kernel)


def _pair(kernel: Kernel) -> str:
    """New numbers of 512 elements, then what they are stored as."""
    body, real = kernel.body, REAL[kernel.compute]
    streams = dict(zip(body.streams, kernel.storages, strict=True))
    blocked, split, of_rules = [body.streams[k] for k in kernel.blocked], kernel.split is not None, functions(real)
    beside = {name: f", {name}_scale" for name in blocked} | ({"p": ", p_corrections[i]"} if split else {})
    loads = [f"{variable(name)} = load_{storage.name}({name}_at[i]{beside.get(name, '')})" for name, storage in streams.items()]
    stores = []
    for name in body.written:
        new = variable("new_" + name)
        if name in blocked:
            stores.append(f"{name}_block[i] = {of_rules['absolute']}({new})" if streams[name].of_magnitudes else f"{name}_block[i] = {new}")
            stores.append(f"{name}_largest = bits_larger({name}_largest, {new})")
            continue
        given = f"{new}, {name}_start + {name}_noise[i]" if name in kernel.drawn else new
        stores.append(f"{name}_at[i] = store_{streams[name].name}({given})")
        if name == "p" and split:
            stores.append(f"p_corrections[i] = rest_{streams[name].name}({given})")
    begun, ended, codes = [], [], []
    for name in blocked:
        storage = streams[name].name
        begun += [f"{name}_scale = {name}_scales[half]", f"{name}_largest = 0"]
        ended += [
            f"{name}_scales[half] = scale_{storage}({name}_largest)",
            f"{name}_inverse[half] = inverse_{storage}({name}_largest)",
            f"if {name}_largest > <uint32_t>{BOUND:#x}:",
            "    for i in range(256 * half, 256 * half + 256):",
            f"        {name}_block[i] = 0",
        ]
        own = [
            f"&{name}_block[256 * half]",
            f"{name}_inverse[half]",
            f"{name}_start",
            f"&{name}_noise[256 * half]",
            f"&{name}_at[256 * half]",
        ]
        codes.append(f"codes_{storage}({', '.join(own)})")
    return PAIR.format(
        name=kernel.name,
        real=real,
        arguments=", ".join(f"{array.pointer} {array.name}" for array in arrays(kernel)),
        noises=", ".join(f"uint32_t {name}_start, const uint32_t* {name}_noise" for name in kernel.drawn),
        variables=", ".join(variable(name) for name in (*body.streams, *body.scalars, *body.temporaries)),
        buffers=", ".join([*(f"{name}_block[512]" for name in blocked), *(f"{name}_scale" for name in blocked)]),
        patterns=", ".join(f"{name}_largest, {name}_inverse[2]" for name in blocked),
        scalars=indented([f"{variable(name)} = scalars[{k}]" for k, name in enumerate(body.scalars)], 1),
        begun=indented(begun, 2),
        loads=indented(loads, 3),
        lines=indented(spell(body, of_rules), 3),
        stores=indented(stores, 3),
        ended=indented(ended, 2),
        codes=indented(codes, 2),
    )


def _row(kernel: Kernel) -> str:
    """All pairs of a row, and its end."""
    every, body = arrays(kernel), kernel.body
    written = {array.name for array in every} - {f"{name}_at" for name in body.streams if name not in body.written}
    low, high = (body.scalars.index(name) for name in noise.SCALARS)
    starts = [
        f"cdef uint32_t {name}_start = first * <uint32_t>{along:#x} + step * <uint32_t>{between:#x}, {name}_noise[512]"
        for name, (along, between) in kernel.drawn.items()
    ]
    ends = [f"cdef {array.element} {array.name}_end[{2 if array.of_blocks else 512}]" for array in every]
    return ROW.format(
        name=kernel.name,
        real=REAL[kernel.compute],
        arguments=", ".join(f"{array.pointer} {array.name}" for array in every),
        low=low,
        high=high,
        starts=indented(starts, 1),
        ends=indented(ends, 1),
        tables=indented([f"{name}_noise[i] = <uint32_t>i * <uint32_t>{along:#x}" for name, (along, _) in kernel.drawn.items()], 2),
        whole=", ".join(array.behind("block") for array in every),
        end=", ".join(f"{array.name}_end" for array in every),
        drawn=", ".join(f"{name}_start, {name}_noise" for name in kernel.drawn),
        advanced=indented([f"{name}_start += <uint32_t>{512 * along & 0xFFFFFFFF:#x}" for name, (along, _) in kernel.drawn.items()], 2),
        taken=indented([line for array in every for line in _taken(array)], 2),
        given=indented([_moved(array, array.behind("block"), f"{array.name}_end") for array in every if array.name in written], 2),
    )


def _taken(array: Array) -> list[str]:
    """Lines that copy the end of a row, and fill up what it is copied to."""
    name, count, room = array.name, *(("blocks", 2) if array.of_blocks else ("here", 512))
    filled = [f"for i in range({count}, {room}):", f"    {name}_end[i] = {name}_end[{count} - 1]"]
    return [_moved(array, f"{name}_end", array.behind("block")), *filled]


def _moved(array: Array, to: str, of: str) -> str:
    return f"memcpy({to}, {of}, {'blocks' if array.of_blocks else 'here'} * sizeof({array.element}))"
