"""Block-scaled storage of 8 bits: a code for each element, and a float32 scale for each 256.

A number is a code's value times the scale, and the largest magnitude of a block has the largest code. Codes are rounded stochastically
(`fastopt.storage.noise`), since a moving average changes by less than 8 bits tell apart; on the average each number is stored as itself.
The scale is computed anew at each step, from numbers that were not rounded yet. Two codes, both without a division or a root an element:

- **signed**, for states that may be negative: -127 ... 127, whose value is about the square of the code. Between c = 2^e and 2^(e+1) it
  goes in two lines from 4^e over 2 * 4^e, half way, to 4^(e+1), which a float32's pattern of bits does when it is doubled; so it is right
  on the average from c = 2 on, and below 1. The largest value is 16,128 times the smallest.
- **unsigned**, for states that are never negative, and are divided by: 160 ... 255 are equal steps of 1/128 from 1/4 to 127/128, 1 ... 159
  are floating-point numbers below that, of three bits behind the leading one, down to 2^-22 of the largest; 0 is zero. **A number
  above zero never becomes zero**, however small it is beside its block's largest: it would be divided by.

A block with an infinity, a NaN or a number of 2^126 and more is one of NaN (its scale is). Numbers of blocks whose largest is below 2^-110
are stored as if that was their largest.

The texts are in the language of `fastopt.storage.bits`; `encode` and `decode` state the same once more in NumPy, and are the oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.storage.bits import converted, over, plus, times, truncated

__all__ = ["BLOCK", "SIGNED", "UNSIGNED", "Code", "decode", "encode"]

BLOCK = 256
"""Elements that have a scale together; work lists are cut at multiples of it."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Code:
    """How blocks are coded, as texts on patterns of 32 bits, and as NumPy.

    Attributes
    ----------
    load, store
        `(code, scale)` to the number, the code with its sign in all 32 bits, and `(number, kept, inverse, noise)` to the code.
    scale, inverse, kept
        Of the largest magnitude of a block: its scale, what numbers are multiplied by before they are coded, and the mask of what of them
        is kept (nothing in a block that is one of NaN).
    values, codes
        From codes to their values and from multiplied magnitudes with noise to codes of magnitudes, in NumPy.
    largest
        The value of the largest code.
    dtype
        NumPy's name of the codes' dtype.
    """

    load: Callable[[int, int], int]
    store: Callable[[int, int, int, int], int]
    scale: Callable[[int], int]
    inverse: Callable[[int], int]
    kept: Callable[[int], int]
    values: Callable[[Array], Array]
    codes: Callable[[Array, Array], Array]
    largest: float
    dtype: str


def _kept(largest: int) -> int:
    return 0 if largest > 0x7E7FFFFF else 0x7FFFFFFF


def _signed_load(bits: int, scale: int) -> int:
    number = converted(bits)  # of a code with its sign
    square = (number << 1) - 0x3F800000
    return times(square if bits > 0 else 0, scale) | (number & 0x80000000)


def _signed_store(bits: int, kept: int, inverse: int, noise: int) -> int:
    size = times(bits & kept, inverse)
    root = size if size < 0x3F800000 else (size + 0x3F800000) >> 1
    drawn = plus(root, (noise >> 9) | 0x3F800000)  # one more than between here and the next
    magnitude = truncated(drawn if drawn < 0x43000000 else 0x43000000) - 1
    return 0 - magnitude if bits > 0x7FFFFFFF else magnitude


def _signed_scale(largest: int) -> int:
    scale = times(largest if largest > 0x08800000 else 0x08800000, 0x38820821)
    return 0x7FC00000 if largest > 0x7E7FFFFF else scale


def _signed_inverse(largest: int) -> int:
    inverse = over(0x467C0000, largest if largest > 0x08800000 else 0x08800000)
    return 0x3F800000 if largest > 0x7E7FFFFF else inverse


def _signed_values(codes: Array) -> Array:
    magnitude = np.abs(codes.astype(np.int32))
    bits = magnitude.astype(np.float32).view(np.int32)
    value = np.where(magnitude > 0, 2 * bits.astype(np.int64) - 0x3F800000, 0).astype(np.uint32).view(np.float32)
    return np.where(codes < 0, -value, value)


