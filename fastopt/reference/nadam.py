"""NAdam, as plain NumPy."""

from __future__ import annotations

import math

import numpy as np

from fastopt.reference.operations import Array

__all__ = ["nadam"]


def nadam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    momentum_product: float,
    betas: tuple[float, float],
    eps: float,
    momentum_decay: float,
    eps_root: float = 0.0,
) -> tuple[Array, ...]:
    mu = betas[0] * (1.0 - 0.5 * 0.96 ** (step * momentum_decay))
    next_mu = betas[0] * (1.0 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
    product = momentum_product * mu
    correction2 = 1.0 - betas[1] ** step
    root = math.sqrt(correction2)
    m = betas[0] * m + (1.0 - betas[0]) * g
    v = betas[1] * v + (1.0 - betas[1]) * (g * g)
    ahead = lr * root * (1.0 - mu) / (1.0 - product) * g + lr * root * next_mu / (1.0 - product * next_mu) * m
    return p - ahead / (np.sqrt(v + eps_root * correction2) + eps * root), m, v
