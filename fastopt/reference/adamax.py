"""AdaMax, as plain NumPy."""

from __future__ import annotations

import numpy as np

from fastopt.reference.operations import Array, maximum

__all__ = ["adamax"]


def adamax(
    p: Array, g: Array, m: Array, u: Array, *, step: int, lr: float, betas: tuple[float, float], eps: float, eps_outside: bool
) -> tuple[Array, ...]:
    m = betas[0] * m + (1.0 - betas[0]) * g
    u = maximum(betas[1] * u, np.abs(g) + (0.0 if eps_outside else eps))
    return p - lr / (1.0 - betas[0] ** step) * m / (u + (eps if eps_outside else 0.0)), m, u
