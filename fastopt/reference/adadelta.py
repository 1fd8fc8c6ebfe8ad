"""AdaDelta, as plain NumPy."""

from __future__ import annotations

import numpy as np

from fastopt.reference.operations import Array

__all__ = ["adadelta"]


def adadelta(p: Array, g: Array, v: Array, u: Array, *, step: int, lr: float, rho: float, eps: float) -> tuple[Array, ...]:
    v = rho * v + (1.0 - rho) * (g * g)
    change = np.sqrt(u + eps) / np.sqrt(v + eps) * g
    u = rho * u + (1.0 - rho) * (change * change)
    return p - lr * change, v, u
