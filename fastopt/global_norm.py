"""The norm of all gradients together, in plain NumPy: the order in which every backend takes its sum, and their oracle.

Floating-point sums depend on their order. This one does not depend on threads, chunks, vector widths or devices: squares are taken in
float64 and summed over blocks of 256 elements of each tensor, in the order of memory; the blocks' sums, of all tensors in their order, are
summed over blocks of 256 in the same way, until one is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "LANES", "block_sums", "factor", "global_norm", "total"]

BLOCK, LANES = 256, 16
"""Elements of a block, and partial sums within one."""


def block_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums of blocks of 256 values (of float64, in the order of memory), the last one perhaps shorter, in an order that is fixed.

    Lane k of 16 adds up the elements k, k + 16, k + 32, ... of a block; then the upper half of the lanes is added to the lower
    one, and so on until one is left.
    """
    blocks = -(-len(values) // BLOCK)
    padded = np.zeros(blocks * BLOCK)
    padded[: len(values)] = values
    lanes = np.zeros((blocks, LANES))
    for row in range(BLOCK // LANES):
        lanes += padded.reshape(blocks, BLOCK // LANES, LANES)[:, row]
    for half in (8, 4, 2, 1):
        lanes = lanes[:, :half] + lanes[:, half:]
    return lanes[:, 0]


def total(sums: NDArray[np.float64]) -> float:
    """The sum of all blocks' sums, which are taken by blocks themselves until one is left."""
    while len(sums) > 1:
        sums = block_sums(sums)
    return float(sums[0]) if len(sums) else 0.0


def global_norm(gradients: Sequence[NDArray[Any]]) -> float:
    """The root of the sum of all squares, in float64: of all gradients together, in their order."""
    sums = [block_sums(np.square(g.reshape(-1), dtype=np.float64)) for g in gradients]
    return math.sqrt(total(np.concatenate([np.zeros(0), *sums])))


def factor(norm: float, max_norm: float) -> float:
    """What gradients of a norm are multiplied by so that it is `max_norm` at most: 1 up to that, 0 of an infinite norm, NaN of NaN."""
    return 1.0 if norm <= max_norm else max_norm / norm
