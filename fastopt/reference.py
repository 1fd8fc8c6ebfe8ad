"""The oracle: every formula once more, as plain NumPy, one function for each rule's text and named like it.

Nothing here knows the rules or anything made from them; a test holds that. What the two sides share is the order of the
operations, which is part of a rule's definition: the results are the same bits, not nearly the same numbers. Python
floats meet arrays in the arrays' dtype (NEP 50), so each scalar is computed in float64 and rounded once.

A function takes one parameter, its gradient and its states, the step (1 at the first) and the hyperparameters, and
returns new arrays `(p, *states)`. Where a rule has forms it takes their options as keywords too, and hyperparameters that a form has
no use for are not given; a state that a form does not keep is None, in what it takes and in what it returns. This module is also the
`numpy` backend's arithmetic.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def prepared(
    p: Array, g: Array, *, lr: float, weight_decay: float, decoupled: bool, maximize: bool, grad_scale: float, clip: float = 1.0
) -> tuple[Array, Array]:
    """What precedes every rule: the gradient clipped, unscaled and turned, and one of the two kinds of weight decay."""
    factor = (-1.0 if maximize else 1.0) * clip / grad_scale
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


def momentum(
    p: Array,
    g: Array,
    b: Array,
    *,
    step: int,
    lr: float,
    momentum: float,
    dampening: float = 0.0,
    averaged: bool = False,
    nesterov: bool = False,
    velocity: bool = False,
) -> tuple[Array, ...]:
    if velocity:
        b = momentum * b - lr * g
        return p + (momentum * b - lr * g) if nesterov else p + b, b
    weight = 1.0 - dampening
    if averaged:
        weight = 1.0 - momentum
    elif step == 1:
        weight = 1.0
    b = momentum * b + weight * g
    return p - lr * (g + momentum * b) if nesterov else p - lr * b, b


def adagrad(
    p: Array,
    g: Array,
    h: Array,
    *,
    step: int,
    lr: float,
    lr_decay: float,
    initial_accumulator_value: float,
    eps: float,
    eps_inside_root: bool,
) -> tuple[Array, ...]:
    h = h + g * g
    root = np.sqrt(h + eps) if eps_inside_root else np.sqrt(h) + eps
    return p - lr / (1.0 + (step - 1) * lr_decay) * g / root, h


def rmsprop(
    p: Array,
    g: Array,
    v: Array,
    a: Array | None = None,
    b: Array | None = None,
    *,
    step: int,
    lr: float,
    alpha: float,
    eps: float,
    eps_inside_root: bool = False,
    momentum: float = 0.0,
    centered: bool = False,
    buffered: bool = False,
    velocity: bool = False,
) -> tuple[Array | None, ...]:
    v = alpha * v + (1.0 - alpha) * (g * g)
    square = v
    if centered:
        assert a is not None
        a = alpha * a + (1.0 - alpha) * g
        square = v - a * a
    root = np.sqrt(square + eps) if eps_inside_root else np.sqrt(square) + eps
    if not buffered:
        return p - lr * g / root, v, a, b
    assert b is not None
    if velocity:
        b = momentum * b + lr * g / root
        return p - b, v, a, b
    b = momentum * b + g / root
    return p - lr * b, v, a, b


def adam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    v_max: Array | None = None,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    eps_root: float = 0.0,
    eps_hat: bool = False,
    amsgrad: bool = False,
) -> tuple[Array | None, ...]:
    correction1, correction2 = 1.0 - betas[0] ** step, 1.0 - betas[1] ** step
    # the bias corrections, moved out of the array arithmetic (see the text of the rule)
    step_size = lr * math.sqrt(correction2) / correction1
    if not eps_hat:
        eps_root, eps = eps_root * correction2, eps * math.sqrt(correction2)
    m = betas[0] * m + (1.0 - betas[0]) * g
    v = betas[1] * v + (1.0 - betas[1]) * (g * g)
    divisor = v
    if amsgrad:
        assert v_max is not None
        # not np.maximum: which zero it returns for (+0, -0) depends on the CPU
        v_max = divisor = np.where((v_max > v) | np.isnan(v_max), v_max, v)
    return p - step_size * m / (np.sqrt(divisor + eps_root) + eps), m, v, v_max


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
) -> tuple[Array, ...]:
    mu = betas[0] * (1.0 - 0.5 * 0.96 ** (step * momentum_decay))
    next_mu = betas[0] * (1.0 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
    product = momentum_product * mu
    root = math.sqrt(1.0 - betas[1] ** step)
    m = betas[0] * m + (1.0 - betas[0]) * g
    v = betas[1] * v + (1.0 - betas[1]) * (g * g)
    ahead = lr * root * (1.0 - mu) / (1.0 - product) * g + lr * root * next_mu / (1.0 - product * next_mu) * m
    return p - ahead / (np.sqrt(v) + eps * root), m, v
