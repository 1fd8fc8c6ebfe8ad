"""The oracle: every formula once more, as plain NumPy, one function a rule and named like it.

Nothing here knows the rules or anything made from them; a test holds that. What the two sides share is the order of the
operations, which is part of a rule's definition: the results are the same bits, not nearly the same numbers. Python
floats meet arrays in the arrays' dtype (NEP 50), so each scalar is computed in float64 and rounded once.

A function takes one parameter, its gradient and its states, the step (1 at the first) and the hyperparameters, and
returns new arrays `(p, *states)`. This module is also the `numpy` backend's arithmetic.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def prepared(
    p: Array, g: Array, *, lr: float, weight_decay: float, decoupled: bool, maximize: bool, grad_scale: float
) -> tuple[Array, Array]:
    """What precedes every rule: the gradient unscaled and turned, and one of the two kinds of weight decay."""
    factor = (-1.0 if maximize else 1.0) / grad_scale
    if factor != 1.0:
        g = factor * g
    if weight_decay != 0.0:
        if decoupled:
            p = (1.0 - lr * weight_decay) * p
        else:
            g = g + weight_decay * p
    return p, g


def sgd(p: Array, g: Array, *, step: int, lr: float) -> tuple[Array, ...]:
    return (p - lr * g,)


def momentum(p: Array, g: Array, b: Array, *, step: int, lr: float, momentum: float, dampening: float) -> tuple[Array, ...]:
    weight = 1.0 if step == 1 else 1.0 - dampening
    b = momentum * b + weight * g
    return p - lr * b, b


def nesterov(p: Array, g: Array, b: Array, *, step: int, lr: float, momentum: float, dampening: float) -> tuple[Array, ...]:
    weight = 1.0 if step == 1 else 1.0 - dampening
    b = momentum * b + weight * g
    return p - lr * (g + momentum * b), b


def velocity(p: Array, g: Array, v: Array, *, step: int, lr: float, momentum: float) -> tuple[Array, ...]:
    v = momentum * v - lr * g
    return p + v, v


def nesterov_velocity(p: Array, g: Array, v: Array, *, step: int, lr: float, momentum: float) -> tuple[Array, ...]:
    v = momentum * v - lr * g
    return p + (momentum * v - lr * g), v


def averaged_momentum(p: Array, g: Array, v: Array, *, step: int, lr: float, beta: float) -> tuple[Array, ...]:
    v = beta * v + (1.0 - beta) * g
    return p - lr * v, v


def rmsprop(p: Array, g: Array, v: Array, *, step: int, lr: float, alpha: float, eps: float, eps_root: float) -> tuple[Array, ...]:
    v = alpha * v + (1.0 - alpha) * (g * g)
    return p - lr * g / (np.sqrt(v + eps_root) + eps), v


def rmsprop_centered(
    p: Array, g: Array, v: Array, a: Array, *, step: int, lr: float, alpha: float, eps: float, eps_root: float
) -> tuple[Array, ...]:
    v = alpha * v + (1.0 - alpha) * (g * g)
    a = alpha * a + (1.0 - alpha) * g
    return p - lr * g / (np.sqrt(v - a * a + eps_root) + eps), v, a


def rmsprop_momentum(
    p: Array, g: Array, v: Array, b: Array, *, step: int, lr: float, alpha: float, eps: float, eps_root: float, momentum: float
) -> tuple[Array, ...]:
    v = alpha * v + (1.0 - alpha) * (g * g)
    b = momentum * b + g / (np.sqrt(v + eps_root) + eps)
    return p - lr * b, v, b


def rmsprop_centered_momentum(
    p: Array, g: Array, v: Array, a: Array, b: Array, *, step: int, lr: float, alpha: float, eps: float, eps_root: float, momentum: float
) -> tuple[Array, ...]:
    v = alpha * v + (1.0 - alpha) * (g * g)
    a = alpha * a + (1.0 - alpha) * g
    b = momentum * b + g / (np.sqrt(v - a * a + eps_root) + eps)
    return p - lr * b, v, a, b


def _adam_step_size(step: int, lr: float, betas: tuple[float, float]) -> tuple[float, float]:
    """The bias corrections, moved out of the array arithmetic (see the text of the rule)."""
    correction1 = 1.0 - betas[0] ** step
    correction2 = 1.0 - betas[1] ** step
    return lr * math.sqrt(correction2) / correction1, correction2


def adam(
    p: Array, g: Array, m: Array, v: Array, *, step: int, lr: float, betas: tuple[float, float], eps: float, eps_root: float
) -> tuple[Array, ...]:
    step_size, correction2 = _adam_step_size(step, lr, betas)
    m = betas[0] * m + (1.0 - betas[0]) * g
    v = betas[1] * v + (1.0 - betas[1]) * (g * g)
    return p - step_size * m / (np.sqrt(v + eps_root * correction2) + eps * math.sqrt(correction2)), m, v


def amsgrad(
    p: Array, g: Array, m: Array, v: Array, v_max: Array, *, step: int, lr: float, betas: tuple[float, float], eps: float, eps_root: float
) -> tuple[Array, ...]:
    step_size, correction2 = _adam_step_size(step, lr, betas)
    m = betas[0] * m + (1.0 - betas[0]) * g
    v = betas[1] * v + (1.0 - betas[1]) * (g * g)
    # not np.maximum: which zero it returns for (+0, -0) depends on the CPU
    v_max = np.where((v_max > v) | np.isnan(v_max), v_max, v)
    return p - step_size * m / (np.sqrt(v_max + eps_root * correction2) + eps * math.sqrt(correction2)), m, v, v_max
