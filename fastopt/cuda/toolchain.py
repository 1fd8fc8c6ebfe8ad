"""numba-cuda: what the generated kernels are made of, and how their source becomes PTX. No GPU is needed for either.

The only file that imports `numba.cuda`. Three things are done in ways of their own,
since the usual ones lose bits or speed:

- arithmetic goes through NVVM's intrinsics that round each operation by itself (`mul.rn`, what libdevice's `fmul_rn` is made of):
  the compiler contracts the operators into fused multiply-adds, and no option keeps it from that;
- loads and stores are intrinsics on plain addresses, a vector one a single instruction of 16 bytes: four neighbouring scalar ones
  would stay four;
- everything is an intrinsic, none a device function: those ask for a device while they are compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cuda, types
from numba.cuda.extending import intrinsic

from fastopt.cuda.llvm import HALF, WORD, call, constant, place_vector, pointer_to, vector_at
from fastopt.cuda.narrow import loaded, stored
from fastopt.storage import OF_STATES, STORAGES
from fastopt.storage.bits import BitText

__all__ = ["compile_to_ptx"]

VECTOR = 16


def _load(element: types.Type) -> Any:
    @intrinsic
    def load(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.load(pointer_to(builder, arguments[0], context.get_value_type(element)))

        return element(types.int64), generate

    return load


def _store(element: types.Type) -> Any:
    @intrinsic
    def store(typing_context: Any, address: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            builder.store(arguments[1], pointer_to(builder, arguments[0], context.get_value_type(element)))
            return context.get_dummy_value()

        return types.void(types.int64, element), generate

    return store


def _load_vector(element: types.Type, lanes: int) -> Any:
    @intrinsic
    def load_vector(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            parts = vector_at(builder, arguments[0], context.get_value_type(element), lanes)
            return context.make_tuple(builder, signature.return_type, parts)

        return types.UniTuple(element, lanes)(types.int64), generate

    return load_vector


def _store_vector(element: types.Type, lanes: int) -> Any:
    @intrinsic
    def store_vector(typing_context: Any, address: Any, values: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            parts = [builder.extract_value(arguments[1], lane) for lane in range(lanes)]
            place_vector(builder, arguments[0], context.get_value_type(element), parts)
            return context.get_dummy_value()

        return types.void(types.int64, types.UniTuple(element, lanes)), generate

    return store_vector


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


def _load_narrow(text: BitText) -> Any:
    @intrinsic
    def load(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            half = builder.load(pointer_to(builder, arguments[0], HALF))
            return loaded(text, builder, builder.zext(half, WORD))

        return types.float32(types.int64), generate

    return load


def _store_narrow(text: BitText) -> Any:
    @intrinsic
    def store(typing_context: Any, address: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            half = builder.trunc(stored(text, builder, arguments[1]), HALF)
            builder.store(half, pointer_to(builder, arguments[0], HALF))
            return context.get_dummy_value()

        return types.void(types.int64, types.float32), generate

    return store


def _load_narrow_vector(text: BitText, lanes: int) -> Any:
    """Words of two elements each, the first one in the lower half."""

    @intrinsic
    def load_vector(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            parts = []
            for word in vector_at(builder, arguments[0], WORD, lanes // 2):
                parts += [builder.and_(word, constant(0xFFFF)), builder.lshr(word, constant(16))]
            return context.make_tuple(builder, signature.return_type, [loaded(text, builder, part) for part in parts])

        return types.UniTuple(types.float32, lanes)(types.int64), generate

    return load_vector


def _store_narrow_vector(text: BitText, lanes: int) -> Any:
    @intrinsic
    def store_vector(typing_context: Any, address: Any, values: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            parts = [stored(text, builder, builder.extract_value(arguments[1], lane)) for lane in range(lanes)]
            pairs = zip(parts[::2], parts[1::2], strict=True)
            words = [builder.or_(low, builder.shl(high, constant(16))) for low, high in pairs]
            place_vector(builder, arguments[0], WORD, words)
            return context.get_dummy_value()

        return types.void(types.int64, types.UniTuple(types.float32, lanes)), generate

    return store_vector


def _store_drawn(text: BitText) -> Any:
    @intrinsic
    def store(typing_context: Any, address: Any, value: Any, noise: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            drawn = builder.trunc(arguments[2], WORD)
            half = builder.trunc(stored(text, builder, arguments[1], drawn), HALF)
            builder.store(half, pointer_to(builder, arguments[0], HALF))
            return context.get_dummy_value()

        return types.void(types.int64, types.float32, types.int64), generate

    return store


def _store_drawn_vector(text: BitText, lanes: int) -> Any:
    """`(address, values, noise, along)`: the noise of the first value, and how much larger that of the next is."""

    @intrinsic
    def store_vector(typing_context: Any, address: Any, values: Any, noise: Any, along: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            drawn, step = (builder.trunc(argument, WORD) for argument in arguments[2:])
            parts = []
            for lane in range(lanes):
                parts.append(stored(text, builder, builder.extract_value(arguments[1], lane), drawn))
                drawn = builder.add(drawn, step)
            pairs = zip(parts[::2], parts[1::2], strict=True)
            words = [builder.or_(low, builder.shl(high, constant(16))) for low, high in pairs]
            place_vector(builder, arguments[0], WORD, words)
            return context.get_dummy_value()

        return types.void(types.int64, types.UniTuple(types.float32, lanes), types.int64, types.int64), generate

    return store_vector


thread_index, thread_count = _position("tid.x"), _position("ntid.x")
block_index, block_count = _position("ctaid.x"), _position("nctaid.x")
load_int64 = _load(types.int64)
zero_float64, one_float64 = _number(types.float64, 0.0), _number(types.float64, 1.0)
float64_of_float32 = _converted(types.float64, types.float32, "fpext")
float32_of_float64 = _converted(types.float32, types.float64, "fptrunc")
int64_of_float32 = _converted(types.int64, types.float32, "fptosi")

for _element in (types.float32, types.float64):
    _lanes = VECTOR * 8 // _element.bitwidth  # a wider stream, with which a vector would have fewer, is computed with in another dtype
    _names = {
        "load": _load(_element),
        "store": _store(_element),
        f"load_{_lanes}": _load_vector(_element, _lanes),
        f"store_{_lanes}": _store_vector(_element, _lanes),
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

for _storage in (*STORAGES.values(), *OF_STATES.values()):
    if _storage.texts is not None and _storage.itemsize == 2:  # the loads above take halves of words; `source` refuses others
        _loading, _storing = _storage.texts
        _storing_one, _storing_several = (_store_drawn, _store_drawn_vector) if _storage.draws else (_store_narrow, _store_narrow_vector)
        _names = {"load": _load_narrow(_loading), "store": _storing_one(_storing)}
        for _lanes in (4, 8):  # beside streams of float32, and without any
            _names |= {
                f"load_{_lanes}": _load_narrow_vector(_loading, _lanes),
                f"store_{_lanes}": _storing_several(_storing, _lanes),
            }
        globals().update({f"{name}_{_storage.name}": function for name, function in _names.items()})


def compile_to_ptx(source: str, name: str, parameters: Sequence[np.dtype[Any]], capability: tuple[int, int], threads: int) -> str:
    """PTX of the function `name` of a source text, for a compute capability such as (9, 0).

    `parameters` are the types of its arguments; it may be launched with up to `threads` threads a block.
    """
    namespace: dict[str, Any] = {"__name__": f"fastopt_cuda_{name}"}
    exec(compile(source, f"<fastopt {name}>", "exec"), namespace)
    signature = tuple(getattr(types, parameter.name) for parameter in parameters)
    ptx, _ = cuda.compile(namespace[name], signature, device=False, abi="numba", cc=capability, output="ptx", launch_bounds=threads)
    return str(ptx)
