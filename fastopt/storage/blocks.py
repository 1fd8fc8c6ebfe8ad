"""Block-scaled storage of 8 bits: a code for each element, and a float32 scale for each 256.

A number is a code's value times the scale, and the largest magnitude of a block has the largest code. Codes are rounded stochastically
(`fastopt.storage.noise`), since a moving average changes by less than 8 bits tell apart; on the average each number is stored as itself.
The scale is computed anew at each step, from numbers that were not rounded yet. Neither a division nor a root is taken for an element.

A float32's pattern of bits is about its logarithm. So to double the pattern is about to square, and to halve it about to take the root: the
very numbers at powers of two, and straight lines between. Codes are about roots of numbers, or roots of roots, by such lines:

- **signed**, for states that may be negative: -127 ... 127, whose values are about their squares (from 4^e over 2 * 4^e, half way, to
  4^(e+1) between 2^e and 2^(e+1)). The largest value is 16,128 times the smallest; a number below that is right on the average too.
- **unsigned**, for states that are never negative, and are divided by: 0 and 12 ... 255, whose values are about their fourth powers. The
  largest is 258,048 times the smallest, and **a number above zero never becomes zero**, however small it is beside its block's largest:
  it would be divided by. It becomes the smallest, so that its update is too small and not too large.

An average wanders, as noise moves its code, by the more the fewer codes there are: a root of v by 4 % at the block's largest, by some
12 % at a fiftieth of it. Below code 12 it would have room to wander to a third, and to an update three times too large.

A block with an infinity, a NaN or a number of 2^126 and more is one of NaN (its scale is). Numbers of blocks whose largest is below 2^-110
are stored as if that was their largest.

Threads may round otherwise than to nearest (`fastopt/host/mode.h`). So noise has a bit less than there is room for: rounded up, a zero
stays one, and the largest code is not exceeded.

The texts are in the language of `fastopt.storage.bits`; `encode` and `decode` state the same once more in NumPy, and are the oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.storage.bits import converted, halved, over, plus, times

__all__ = ["BLOCK", "BOUND", "SIGNED", "UNSIGNED", "Code", "decode", "encode"]

BLOCK = 256
"""Elements that have a scale together; work lists are cut at multiples of it."""
BOUND = 0x7E7FFFFF
"""The pattern of the largest number below 2^126. A block whose largest magnitude has a larger one is one of NaN, with codes of 0."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Code:
    """How blocks are coded, as texts on patterns of 32 bits, and as NumPy.

    Attributes
    ----------
    load, store
        `(code, scale)` to the number, the code with its sign in all 32 bits; and `(number, inverse, noise)` to the code, in the last 8
        bits, of a number that is not negative where the code has no sign.
    scale, inverse
        Of the largest magnitude of a block: its scale, and what numbers are multiplied by before they are coded.
    power
        Of which power of a code its value is about: 2 or 4.
    unit
        The value of code 1, or what it would be: a power of two.
    most, least
        The largest code, and the smallest of a number that is not zero: 0 where it may become zero.
    dtype
        NumPy's name of the codes' dtype.
    """

    load: Callable[[int, int], int]
    store: Callable[[int, int, int], int]
    scale: Callable[[int], int]
    inverse: Callable[[int], int]
    power: int
    unit: float
    most: int
    least: int
    dtype: str

    @property
    def signed(self) -> bool:
        """Whether numbers may be negative; of the others the magnitude is coded."""
        return self.dtype == "int8"

    @property
    def largest(self) -> float:
        """The value of the largest code."""
        return float(self.values(np.array([self.most]))[0])

    def values(self, codes: Array) -> Array:
        """What codes stand for, in scales."""
        magnitudes = np.abs(codes.astype(np.int32))
        patterns = _pattern(self.unit) + self.power * (_patterns(magnitudes.astype(np.float32)) - _pattern(1.0))
        sizes = np.where(magnitudes > 0, patterns, 0).astype(np.uint32).view(np.float32)
        found: Array = np.where(codes < 0, -sizes, sizes)
        return found

    def codes(self, sizes: Array, noise: Array) -> Array:
        """Codes of numbers in scales, which may have signs, by their noise."""
        magnitudes = np.abs(sizes)
        patterns = _pattern(1.0) + (_patterns(magnitudes) - _pattern(self.unit)) // self.power
        roots = patterns.astype(np.uint32).view(np.float32)
        if self.signed:
            roots = np.minimum(roots, magnitudes)
        middle = np.float32(384 if self.signed else 256)  # added, so that 15 bits are left behind the point
        share = (noise & np.uint32(0x7FFE)).astype(np.float32) * np.float32(2.0**-15)
        found: Array = (np.floor(np.copysign(roots, sizes) + (middle + share)) - middle).astype(np.int32)
        return found if self.signed else np.maximum(found, np.int32(self.least))


def _pattern(number: float) -> int:
    return int(np.float32(number).view(np.int32))


def _patterns(numbers: Array) -> Array:
    return numbers.view(np.int32).astype(np.int64)


