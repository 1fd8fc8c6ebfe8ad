"""What the generated Numba kernels are made of besides arithmetic: memory by address, and the functions of a rule.

The functions are written without literals: `x > 0` would compare in float64 and halve the width of the vectors.
"""

from __future__ import annotations

import math
import platform
from typing import Any

from llvmlite import ir
from numba import float32, float64, int8, int16, int64, njit, types, uint8, uint16, uint32
from numba.core import cgutils
from numba.extending import intrinsic

from fastopt.storage.bits import OPERATORS

__all__ = [
    "absolute",
    "as_bits",
    "as_float",
    "bits_constant",
    "bits_converted",
    "bits_halved",
    "bits_over",
    "bits_plus",
    "bits_select",
    "bits_times",
    "bits_unknown",
    "buffer",
    "called",
    "filled",
    "float32_pointer",
    "float64_pointer",
    "inverses",
    "int8_pointer",
    "int16_pointer",
    "int64_pointer",
    "larger",
    "maximum",
    "minimum",
    "mode",
    "room_of_8",
    "room_of_512",
    "room_of_1024",
    "room_of_2048",
    "sign_float32",
    "sign_float64",
    "sqrt",
    "table",
    "take_mode",
    "uint8_pointer",
    "uint16_pointer",
    *OPERATORS.values(),
]


def _pointer(element: types.Type) -> Any:
    @intrinsic
    def pointer(typing_context: Any, address: Any) -> Any:
        signature = types.CPointer(element)(types.int64)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return signature, generate

    return pointer


float32_pointer = _pointer(float32)
float64_pointer = _pointer(float64)
int64_pointer = _pointer(int64)
int8_pointer = _pointer(int8)
int16_pointer = _pointer(int16)
uint8_pointer = _pointer(uint8)
uint16_pointer = _pointer(uint16)


@intrinsic
def called(typing_context: Any, kernel: Any, addresses_at: Any, width: Any, rows_at: Any, first: Any, last: Any, scalars_at: Any) -> Any:
    """What the kernel at an address returns (`fastopt_kernel` of `pool.h`)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        function = builder.inttoptr(arguments[0], ir.FunctionType(ir.IntType(32), [word] * 6).as_pointer())
        return builder.sext(builder.call(function, arguments[1:]), word)

    return int64(*[int64] * 7), generate


# --- how a thread does arithmetic (`fastopt/host/mode.h`): what helpers take over from the thread that calls them

MACHINE = platform.machine().lower()
MODE_BITS = {"x86_64": 0xE040, "amd64": 0xE040, "aarch64": 0x03C80000, "arm64": 0x03C80000}.get(MACHINE, 0)


def _read_mode(builder: Any) -> Any:
    if MACHINE in ("aarch64", "arm64"):
        found = _llvm(builder, ir.FunctionType(ir.IntType(64), []), "llvm.aarch64.get.fpcr")
        return builder.call(found, [])
    place = cgutils.alloca_once(builder, ir.IntType(32))
    read = _llvm(builder, ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()]), "llvm.x86.sse.stmxcsr")
    builder.call(read, [builder.bitcast(place, ir.IntType(8).as_pointer())])
    return builder.zext(builder.load(place), ir.IntType(64))


def _write_mode(builder: Any, value: Any) -> None:
    if MACHINE in ("aarch64", "arm64"):
        write = _llvm(builder, ir.FunctionType(ir.VoidType(), [ir.IntType(64)]), "llvm.aarch64.set.fpcr")
        builder.call(write, [value])
        return
    place = cgutils.alloca_once_value(builder, builder.trunc(value, ir.IntType(32)))
    write = _llvm(builder, ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()]), "llvm.x86.sse.ldmxcsr")
    builder.call(write, [builder.bitcast(place, ir.IntType(8).as_pointer())])


def _llvm(builder: Any, kind: ir.FunctionType, name: str) -> Any:
    return cgutils.get_or_insert_function(builder.module, kind, name)


@intrinsic
def mode(typing_context: Any) -> Any:
    """How the calling thread rounds, and whether it flushes denormals to zero; 0 where that is not known."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = ir.Constant(ir.IntType(64), MODE_BITS)
        return builder.and_(_read_mode(builder), bits) if MODE_BITS else bits

    return int64(), generate


