"""A float32 parameter in two arrays: the bfloat16 that a network computes with, and a correction that no step loses anything without.

    number = parameter + correction        in units of the last place that is kept: 2^-8 of bfloat16's, or 2^-16

A bfloat16 is the upper half of a float32's pattern of bits. The parameter is the nearest one, halves away from zero, so that the
correction, which is what the rest of the pattern comes to, has a sign and fits half a unit either way: 16 bits keep float32 as it is,
8 bits its first 24 of 32 (a significand of 16), rounded to nearest even, or by a counter's noise (`fastopt.storage.noise`).

Every pattern of a float32 goes there and back, apart from NaN: it stays one, and has the parameter be one too, which leaves it fewer
patterns than float32 has for it. A number beyond bfloat16's largest is an infinity in the parameter alone.

Who writes to the parameter and leaves the correction is half a unit off at the most. A zero has no correction below it (0 - 1 is a NaN's
pattern), and none is split so: of one that was written over what was negative, the sign is left out.

The texts are in the language of `fastopt.storage.bits`; `joined` and `parted` state the same once more in NumPy, and are the oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.storage.bits import unknown

__all__ = ["SPLIT24", "SPLIT24_DRAWN", "SPLIT32", "Split", "joined", "parted"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Split:
    """One way to split, as texts on patterns of 32 bits.

    Attributes
    ----------
    bits
        How many of a float32's are kept.
    dtype
        NumPy's name of the correction's dtype.
    load
        `(parameter, correction)` to the number, the correction with its sign in all 32 bits.
    store, rest
        `(number)`, or `(number, noise)`, to the parameter, and to the correction.
    """

    bits: int
    dtype: str
    load: Callable[[int, int], int]
    store: Callable[..., int]
    rest: Callable[..., int]


def _load32(bits: int, correction: int) -> int:
    own = correction if (bits & 0x7FFF) > 0 else correction & 0x7FFF
    return (bits << 16) + own


def _store32(bits: int) -> int:
    number = 0x7FC00000 if unknown(bits) > 0 else bits
    return (number + 0x8000) >> 16


def _rest32(bits: int) -> int:
    return 0x7FC00000 if unknown(bits) > 0 else bits


def _load24(bits: int, correction: int) -> int:
    own = correction if (bits & 0x7FFF) > 0 else correction & 0x7F
    return ((bits << 8) + own) << 8


def _store24(bits: int) -> int:
    kept = (bits + 0x7F + ((bits >> 8) & 1)) >> 8
    return 0x7FC0 if unknown(bits) > 0 else (kept + 0x80) >> 8


def _rest24(bits: int) -> int:
    kept = (bits + 0x7F + ((bits >> 8) & 1)) >> 8
    return 0 if unknown(bits) > 0 else kept


def _draw24(bits: int, noise: int) -> int:
    kept = (bits + (noise >> 24)) >> 8
    return 0x7FC0 if unknown(bits) > 0 else (kept + 0x80) >> 8


def _drawn_rest24(bits: int, noise: int) -> int:
    kept = (bits + (noise >> 24)) >> 8
    return 0 if unknown(bits) > 0 else kept


SPLIT32 = Split(32, "int16", _load32, _store32, _rest32)
SPLIT24 = Split(24, "int8", _load24, _store24, _rest24)
SPLIT24_DRAWN = Split(24, "int8", _load24, _draw24, _drawn_rest24)


def joined(split: Split, parameters: Array, corrections: Array) -> Array:
    """The float32 numbers that bfloat16 parameters and their corrections stand for."""
    unit = 2 ** (32 - split.bits)
    upper, wide = parameters.view(np.uint16).astype(np.int64), corrections.astype(np.int64)
    own = np.where(upper % 2**15 == 0, wide % 2 ** (split.bits - 17), wide)
    patterns = upper * 2**16 + own * unit
    found: Array = (patterns % 2**32).astype(np.uint32).view(np.float32)
    return found


def parted(split: Split, numbers: Array, dtype: Any, noise: Array | None = None) -> tuple[Array, Array]:
    """Parameters of bfloat16, whose dtype is given, and corrections of float32 numbers; rounded by noise where there is some."""
    unit = 2.0 ** (32 - split.bits)
    units = numbers.view(np.uint32) / unit  # float64, which has room for all of it
    whole = np.rint(units) if noise is None else np.floor(units + (noise >> np.uint32(24)) / 256.0)
    span = 2 ** (split.bits - 16)
    unknown = np.isnan(numbers)
    corrections = np.where(unknown, 0, (whole + span // 2) % span - span // 2)
    upper = ((whole - corrections) / span % 2**16).astype(np.uint16)
    parameters: Array = np.where(unknown, np.uint16(0x7FC0), upper).view(dtype)
    return parameters, corrections.astype(split.dtype)
