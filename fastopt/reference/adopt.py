"""ADOPT, as plain NumPy."""

from __future__ import annotations

import math

import numpy as np

from fastopt.reference.operations import Array, maximum, minimum

__all__ = ["adopt"]


def adopt(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    clipping: bool,
    clip_exponent: float,
    nesterov: bool = False,
) -> tuple[Array, ...]:
    beta1, of_quotient, beta2, of_square = (1.0, 0.0, 0.0, 1.0) if step == 1 else (betas[0], 1.0 - betas[0], betas[1], 1.0 - betas[1])
    bound = 0.0 if step == 1 else (step - 1) ** clip_exponent if clipping else math.inf
    bound, eps = (g.dtype.type(limit) for limit in (bound, 1.0 if step == 1 else eps))
    quotient = minimum(bound, maximum(-bound, g / maximum(eps, np.sqrt(v))))
    m = beta1 * m + of_quotient * quotient
    p = p - lr * (beta1 * m + of_quotient * quotient if nesterov else m)
    return p, m, beta2 * v + of_square * (g * g)
