"""Lion, as plain NumPy."""

from __future__ import annotations

import numpy as np

from fastopt.reference.operations import Array

__all__ = ["lion"]


def lion(p: Array, g: Array, m: Array, *, step: int, lr: float, betas: tuple[float, float]) -> tuple[Array, ...]:
    interpolated = betas[0] * m + (1.0 - betas[0]) * g
    return p - lr * np.sign(interpolated), betas[1] * m + (1.0 - betas[1]) * g