def _signed_codes(sizes: Array, noise: Array) -> Array:
    roots = ((sizes.view(np.int32).astype(np.int64) + 0x3F800000) >> 1).astype(np.uint32).view(np.float32)
    share = ((noise >> np.uint32(9)) | np.uint32(0x3F800000)).view(np.float32)
    return np.minimum(np.where(sizes < 1, sizes, roots) + share, np.float32(128)).astype(np.int32) - 1


def _unsigned_load(bits: int, scale: int) -> int:
    fine = plus((bits + 0x3F00) << 16, 0xBF800000)
    number = fine if bits > 159 else (bits + 840) << 20
    return times(number if bits > 0 else 0, scale)


def _unsigned_store(bits: int, kept: int, inverse: int, noise: int) -> int:
    size = times(bits & kept, inverse)
    fine = ((plus(size, 0x3F800000) + (noise >> 16)) >> 16) - 0x3F00
    coarse = (size + (noise >> 12)) >> 20
    code = fine if size > 0x3E7FFFFF else (coarse if coarse > 841 else 841) - 840
    return (code if code < 255 else 255) if (bits & kept) > 0 else 0


def _unsigned_scale(largest: int) -> int:
    scale = times(largest if largest > 0x08800000 else 0x08800000, 0x3F810204)
    return 0x7FC00000 if largest > 0x7E7FFFFF else scale


def _unsigned_inverse(largest: int) -> int:
    inverse = over(0x3F7E0000, largest if largest > 0x08800000 else 0x08800000)
    return 0x3F800000 if largest > 0x7E7FFFFF else inverse


def _unsigned_values(codes: Array) -> Array:
    coarse = ((codes.astype(np.int64) + 840) << 20).astype(np.uint32).view(np.float32)
    fine = ((codes.astype(np.int32) - 128) / 128).astype(np.float32)
    return np.where(codes >= 160, fine, np.where(codes > 0, coarse, np.float32(0)))


def _unsigned_codes(sizes: Array, noise: Array) -> Array:
    bits = sizes.view(np.int32).astype(np.int64)
    fine = ((sizes + np.float32(1)).view(np.int32).astype(np.int64) + (noise >> np.uint32(16))) >> 16
    coarse = (bits + (noise >> np.uint32(12))) >> 20
    return np.minimum(np.where(sizes >= 0.25, fine - 0x3F00, np.maximum(coarse - 840, 1)), 255)


SIGNED = Code(
    *(_signed_load, _signed_store, _signed_scale, _signed_inverse, _kept, _signed_values, _signed_codes), largest=16128.0, dtype="int8"
)
UNSIGNED = Code(
    *(_unsigned_load, _unsigned_store, _unsigned_scale, _unsigned_inverse, _kept, _unsigned_values, _unsigned_codes),
    largest=127 / 128,
    dtype="uint8",
)
SMALLEST, LARGEST = np.float32(2.0**-110), np.float32(2.0**126)


def decode(code: Code, codes: Array, scales: Array) -> Array:
    """The numbers, in the order of memory, of codes in that order."""
    with np.errstate(all="ignore"):
        found: Array = code.values(codes) * np.repeat(scales, BLOCK)[: codes.size]
    return found


def encode(code: Code, numbers: Array, noise: Array) -> tuple[Array, Array]:
    """Codes and scales of float32 numbers in the order of memory."""
    blocks = -(-numbers.size // BLOCK)
    sizes = np.zeros(blocks * BLOCK, np.float32)
    sizes[: numbers.size] = np.abs(numbers)
    largest = sizes.reshape(blocks, BLOCK).max(axis=1, initial=0.0)  # a NaN is the largest
    finite = largest < LARGEST
    bounded = np.maximum(np.where(finite, largest, np.float32(1)), SMALLEST)
    with np.errstate(all="ignore"):
        scales = np.where(finite, bounded * np.float32(1 / code.largest), np.float32(np.nan))
        inverse = np.where(finite, np.float32(code.largest) / bounded, np.float32(1))
        kept = np.where(np.repeat(finite, BLOCK), sizes, np.float32(0))[: numbers.size]
        magnitudes = np.where(kept > 0, code.codes(kept * np.repeat(inverse, BLOCK)[: numbers.size], noise), 0)
    signed = code.dtype == "int8" and np.signbit(numbers)
    return np.where(signed, -magnitudes, magnitudes).astype(code.dtype), scales.astype(np.float32)
