"""LLVM instructions that kernels on a device are made of, whoever compiles them: memory by address, and calls by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

__all__ = ["HALF", "SINGLE", "WORD", "call", "constant", "place_vector", "pointer_to", "vector_at"]

GLOBAL = 1
"""The address space of device memory in NVVM: loads from it are `ld.global`, not generic ones."""

WORD, HALF, SINGLE = ir.IntType(32), ir.IntType(16), ir.FloatType()


def constant(value: int) -> ir.Constant:
    """A constant of 32 bits."""
    return ir.Constant(ir.IntType(32), value)


def pointer_to(builder: Any, address: Any, pointee: ir.Type) -> Any:
    """An address, which is an integer until then, as a pointer into device memory."""
    return builder.inttoptr(address, ir.PointerType(pointee, GLOBAL))


def vector_at(builder: Any, address: Any, element: ir.Type, lanes: int) -> list[Any]:
    """The elements of a vector, loaded by one instruction."""
    vector = builder.load(pointer_to(builder, address, ir.VectorType(element, lanes)))
    vector.align = lanes * _bytes(element)
    return [builder.extract_element(vector, constant(lane)) for lane in range(lanes)]


def place_vector(builder: Any, address: Any, element: ir.Type, parts: Sequence[Any]) -> None:
    """Stores the elements of a vector by one instruction."""
    vector = ir.Constant(ir.VectorType(element, len(parts)), ir.Undefined)
    for lane, part in enumerate(parts):
        vector = builder.insert_element(vector, part, constant(lane))
    builder.store(vector, pointer_to(builder, address, vector.type)).align = len(parts) * _bytes(element)


def _bytes(element: ir.Type) -> int:
    return 8 if isinstance(element, ir.DoubleType) else 4


def call(builder: Any, name: str, result: ir.Type, arguments: Sequence[Any]) -> Any:
    """Calls an intrinsic of NVVM."""
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(result, [argument.type for argument in arguments]), name)
    return builder.call(function, arguments)
