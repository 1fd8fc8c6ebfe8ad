"""What numbers are rounded by where they are rounded stochastically: a counter's pattern, which no state remembers.

    noise of element e of stream k at step t  =  (e A_k + t T_k) mod 2^32

A number between two neighbours that storage has is rounded away from zero if its distance from the lower one and the noise, as a share
of the whole, come to more than one, and so on the average to itself. A_k and T_k are the fractional parts of square roots of different
primes: shares of such a sequence (Kronecker's) are spread over elements and over steps more evenly than random ones, so that averages
come out sooner and moving averages wander less. Their first 16 bits stand in the upper half, and once more in the lower half, which is
a sequence of its own: a mask takes it, where the upper one takes a shift, which AVX-512 has half as many of. An element takes an
addition where a hash takes ten operations, and the bits are the same everywhere: elements are counted over all parameters of an
optimizer in whole blocks of 256, steps by the tensor's own count.
"""

from __future__ import annotations

import math
from functools import cache as once

import numpy as np
from numpy.typing import NDArray

__all__ = ["SCALARS", "factors", "numbers", "step_scalars"]

SCALARS = ("step_low", "step_high")
"""The scalars of a kernel that rounds stochastically besides its rule's: the low and the next 16 bits of the step, exact in every dtype."""


def step_scalars(step: int) -> tuple[float, float]:
    """Their values."""
    return float(step & 0xFFFF), float(step >> 16 & 0xFFFF)


@once
def factors(stream: int) -> tuple[int, int]:
    """A_k and T_k of a stream, which is 0 for the parameter, and 1 and up for states; odd, so that no element's noise stands still."""
    return _root_part(2 * stream), _root_part(2 * stream + 1)


def _root_part(place: int) -> int:
    """The first 16 bits behind the point of the square root of a prime, twice; the last of them is 1."""
    return (math.isqrt(_primes(place + 1)[place] << 32) & 0xFFFF) * 0x10001 | 1


@once
def _primes(count: int) -> tuple[int, ...]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return tuple(found)


def numbers(of_stream: tuple[int, int], first: int, count: int, step: int) -> NDArray[np.uint32]:
    """The noise of so many elements from one on, by the factors of their stream."""
    along, between = of_stream
    start = (first * along + step * between) & 0xFFFFFFFF
    return (np.arange(count, dtype=np.uint64) * np.uint64(along) + np.uint64(start)).astype(np.uint32)
