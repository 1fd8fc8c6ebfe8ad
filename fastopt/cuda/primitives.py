"""What the generated kernels are made of: the names that their source imports, each an instruction or a few.

Arithmetic goes through NVVM's intrinsics that round each operation by itself (`mul.rn`, what libdevice's `fmul_rn` is made of): the
compiler contracts the operators into fused multiply-adds, and no option keeps it from that. Everything is an intrinsic, none a device
function: those ask for a device while they are compiled. Loads and stores of each storage are made in `fastopt.cuda.access`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from fastopt.cuda.access import loads_and_stores
from fastopt.cuda.llvm import WORD, call, constant, pointer_to
from fastopt.cuda.streams import WARP
from fastopt.cuda.toolchain import intrinsic


def _load(element: types.Type) -> Any:
    @intrinsic
    def load(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.load(pointer_to(builder, arguments[0], context.get_value_type(element)))

        return element(types.int64), generate

    return load


def _position(register: str) -> Any:
    """A special register as a 64-bit integer: in Numba a thread's index has 32 bits, and so would what is computed from it."""

    @intrinsic
    def position(typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.zext(call(builder, f"llvm.nvvm.read.ptx.sreg.{register}", ir.IntType(32), []), ir.IntType(64))

        return types.int64(), generate

    return position


def _binary(element: types.Type, operation: str, negate: bool = False) -> Any:
    """One correctly rounded operation. With `negate`, on a and -b: a + (-b) is a - b to the last bit."""

    @intrinsic
    def rounded(typing_context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, b = arguments
            if negate:
                b = builder.fsub(ir.Constant(b.type, -0.0), b)
            return call(builder, f"llvm.nvvm.{operation}.rn.{_suffix(element)}", a.type, [a, b])

        return element(element, element), generate

    return rounded


def _unary(element: types.Type, name: str) -> Any:
    @intrinsic
    def rounded(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return call(builder, name, arguments[0].type, arguments)

        return element(element), generate

    return rounded


def _suffix(element: types.Type) -> str:
    return "f" if element == types.float32 else "d"


def _extremum(element: types.Type, comparison: str) -> Any:
    """The first where it compares so with the second, or is NaN; else the second (see `fastopt.rules.language`)."""

    @intrinsic
    def extremum(typing_context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, b = arguments
            first = builder.or_(builder.fcmp_ordered(comparison, a, b), builder.fcmp_unordered("uno", a, a))
            return builder.select(first, a, b)

        return element(element, element), generate

    return extremum


def _sign(element: types.Type) -> Any:
    """1, -1, +0 or NaN."""

    @intrinsic
    def sign(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x = arguments[0]
            zero, one, minus_one = (ir.Constant(x.type, value) for value in (0.0, 1.0, -1.0))
            positive = builder.select(builder.fcmp_ordered(">", x, zero), one, zero)
            signed = builder.select(builder.fcmp_ordered("<", x, zero), minus_one, positive)
            return builder.select(builder.fcmp_unordered("uno", x, x), x, signed)

        return element(element), generate

    return sign


def _select(element: types.Type) -> Any:
    @intrinsic
    def select(typing_context: Any, test: Any, then: Any, otherwise: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.select(*arguments)

        return element(types.boolean, element, element), generate

    return select


def _number(element: types.Type, value: float) -> Any:
    @intrinsic
    def number(typing_context: Any) -> Any:
        return element(), lambda context, builder, signature, arguments: ir.Constant(context.get_value_type(element), value)

    return number


def _converted(to: types.Type, of: types.Type, operation: str) -> Any:
    @intrinsic
    def converted(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, operation)(arguments[0], context.get_value_type(to))

        return to(of), generate

    return converted


@intrinsic
def no_magnitude(typing_context: Any) -> Any:
    """The pattern of 0, for a start."""
    return types.uint32(), lambda context, builder, signature, arguments: constant(0)


@intrinsic
def larger_magnitude(typing_context: Any, largest: Any, number: Any) -> Any:
    """The larger of a pattern of a magnitude and that of a number's: a NaN is the largest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        magnitude = builder.and_(builder.bitcast(arguments[1], WORD), constant(0x7FFFFFFF))
        return _larger(builder, arguments[0], magnitude)

    return types.uint32(types.uint32, types.float32), generate


@intrinsic
def largest_of_warp(typing_context: Any, own: Any) -> Any:
    """The largest of the patterns that the threads of a warp have; all of them have to be here, and all get it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        largest, apart = arguments[0], WARP
        while apart > 1:
            apart //= 2
            given = [constant(0xFFFFFFFF), largest, constant(apart), constant(WARP - 1)]
            other = call(builder, "llvm.nvvm.shfl.sync.bfly.i32", WORD, given, together=True)
            largest = _larger(builder, largest, other)
        return largest

    return types.uint32(types.uint32), generate


@intrinsic
def warp_together(typing_context: Any) -> Any:
    """Has the threads of a warp wait for each other: what one of them has read before, another may write to behind it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        call(builder, "llvm.nvvm.bar.warp.sync", ir.VoidType(), [constant(0xFFFFFFFF)], together=True)
        return context.get_dummy_value()

    return types.void(), generate


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.icmp_unsigned(">", a, b), a, b)


thread_index, thread_count = _position("tid.x"), _position("ntid.x")
block_index, block_count = _position("ctaid.x"), _position("nctaid.x")
load_int64 = _load(types.int64)
zero_float64, one_float64 = _number(types.float64, 0.0), _number(types.float64, 1.0)
float64_of_float32 = _converted(types.float64, types.float32, "fpext")
float32_of_float64 = _converted(types.float32, types.float64, "fptrunc")
int64_of_float32 = _converted(types.int64, types.float32, "fptosi")

for _element in (types.float32, types.float64):
    _names = {
        "add": _binary(_element, "add"),
        "subtract": _binary(_element, "add", negate=True),
        "multiply": _binary(_element, "mul"),
        "divide": _binary(_element, "div"),
        "sqrt": _unary(_element, f"llvm.nvvm.sqrt.rn.{_suffix(_element)}"),
        "absolute": _unary(_element, f"llvm.nvvm.fabs.{_suffix(_element)}"),
        "maximum": _extremum(_element, ">"),
        "minimum": _extremum(_element, "<"),
        "sign": _sign(_element),
        "select": _select(_element),
    }
    globals().update({f"{name}_{_element}": function for name, function in _names.items()})
globals().update(loads_and_stores())
