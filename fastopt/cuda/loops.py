"""What a block of threads does with a row of a work list, as text: the loop over its elements, with storage by blocks or without.

The arithmetic is spelled as calls (`multiply(beta1_, m_)`), since the operators would be contracted into fused multiply-adds.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from fastopt.cuda.streams import WARP, Naming, Streams, indented, log2
from fastopt.storage.blocks import BLOCK
from fastopt.transcribe import spell, variable

__all__ = ["ARITHMETIC", "OF_BLOCKS", "by_blocks", "by_elements"]

FUNCTIONS = {name: name for name in ("sqrt", "absolute", "maximum", "minimum", "sign")}
OPERATORS: Mapping[type[ast.operator], str] = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide"}
ARITHMETIC = (*FUNCTIONS, *OPERATORS.values(), "select")
OF_BLOCKS = ("no_magnitude", "larger_magnitude", "largest_of_warp", "warp_together", "store_float32")
"""What a loop over blocks imports besides."""

ELEMENTS = """\
head = length
if ({unlike}) & {mask} == 0:
    head = -({first} >> {shift}) & {mask}
    if head > length:
        head = length
vectors = (length - head) >> {lane_shift}
singles = length - (vectors << {lane_shift})
i = thread
while i < singles:
    element = i
    if i >= head:
        element = i + (vectors << {lane_shift})
{single}
    i += threads
element = head + (thread << {lane_shift})
end = head + (vectors << {lane_shift})
while element < end:
{vector}
    element += threads << {lane_shift}"""

BLOCKS = """\
lane = thread & 31
block = thread >> 5
while block << 8 < length:
{begun}
    first = block << 8
    end = first + 256
    if end <= length and ({aligned}) & {mask} == 0:
        element = first + (lane << {lane_shift})
        further = element + 128
{vectors}
    else:
        if end > length:
            end = length
        element = first + lane
        while element < end:
{looked}
            element += 32
{largest}
        element = first + lane
        while element < end:
{single}
            element += 32
    warp_together()
    if lane == 0:
{ended}
    block += threads >> 5"""


def by_elements(streams: Streams) -> str:
    """Whole vectors where all streams lie alike, and single elements before the first vector and behind the last one; where they do not,
    single elements throughout. To lie alike is meant in elements: half as many bytes behind a vector's beginning for a stream of
    half as wide ones.
    """
    first, shift = next(iter(streams.shifts.items()))
    names, body = streams.names(streams.lanes), streams.body
    vector = [*streams.loads("element", names), *_computed(streams, names), *streams.stores(body.written, "element", names)]
    single = [*streams.loads("element", ONE), *_computed(streams, ONE), *streams.stores(body.written, "element", ONE)]
    return ELEMENTS.format(
        unlike=streams.unlike(),
        mask=streams.lanes - 1,
        first=first,
        shift=shift,
        lane_shift=log2(streams.lanes),
        single=indented(single, 1),
        vector=indented(vector, 1),
    )


def by_blocks(streams: Streams) -> str:
    """A warp takes a block of 256 elements: it has to know the largest magnitude of its new numbers before it can store them as codes.

    Of a whole block, whose streams begin vectors, each thread has eight elements in its registers, and the threads tell each other the
    largest. Of others, which are a tensor's last one or those of arrays that lie otherwise, a thread takes every 32nd element, and
    computes it twice: once to look at, and once to store.
    """
    body, blocked = streams.body, streams.blocked
    whole = [stream for stream in body.written if stream not in blocked]
    every = streams.names(BLOCK // WARP)
    parts = {"element": every[: streams.lanes], "further": every[streams.lanes :]}
    vectors = [line for element, names in parts.items() for line in streams.loads(element, names)]
    vectors += _computed(streams, every)
    vectors += [line for element, names in parts.items() for line in streams.stores(whole, element, names)]
    vectors += [*_looked(streams, every), *_agreed(streams)]
    vectors += [line for element, names in parts.items() for line in streams.stores(blocked, element, names)]
    loaded = [*streams.loads("element", ONE), *_computed(streams, ONE)]
    scales = {stream: f"{stream}__scales + block * 4" for stream in blocked}
    begun = [f"{stream}__scale = load_float32({at})" for stream, at in scales.items()]
    begun += [f"{stream}__largest = no_magnitude()" for stream in blocked]
    ended = [f"store_float32({at}, scale_{streams.storages[stream].name}({stream}__largest))" for stream, at in scales.items()]
    return BLOCKS.format(
        begun=indented(begun, 1),
        aligned=streams.aligned(),
        mask=streams.lanes - 1,
        lane_shift=log2(streams.lanes),
        vectors=indented(vectors, 2),
        looked=indented([*loaded, *_looked(streams, ONE)], 3),
        largest=indented(_agreed(streams), 2),
        single=indented([*loaded, *streams.stores(body.written, "element", ONE)], 3),
        ended=indented(ended, 2),
    )


ONE: list[Naming] = [variable]


def _computed(streams: Streams, names: list[Naming]) -> list[str]:
    return [line for named in names for line in spell(streams.body, FUNCTIONS, "select", OPERATORS, named)]


def _looked(streams: Streams, names: list[Naming]) -> list[str]:
    """The largest magnitude that a thread has seen in a block."""
    return [
        f"{stream}__largest = larger_magnitude({stream}__largest, {named('new_' + stream)})"
        for stream in streams.blocked
        for named in names
    ]


def _agreed(streams: Streams) -> list[str]:
    """The largest that the threads of a warp have seen."""
    return [f"{stream}__largest = largest_of_warp({stream}__largest)" for stream in streams.blocked]