def _signed_load(bits: int, scale: int) -> int:
    number = converted(bits)  # of a code with its sign
    doubled = number << 1
    size = (doubled if doubled > 0x3F800000 else 0x3F800000) - 0x3F800000
    return times(size, scale) | (number & 0x80000000)


def _signed_store(bits: int, inverse: int, noise: int) -> int:
    size = times(bits, inverse)
    half = (halved(size) & 0xBFFFFFFF) + 0x1FC00000  # with the sign of the size
    root = size if size < half else half  # of one sign, the smaller pattern is the smaller magnitude
    share = (noise & 0x7FFE) | 0x43C00000  # 384, and 14 bits behind the point
    return (plus(root, share) >> 15) - 128  # a number from 256 on and below 512, whose last 15 bits are behind the point


def _signed_scale(largest: int) -> int:
    scale = times(largest if largest > 0x08800000 else 0x08800000, 0x38820821)
    return 0x7FC00000 if largest > 0x7E7FFFFF else scale


def _signed_inverse(largest: int) -> int:
    inverse = over(0x467C0000, largest if largest > 0x08800000 else 0x08800000)
    return 0x3F800000 if largest > 0x7E7FFFFF else inverse


def _unsigned_load(bits: int, scale: int) -> int:
    size = (converted(bits) << 2) - 0xCE800000
    return times(size if bits > 0 else 0, scale)


def _unsigned_store(bits: int, inverse: int, noise: int) -> int:
    quartered = times(bits, inverse) >> 2  # 2^-103 times the root of the root
    share = (noise & 0x7FFE) | 0x10000000  # 2^-103 times 256, and 14 bits behind the point
    drawn = plus(quartered, share)
    code = drawn if drawn > 0x10060000 else 0x10060000  # of the smallest code, 12
    return (code if bits > 0 else 0) >> 15


def _unsigned_scale(largest: int) -> int:
    scale = times(largest if largest > 0x08800000 else 0x08800000, 0x3F820821)
    return 0x7FC00000 if largest > 0x7E7FFFFF else scale


def _unsigned_inverse(largest: int) -> int:
    inverse = over(0x3FFC0000, largest if largest > 0x08800000 else 0x08800000)  # twice, for which roots of roots are 2^-103 times theirs
    return 0x3F800000 if largest > 0x7E7FFFFF else inverse


SIGNED = Code(
    *(_signed_load, _signed_store, _signed_scale, _signed_inverse),
    power=2,
    unit=1.0,
    most=127,
    least=0,
    dtype="int8",
)
UNSIGNED = Code(
    *(_unsigned_load, _unsigned_store, _unsigned_scale, _unsigned_inverse),
    power=4,
    unit=2.0**-32,
    most=255,
    least=12,
    dtype="uint8",
)
OF_LARGEST = {code.dtype: np.float32(1 / code.largest) for code in (SIGNED, UNSIGNED)}
"""A scale, of the largest magnitude of its block: rounded here, before anybody has this thread round otherwise."""
SMALLEST = np.float32(2.0**-110)
HALF = np.uint32(0x4000)
"""Of 15 bits: the noise with which a number becomes its nearest code."""


def decode(code: Code, codes: Array, scales: Array) -> Array:
    """The numbers, in the order of memory, of codes in that order."""
    with np.errstate(all="ignore"):
        magnitudes = np.abs(code.values(codes)) * np.repeat(scales, BLOCK)[: codes.size]
    found: Array = np.copysign(magnitudes, np.where(codes < 0, np.float32(-1), np.float32(1)))
    return found


def encode(code: Code, numbers: Array, noise: Array | None = None) -> tuple[Array, Array]:
    """Codes and scales of float32 numbers in the order of memory; of their noise, or the nearest code of each."""
    noise = np.full(numbers.size, HALF) if noise is None else noise
    blocks = -(-numbers.size // BLOCK)
    own = np.zeros(blocks * BLOCK, np.float32)
    own[: numbers.size] = numbers if code.signed else np.abs(numbers)
    largest = np.abs(own).reshape(blocks, BLOCK).max(axis=1, initial=0.0)  # a NaN is the largest
    finite = largest <= np.uint32(BOUND).view(np.float32)
    bounded = np.maximum(np.where(finite, largest, np.float32(1)), SMALLEST)
    with np.errstate(all="ignore"):
        scales = np.where(finite, bounded * OF_LARGEST[code.dtype], np.float32(np.nan))
        inverse = np.where(finite, np.float32(code.largest) / bounded, np.float32(1))
        kept = np.where(np.repeat(finite, BLOCK), own, np.float32(0))[: numbers.size]
        sizes = kept * np.repeat(inverse, BLOCK)[: numbers.size]
        zero = kept.view(np.uint32) << np.uint32(1) == 0  # a denormal is none, in any mode
        found = np.where(zero, 0, code.codes(sizes, noise))
    return found.astype(code.dtype), scales.astype(np.float32)
