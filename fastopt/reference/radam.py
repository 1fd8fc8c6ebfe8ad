"""RAdam, as plain NumPy."""

from __future__ import annotations

import math

import numpy as np

from fastopt.reference.operations import Array

__all__ = ["radam"]


def radam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    eps_root: float,
    eps_hat: bool,
    threshold: float,
    nesterov: bool = False,
) -> tuple[Array, ...]:
    correction1, correction2 = 1.0 - betas[0] ** step, 1.0 - betas[1] ** step
    of_moment, of_gradient = lr / correction1, 0.0
    if nesterov:
        of_moment, of_gradient = lr * betas[0] / (1.0 - betas[0] ** (step + 1)), lr * (1.0 - betas[0]) / correction1
    longest = 2.0 / (1.0 - betas[1]) - 1.0
    length = longest - 2.0 * step * betas[1] ** step / correction2
    m = betas[0] * m + (1.0 - betas[0]) * g
    v = betas[1] * v + (1.0 - betas[1]) * (g * g)
    if length <= threshold:
        return p - (of_moment * m + of_gradient * g if nesterov else of_moment * m), m, v
    root = math.sqrt(correction2)
    rectification = math.sqrt((length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length))
    of_moment, of_gradient = of_moment * (root * rectification), of_gradient * (root * rectification)
    if not eps_hat:
        eps_root, eps = eps_root * correction2, eps * root
    ahead = of_moment * m + of_gradient * g if nesterov else of_moment * m
    return p - ahead / (np.sqrt(v + eps_root) + eps), m, v