@intrinsic
def take_mode(typing_context: Any, wanted: Any) -> Any:
    """Has the calling thread do as another one does."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if MODE_BITS:
            kept = builder.and_(_read_mode(builder), ir.Constant(ir.IntType(64), ~MODE_BITS))
            _write_mode(builder, builder.or_(kept, arguments[0]))
        return context.get_dummy_value()

    return types.none(types.int64), generate


sqrt = math.sqrt
absolute = abs


@njit(error_model="numpy")
def maximum(a: Any, b: Any) -> Any:
    return a if (a > b) | (a != a) else b


@njit(error_model="numpy")
def minimum(a: Any, b: Any) -> Any:
    return a if (a < b) | (a != a) else b


def _sign(dtype: types.Type) -> Any:
    zero, one = dtype(0), dtype(1)

    @njit(error_model="numpy")
    def sign(x: Any) -> Any:
        positive = one if x > zero else zero
        negative = -one if x < zero else positive
        return x if x != x else negative

    return sign


sign_float32, sign_float64 = _sign(float32), _sign(float64)


# --- patterns of 32 bits (fastopt.storage.bits): intrinsics, since Numba's own operators would widen them to 64

WORD, SINGLE = ir.IntType(32), ir.FloatType()


def _unary(result: types.Type, argument: types.Type, build: Any) -> Any:
    @intrinsic
    def function(typing_context: Any, x: Any) -> Any:
        return result(argument), lambda context, builder, signature, arguments: build(builder, *arguments)

    return function


def _binary(build: Any) -> Any:
    @intrinsic
    def function(typing_context: Any, a: Any, b: Any) -> Any:
        return uint32(uint32, uint32), lambda context, builder, signature, arguments: build(builder, *arguments)

    return function


@intrinsic
def bits_select(typing_context: Any, test: Any, then: Any, otherwise: Any) -> Any:
    return uint32(types.boolean, uint32, uint32), lambda context, builder, signature, arguments: builder.select(*arguments)


def _of_singles(operation: str) -> Any:
    """An operation on what two patterns stand for."""

    def build(builder: Any, a: Any, b: Any) -> Any:
        return builder.bitcast(getattr(builder, operation)(builder.bitcast(a, SINGLE), builder.bitcast(b, SINGLE)), WORD)

    return build


def _is_nan(builder: Any, x: Any) -> Any:
    return builder.zext(builder.fcmp_unordered("uno", x, x), WORD)


as_bits = _unary(uint32, float32, lambda builder, x: builder.bitcast(x, WORD))
as_float = _unary(float32, uint32, lambda builder, bits: builder.bitcast(bits, SINGLE))
bits_constant = uint32
bits_plus, bits_times, bits_over = (_binary(_of_singles(operation)) for operation in ("fadd", "fmul", "fdiv"))
bits_converted = _unary(uint32, uint32, lambda builder, n: builder.bitcast(builder.sitofp(n, SINGLE), WORD))
bits_halved = _unary(uint32, uint32, lambda builder, n: builder.ashr(n, ir.Constant(WORD, 1)))
bits_unknown = _unary(uint32, uint32, lambda builder, bits: _is_nan(builder, builder.bitcast(bits, SINGLE)))
bits_multiply = _binary(lambda builder, a, b: builder.mul(a, b))
bits_add, bits_subtract = _binary(lambda builder, a, b: builder.add(a, b)), _binary(lambda builder, a, b: builder.sub(a, b))
bits_and, bits_or = _binary(lambda builder, a, b: builder.and_(a, b)), _binary(lambda builder, a, b: builder.or_(a, b))
bits_left, bits_right = _binary(lambda builder, a, b: builder.shl(a, b)), _binary(lambda builder, a, b: builder.lshr(a, b))


def _on_the_stack(kind: Any, element: Any, count: int) -> Any:
    """So many numbers on the stack of the function that asks: LLVM knows that no other pointer goes there, and makes vectors of loops."""

    @intrinsic
    def found(typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = cgutils.alloca_once(builder, ir.ArrayType(element, count))
            place.align = 64  # vectors that cross lines of the cache would take twice as long, in some processes and not in others
            return builder.bitcast(place, context.get_value_type(signature.return_type))

        return types.CPointer(kind)(), generate

    return found


def _room(size: int) -> Any:
    """The address of so many bytes on the stack of the function that asks."""

    @intrinsic
    def found(typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = cgutils.alloca_once(builder, ir.ArrayType(ir.IntType(8), size))
            place.align = 64
            return builder.ptrtoint(place, ir.IntType(64))

        return types.int64(), generate

    return found


buffer, inverses, table = _on_the_stack(float32, SINGLE, 512), _on_the_stack(uint32, WORD, 2), _on_the_stack(uint32, WORD, 256)
room_of_8, room_of_512, room_of_1024, room_of_2048 = (_room(size) for size in (8, 512, 1024, 2048))
lanes = _on_the_stack(float64, ir.DoubleType(), 16)


@njit(error_model="numpy")
def filled(to: Any, of: Any, count: Any) -> None:
    """Copies so many elements, and the last one of them to all that is behind."""
    last = of[count - 1]
    for i in range(count):
        to[i] = of[i]
    for i in range(count, len(to)):
        to[i] = last


@njit(error_model="numpy")
def larger(largest: Any, number: Any) -> Any:
    """The larger of a pattern of a magnitude and that of a number's: a NaN is the largest."""
    magnitude = bits_and(as_bits(number), bits_constant(0x7FFFFFFF))
    return bits_select(largest > magnitude, largest, magnitude)
