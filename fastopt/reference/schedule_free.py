"""Schedule-Free SGD and AdamW, as plain NumPy."""

from __future__ import annotations

import math

import numpy as np

from fastopt.reference.operations import Array

__all__ = ["schedule_free_sgd"]


def schedule_free_sgd(
    p: Array,
    g: Array,
    z: Array,
    v: Array | None = None,
    *,
    step: int,
    lr: float,
    total_weight: float,
    largest_lr: float,
    warmup_steps: float,
    r: float,
    weight_lr_power: float,
    momentum: float = 0.0,
    betas: tuple[float, float] = (0.0, 0.0),
    eps: float = 0.0,
    decay: float = 0.0,
    adaptive: bool = False,
) -> tuple[Array | None, ...]:
    beta = betas[0] if adaptive else momentum
    if step < warmup_steps:
        lr = lr * (step / warmup_steps)
    try:
        weight = step**r * max(lr, largest_lr) ** weight_lr_power
    except OverflowError:
        weight = math.inf
    share = weight / (total_weight + weight) if total_weight + weight else 0.0
    if adaptive:
        assert v is not None
        root = math.sqrt(1.0 - betas[1] ** step)
        v = betas[1] * v + (1.0 - betas[1]) * (g * g)
        g = root * g / (np.sqrt(v) + eps * root) + decay * p
    return p + share * (z - p) + lr * (beta * (1.0 - share) - 1.0) * g, z - lr * g, v
