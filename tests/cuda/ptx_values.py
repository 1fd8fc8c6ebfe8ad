"""What PTX's instructions make of values, on NumPy: the arithmetic of `ptx_machine`, which knows threads and memory."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DTYPES", "NARROW", "WIDE", "compared", "computed", "constant", "converted", "permuted", "register_type", "shifted", "signed"]

Array = NDArray[Any]
DTYPES: dict[str, Any] = {
    "f32": np.float32,
    "f64": np.float64,
    "b64": np.int64,
    "u64": np.int64,
    "s64": np.int64,
    "b32": np.uint32,
    "u32": np.uint32,
    "s32": np.uint32,
    "b16": np.uint16,
    "u16": np.uint16,
    "s16": np.uint16,
    "b8": np.uint8,
    "u8": np.uint8,
    "s8": np.uint8,
    "pred": np.bool_,
}
"""What an operand of a kind is kept as. Arithmetic on it wraps; where the sign matters it is looked at as of the kind's own (`signed`)."""

REGISTERS = {"%f": np.float32, "%fd": np.float64, "%rd": np.int64, "%r": np.uint32, "%rs": np.uint16, "%p": np.bool_}
"""What a register holds, by the beginning of its name."""

VIEWS: dict[str, Any] = {"s8": np.int8, "s16": np.int16, "s32": np.int32, "u64": np.uint64}

NARROW = ("u8", "s8", "u16", "s16")
WIDE = {np.uint16: "u16", np.uint32: "u32"}
"""What is loaded into wider registers, and what those are read as."""

ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def compared(comparison: str, a: Array, b: Array) -> Any:
    """False where either is NaN; the comparisons that end in u are true there."""
    unordered = np.isnan(a) | np.isnan(b) if a.dtype.kind == "f" else np.False_
    if comparison == "nan":
        return unordered
    if comparison in ORDERED:
        return ORDERED[comparison](a, b) & ~unordered
    if comparison.endswith("u") and comparison[:-1] in ORDERED:
        return ORDERED[comparison[:-1]](a, b) | unordered
    raise NotImplementedError(f"setp.{comparison}")


def signed(values: Array, kind: str) -> Array:
    """Values as what is looked at where the sign matters."""
    return values.view(VIEWS[kind]) if kind in VIEWS else values


def permuted(low: Array, high: Array, choice: Array) -> Array:
    """Bytes of two words, chosen by the four lowest digits of a third."""
    together = low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32)
    found = np.zeros_like(together)
    for k in range(4):
        digit = choice.astype(np.uint64) >> np.uint64(4 * k) & np.uint64(15)
        if (digit >= 8).any():
            raise NotImplementedError(f"prmt of signs: {choice}")
        found |= (together >> np.uint64(8) * digit & np.uint64(255)) << np.uint64(8 * k)
    return found.astype(np.uint32)


@cache
def register_type(name: str) -> Any:
    """What a register holds."""
    return REGISTERS[name.rstrip("0123456789")]


@cache
def constant(text: str, dtype: Any) -> Array:
    """A constant operand: an integer, or the bits of a float."""
    if text.startswith("0f"):
        value = np.array(struct.unpack(">f", bytes.fromhex(text[2:]))[0], np.float32)
    elif text.startswith("0d"):
        value = np.array(struct.unpack(">d", bytes.fromhex(text[2:]))[0], np.float64)
    else:
        value = np.array(int(text) % (1 << 8 * np.dtype(dtype).itemsize) if dtype in (np.uint32, np.uint16) else int(text), dtype)
    value.flags.writeable = False
    return value


def shifted(name: str, kind: str, values: Array, by: Array) -> Array:
    """To the left, or to the right with zeros or the sign."""
    if (by >= 8 * values.itemsize).any():
        raise NotImplementedError(f"{name}.{kind} by {by.max()}")
    if name == "shl":
        return np.asarray(values << by.astype(values.dtype))
    seen = signed(values, kind)
    return np.asarray(seen >> by.astype(seen.dtype)).view(values.dtype)


def computed(name: str, modifiers: tuple[str, ...], values: list[Array]) -> Array:
    """What an instruction makes of its operands that looks at nothing else."""
    kind = modifiers[-1]
    if name == "cvt":
        return converted(modifiers, values[0])
    if kind in ("f32", "f64"):
        return rounded(name, modifiers, values)
    simple: dict[str, Callable[..., Any]] = {
        "add": np.add,
        "sub": np.subtract,
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
        "neg": np.negative,
        "not": np.invert,
        "mov": np.array,
    }
    if name in simple and len(modifiers) == 1:
        return np.asarray(simple[name](*values))
    if name in ("min", "max") and kind in ("s64", "u32"):
        return np.asarray({"min": np.minimum, "max": np.maximum}[name](*values))
    if name == "div" and kind in ("u32", "u64"):
        return np.asarray(np.floor_divide(*(signed(value, kind) for value in values))).view(DTYPES[kind])
    if name in ("mul", "mad") and modifiers[0] == "lo":
        product = np.asarray(values[0] * values[1])
        return product if name == "mul" else np.asarray(product + values[2])
    if name == "mul" and modifiers in (("wide", "u32"), ("wide", "u16")):
        wide = {"u32": np.int64, "u16": np.uint32}[kind]
        return np.asarray(values[0].astype(wide) * values[1].astype(wide))
    raise NotImplementedError(f"{name}.{'.'.join(modifiers)}")


def converted(modifiers: tuple[str, ...], value: Array) -> Array:
    """To more or fewer bits of an integer, to a wider type, which holds every value, or with the rounding asked for."""
    *rounding, to, of = modifiers
    integers = not rounding and to[0] == of[0] and to[0] in "us" and of[0] in "us"
    to_nearest = rounding == ["rn"] and (to, of) in {("f32", "s16"), ("f32", "u16"), ("f32", "s32"), ("f32", "f64")}
    to_zero = rounding == ["rzi"] and (to, of) in {("s32", "f32"), ("s64", "f32")}
    if not (integers or to_nearest or to_zero or modifiers == ("f64", "f32")):
        raise NotImplementedError(f"cvt.{'.'.join(modifiers)}")
    found = signed(value, of)
    return found.astype(VIEWS.get(to, DTYPES[to])).view(DTYPES[to]) if to[0] in "us" else found.astype(DTYPES[to])


def rounded(name: str, modifiers: tuple[str, ...], values: list[Array]) -> Array:
    """An operation on floats, which is exact, or rounds once and says so."""
    exact: dict[str, Callable[..., Any]] = {"neg": np.negative, "abs": np.abs, "mov": np.array}
    if name in exact and len(modifiers) == 1:
        return np.asarray(exact[name](*values))
    once: dict[str, Callable[..., Any]] = {"add": np.add, "mul": np.multiply, "div": np.divide, "sqrt": np.sqrt}
    if name in once and modifiers[:-1] == ("rn",):
        return np.asarray(once[name](*values))
    raise NotImplementedError(f"{name}.{'.'.join(modifiers)}")
