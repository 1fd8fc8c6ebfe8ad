"""How a kernel loads and stores elements of each storage: one, or as many as a vector has.

    load_<name>(address, *beside)                           one number
    load_<lanes>_<name>(address, *beside)                   a tuple of them
    store_<name>(address, *beside, number, *noise)
    store_<lanes>_<name>(address, *beside, numbers, *noise)

What goes beside an address is, for parameters with a correction, the address of that; for codes, to load them, their block's scale, and to
store them, the pattern of its largest magnitude. The noise of a storage that rounds stochastically is that of the first number, and
behind it, for several, how much larger that of the next one is.

A vector is moved by a single instruction: four neighbouring scalar ones would stay four.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

import numpy as np
from numba import types

from fastopt.cuda.llvm import SINGLE, WORD, constant, elements_at, place_elements, place_vector, vector_at
from fastopt.cuda.narrow import written_out
from fastopt.cuda.streams import MOST_LANES, VECTOR
from fastopt.cuda.toolchain import intrinsic
from fastopt.storage import EVERY, Storage
from fastopt.storage.bits import parse
from fastopt.storage.blocks import BOUND

__all__ = ["loads_and_stores"]


def loads_and_stores() -> dict[str, Any]:
    """The functions above, by name."""
    found = {}
    for storage in EVERY.values():
        for lanes in _lanes(storage):
            several = "" if lanes == 1 else f"{lanes}_"
            found[f"load_{several}{storage.name}"] = _function(_loading, storage, lanes)
            found[f"store_{several}{storage.name}"] = _function(_storing, storage, lanes)
        if storage.code is not None:
            found[f"scale_{storage.name}"] = _scale(storage)
    return found


def _lanes(storage: Storage) -> tuple[int, ...]:
    """How many elements kernels move at once: as many as fill a vector with those of the widest stream, and one."""
    beside = VECTOR // np.dtype(storage.compute).itemsize  # streams of the compute dtype, as there are beside codes
    return (1, beside) if storage.texts is None or storage.code is not None else (1, beside, MOST_LANES)


Made = tuple[Any, Callable[[Any, Any, list[Any]], Any]]
"""A signature, and what adds instructions for arguments and answers with the results."""


def _function(made: Callable[[Storage, int], Made], storage: Storage, lanes: int) -> Any:
    signature, instructions = made(storage, lanes)

    def function(typing_context: Any, *_: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            results = instructions(context, builder, list(arguments))
            if results is None:
                return context.get_dummy_value()
            return results[0] if lanes == 1 else context.make_tuple(builder, signature.return_type, results)

        return signature, generate

    named = [Parameter(f"argument{k}", Parameter.POSITIONAL_OR_KEYWORD) for k in range(1 + len(signature.args))]
    function.__signature__ = Signature(named)  # type: ignore[attr-defined]  # Numba wants to see how many there are
    return intrinsic(function)


def _loading(storage: Storage, lanes: int) -> Made:
    number = getattr(types, storage.compute)
    beside = [types.int64] * (storage.split is not None) + [types.float32] * (storage.code is not None)

    def instructions(context: Any, builder: Any, arguments: list[Any]) -> list[Any]:
        address, *rest = arguments
        if storage.texts is None:
            return vector_at(builder, address, context.get_value_type(number), lanes)
        text = storage.texts[0]
        elements = elements_at(builder, address, storage.itemsize, lanes, signed=storage.code is not None and storage.code.signed)
        others: list[Any] = [[]] * lanes
        if storage.split is not None:
            corrections = elements_at(builder, rest[0], np.dtype(storage.split.dtype).itemsize, lanes, signed=True)
            others = [[correction] for correction in corrections]
        elif storage.code is not None:
            others = [[builder.bitcast(rest[0], WORD)]] * lanes
        patterns = [written_out(text, builder, element, *other) for element, other in zip(elements, others, strict=True)]
        return [builder.bitcast(pattern, SINGLE) for pattern in patterns]

    result = number if lanes == 1 else types.UniTuple(number, lanes)
    return result(types.int64, *beside), instructions


def _storing(storage: Storage, lanes: int) -> Made:
    number = getattr(types, storage.compute)
    beside = [types.int64] * (storage.split is not None) + [types.uint32] * (storage.code is not None)
    noises = [types.int64] * (storage.draws * min(lanes, 2))

    def instructions(context: Any, builder: Any, arguments: list[Any]) -> None:
        address, *rest = arguments
        given = rest[len(beside)]
        values = [given] if lanes == 1 else [builder.extract_value(given, lane) for lane in range(lanes)]
        if storage.texts is None:
            place_vector(builder, address, context.get_value_type(number), values)
            return
        patterns = [builder.bitcast(value, WORD) for value in values]
        others: list[list[Any]] = [[] for _ in values]
        if storage.code is not None:
            largest = rest[0]
            patterns = [_coded(builder, storage, pattern, largest) for pattern in patterns]
            inverse = written_out(parse(storage.code.inverse), builder, largest)
            others = [[inverse] for _ in values]
        if storage.draws:
            drawn, *step = (builder.trunc(noise, WORD) for noise in rest[-len(noises) :])
            for lane, other in enumerate(others):
                other.append(drawn if not lane else builder.add(others[lane - 1][-1], step[0]))
        texts = [(storage.texts[1], address, storage.itemsize)]
        if storage.split is not None:
            texts.append((parse(storage.split.rest), rest[0], np.dtype(storage.split.dtype).itemsize))
        for text, place, size in texts:
            elements = [written_out(text, builder, pattern, *other) for pattern, other in zip(patterns, others, strict=True)]
            place_elements(builder, place, size, elements)

    given = number if lanes == 1 else types.UniTuple(number, lanes)
    return types.void(types.int64, *beside, given, *noises), instructions


def _coded(builder: Any, storage: Storage, pattern: Any, largest: Any) -> Any:
    """What is coded of a number: 0 in a block that has no finite largest magnitude, and the magnitude alone where codes have no sign."""
    if storage.of_magnitudes:
        pattern = builder.and_(pattern, constant(0x7FFFFFFF))
    return builder.select(builder.icmp_unsigned(">", largest, constant(BOUND)), constant(0), pattern)


def _scale(storage: Storage) -> Any:
    """The scale of a block, of the pattern of its largest magnitude."""
    assert storage.code is not None
    text = parse(storage.code.scale)

    @intrinsic
    def scale(typing_context: Any, largest: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(written_out(text, builder, arguments[0]), SINGLE)

        return types.float32(types.uint32), generate

    return scale
