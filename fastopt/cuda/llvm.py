"""LLVM instructions that kernels on a device are made of, whoever compiles them: memory by address, and calls by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

__all__ = ["SINGLE", "WORD", "call", "constant", "elements_at", "place_elements", "place_vector", "pointer_to", "vector_at"]

GLOBAL = 1
"""The address space of device memory in NVVM: loads from it are `ld.global`, not generic ones."""

WORD, SINGLE = ir.IntType(32), ir.FloatType()


def constant(value: int) -> ir.Constant:
    """A constant of 32 bits."""
    return ir.Constant(WORD, value)


def pointer_to(builder: Any, address: Any, pointee: ir.Type) -> Any:
    """An address, which is an integer until then, as a pointer into device memory."""
    return builder.inttoptr(address, ir.PointerType(pointee, GLOBAL))


def vector_at(builder: Any, address: Any, element: ir.Type, lanes: int) -> list[Any]:
    """The elements of a vector, loaded by one instruction."""
    if lanes == 1:
        return [builder.load(pointer_to(builder, address, element))]
    vector = builder.load(pointer_to(builder, address, ir.VectorType(element, lanes)))
    vector.align = lanes * _bytes(element)
    return [builder.extract_element(vector, constant(lane)) for lane in range(lanes)]


def place_vector(builder: Any, address: Any, element: ir.Type, parts: Sequence[Any]) -> None:
    """Stores the elements of a vector by one instruction."""
    if len(parts) == 1:
        builder.store(parts[0], pointer_to(builder, address, element))
        return
    vector = ir.Constant(ir.VectorType(element, len(parts)), ir.Undefined)
    for lane, part in enumerate(parts):
        vector = builder.insert_element(vector, part, constant(lane))
    builder.store(vector, pointer_to(builder, address, vector.type)).align = len(parts) * _bytes(element)


def elements_at(builder: Any, address: Any, size: int, lanes: int, signed: bool = False) -> list[Any]:
    """As many elements of 1 or 2 bytes, each in a word of its own; their signs in all of its upper bits, or zeros there.

    Several are loaded as words that they fill, by one instruction; the first one is in a word's lowest bits.
    """
    bits = 8 * size
    if lanes == 1:
        element = builder.load(pointer_to(builder, address, ir.IntType(bits)))
        return [builder.sext(element, WORD) if signed else builder.zext(element, WORD)]
    words = vector_at(builder, address, WORD, lanes * size // 4)
    return [_part(builder, word, start, bits, signed) for word in words for start in range(0, 32, bits)]


def _part(builder: Any, word: Any, start: int, bits: int, signed: bool) -> Any:
    if signed:
        return builder.ashr(builder.shl(word, constant(32 - bits - start)), constant(32 - bits))
    return builder.and_(builder.lshr(word, constant(start)), constant((1 << bits) - 1))


def place_elements(builder: Any, address: Any, size: int, parts: Sequence[Any]) -> None:
    """Stores elements of 1 or 2 bytes, which are the lowest bits of the words that are given."""
    bits = 8 * size
    if len(parts) == 1:
        builder.store(builder.trunc(parts[0], ir.IntType(bits)), pointer_to(builder, address, ir.IntType(bits)))
        return
    each = 32 // bits
    words = []
    for first in range(0, len(parts), each):
        word = builder.and_(parts[first], constant((1 << bits) - 1))
        for k in range(1, each):
            kept = builder.and_(parts[first + k], constant((1 << bits) - 1))
            word = builder.or_(word, builder.shl(kept, constant(k * bits)))
        words.append(word)
    place_vector(builder, address, WORD, words)


def _bytes(element: ir.Type) -> int:
    return 8 if isinstance(element, ir.DoubleType) else 4


def call(builder: Any, name: str, result: ir.Type, arguments: Sequence[Any], together: bool = False) -> Any:
    """Calls an intrinsic of NVVM; `together`, if it is one that threads of a warp make with each other."""
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(result, [argument.type for argument in arguments]), name)
        if together:
            function.attributes.add("convergent")
    return builder.call(function, arguments)
