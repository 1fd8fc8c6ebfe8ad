"""Rprop, as plain NumPy."""

from __future__ import annotations

import numpy as np

from fastopt.reference.operations import Array, maximum, minimum, zero

__all__ = ["rprop"]


def rprop(
    p: Array,
    g: Array,
    before: Array,
    size: Array,
    *,
    step: int,
    lr: float,
    etas: tuple[float, float],
    step_sizes: tuple[float, float],
) -> tuple[Array, ...]:
    agreement = g * before
    size = 0.0 * size + lr if step == 1 else size + 0.0
    smaller, larger, smallest, largest = (size.dtype.type(value) for value in (*etas, *step_sizes))
    factor = np.where(agreement < 0.0, smaller, np.where(agreement > 0.0, larger, size.dtype.type(1.0)))
    size = minimum(largest, maximum(smallest, size * factor))
    g = np.where(agreement < 0.0, zero(g), g)
    return p - size * np.sign(g), g, size
