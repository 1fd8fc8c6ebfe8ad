"""AdEMAMix, as plain NumPy."""

from __future__ import annotations

import math

import numpy as np

from fastopt.reference.operations import Array

__all__ = ["ademamix"]


def ademamix(
    p: Array,
    g: Array,
    m: Array,
    s: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float, float],
    alpha: float,
    eps: float,
    eps_root: float,
    alpha_warmup: float,
    beta3_warmup: float,
) -> tuple[Array, ...]:
    beta1, beta2, beta3 = betas
    if step < alpha_warmup:
        alpha = step * alpha / alpha_warmup
    if step < beta3_warmup:
        share = step / beta3_warmup
        inverse = (1.0 - share) * (1.0 / math.log(beta1) if beta1 else 0.0) + share * (1.0 / math.log(beta3) if beta3 else 0.0)
        beta3 = min(math.exp(1.0 / inverse) if inverse else 0.0, beta3)
    root = math.sqrt(1.0 - beta2**step)
    m = beta1 * m + (1.0 - beta1) * g
    s = beta3 * s + (1.0 - beta3) * g
    v = beta2 * v + (1.0 - beta2) * (g * g)
    ahead = lr * root / (1.0 - beta1**step) * m + lr * root * alpha * s
    return p - ahead / (np.sqrt(v + eps_root * (1.0 - beta2**step)) + eps * root), m, s, v
