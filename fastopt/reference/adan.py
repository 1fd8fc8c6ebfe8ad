"""Adan, as plain NumPy."""

from __future__ import annotations

import math

import numpy as np

from fastopt.reference.operations import Array

__all__ = ["adan"]


def adan(
    p: Array,
    g: Array,
    m: Array,
    e: Array,
    n: Array,
    before: Array,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float, float],
    eps: float,
    eps_root: float,
    complement: bool,
    decay: float,
) -> tuple[Array, ...]:
    corrections = [1.0 - beta**step for beta in betas]
    root = math.sqrt(corrections[2])
    weight = 1.0 - betas[1] if complement else betas[1]
    change = (0.0 if step == 1 else 1.0) * (g - before)
    ahead = g + weight * change
    m = betas[0] * m + (1.0 - betas[0]) * g
    e = betas[1] * e + (1.0 - betas[1]) * change
    n = betas[2] * n + (1.0 - betas[2]) * (ahead * ahead)
    step_ahead = lr * root / corrections[0] * m + lr * root * weight / corrections[1] * e
    return 1.0 / (1.0 + lr * decay) * (p - step_ahead / (np.sqrt(n + eps_root * corrections[2]) + eps * root)), m, e, n, g.copy()
