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
    initial_accumulator_value: float = 0.0,
    bias_correction: bool = False,
    momentum: float = 0.0,
    centered: bool = False,
    buffered: bool = False,
    velocity: bool = False,
    nesterov: bool = False,
) -> tuple[Array | None, ...]:
    v = alpha * v + (1.0 - alpha) * (g * g)
    correction = 1.0 - alpha**step if bias_correction else 1.0
    square = v
    if centered:
        assert a is not None
        a = alpha * a + (1.0 - alpha) * g
        square = v - 1.0 / correction * (a * a)
    # the bias correction, moved out of the root (see the text of the rule)
    root = np.sqrt(square + eps * correction) if eps_inside_root else np.sqrt(square) + eps * math.sqrt(correction)
    g = math.sqrt(correction) * g
    if not buffered:
        return p - lr * g / root, v, a, b
    assert b is not None
    if velocity:
        increment = lr * g / root
        b = momentum * b + increment
        return p - (increment + momentum * b if nesterov else b), v, a, b
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
    bias_correction: tuple[bool, bool] = (True, True),
    corrected_max: bool = False,
    amsgrad: bool = False,
    cautious: bool = False,
) -> tuple[Array | None, ...]:
    correction1 = 1.0 - betas[0] ** step if bias_correction[0] else 1.0
    correction2 = 1.0 - betas[1] ** step if bias_correction[1] else 1.0
    # the bias corrections, moved out of the array arithmetic (see the text of the rule)
    step_size, of_max = lr * math.sqrt(correction2) / correction1, 1.0
    if corrected_max:
        step_size, of_max = lr / correction1, 1.0 / correction2
    elif not eps_hat:
        eps_root, eps = eps_root * correction2, eps * math.sqrt(correction2)
    m = betas[0] * m + (1.0 - betas[0]) * g
    v = betas[1] * v + (1.0 - betas[1]) * (g * g)
    divisor = v
    if amsgrad:
        assert v_max is not None
        v_max = divisor = _maximum(v_max, of_max * v)
    change = step_size * m / (np.sqrt(divisor + eps_root) + eps)
    if cautious:
        change = np.where(m * g > 0.0, change, _zero(change))
    return p - change, m, v, v_max


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


def adadelta(p: Array, g: Array, v: Array, u: Array, *, step: int, lr: float, rho: float, eps: float) -> tuple[Array, ...]:
    v = rho * v + (1.0 - rho) * (g * g)
    change = np.sqrt(u + eps) / np.sqrt(v + eps) * g
    u = rho * u + (1.0 - rho) * (change * change)
    return p - lr * change, v, u


def adamax(
    p: Array, g: Array, m: Array, u: Array, *, step: int, lr: float, betas: tuple[float, float], eps: float, eps_outside: bool
) -> tuple[Array, ...]:
    m = betas[0] * m + (1.0 - betas[0]) * g
    u = _maximum(betas[1] * u, np.abs(g) + (0.0 if eps_outside else eps))
    return p - lr / (1.0 - betas[0] ** step) * m / (u + (eps if eps_outside else 0.0)), m, u


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


def rprop(
    p: Array,
    g: Array,
    before: Array,
    size: Array,
    *,
    step: int,
    lr: float,
    etas: tuple[float, float],
    step_sizes: tuple[float, float],
) -> tuple[Array, ...]:
    agreement = g * before
    size = 0.0 * size + lr if step == 1 else size + 0.0
    smaller, larger, smallest, largest = (size.dtype.type(value) for value in (*etas, *step_sizes))
    factor = np.where(agreement < 0.0, smaller, np.where(agreement > 0.0, larger, size.dtype.type(1.0)))
    size = _minimum(largest, _maximum(smallest, size * factor))
    g = np.where(agreement < 0.0, _zero(g), g)
    return p - size * np.sign(g), g, size


def lion(p: Array, g: Array, m: Array, *, step: int, lr: float, betas: tuple[float, float]) -> tuple[Array, ...]:
    interpolated = betas[0] * m + (1.0 - betas[0]) * g
    return p - lr * np.sign(interpolated), betas[1] * m + (1.0 - betas[1]) * g


def signsgd(
    p: Array, g: Array, m: Array | None = None, *, step: int, lr: float, momentum: float = 0.0, averaged: bool = False
) -> tuple[Array | None, ...]:
    if not averaged:
        return p - lr * np.sign(g), m
    assert m is not None
    m = momentum * m + (1.0 - momentum) * g
    return p - lr * np.sign(m), m


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
    quotient = _minimum(bound, _maximum(-bound, g / _maximum(eps, np.sqrt(v))))
    m = beta1 * m + of_quotient * quotient
    p = p - lr * (beta1 * m + of_quotient * quotient if nesterov else m)
    return p, m, beta2 * v + of_square * (g * g)


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


def _maximum(a: Any, b: Any) -> Any:
    """The larger one, b where they compare equal: np.maximum leaves it to the CPU which zero it returns for (+0, -0)."""
    return np.where((a > b) | np.isnan(a), a, b)


def _minimum(a: Any, b: Any) -> Any:
    return np.where((a < b) | np.isnan(a), a, b)


def _zero(like: Array) -> Any:
    """0 in the dtype of an array, which a Python float would change under np.where."""
    return like.dtype.type(0.0)
