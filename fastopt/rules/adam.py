"""Adam and AMSGrad. AdamW is Adam with decoupled weight decay, which `fastopt.rules.prologue` gives to every rule.

The textbook divides both moments by their bias corrections c1 = 1 - beta1^t and c2 = 1 - beta2^t:

    p <- p - lr (m / c1) / (sqrt(v / c2 + eps_root) + eps)

Multiplying numerator and denominator by sqrt(c2) moves the corrections into scalars, which the host computes once a step:

    p <- p - step_size m / (sqrt(v + c2 eps_root) + sqrt(c2) eps),     step_size = lr sqrt(c2) / c1

One square root and one division an element remain, which are the slow operations; torch's unfused loop has a second
division, by sqrt(c2).
"""

from __future__ import annotations

import math

from fastopt.rules.entry import NON_NEGATIVE, UNIT, Hyperparameter, rule
from fastopt.rules.language import maximum, sqrt

_HYPERPARAMETERS = {
    "betas": Hyperparameter((0.9, 0.999), UNIT),
    "eps": Hyperparameter(1e-8, NON_NEGATIVE),
    "eps_root": Hyperparameter(0.0, NON_NEGATIVE),
}


def _scalars(step: int, lr: float, betas: tuple[float, float], eps: float, eps_root: float) -> tuple[float, ...]:
    beta1, beta2 = betas
    correction1 = 1.0 - beta1**step
    correction2 = 1.0 - beta2**step
    root = math.sqrt(correction2)
    return lr * root / correction1, beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps_root * correction2, eps * root


@rule(
    states=("m", "v"),
    hyperparameters=_HYPERPARAMETERS,
    scalars=_scalars,
    equation=(
        "m <- beta1 m + (1 - beta1) g;   v <- beta2 v + (1 - beta2) g^2;   "
        "p <- p - lr (m / c1) / (sqrt(v / c2 + eps_root) + eps),   c1 = 1 - beta1^t, c2 = 1 - beta2^t"
    ),
    source="D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015",
    default_lr=1e-3,
)
def adam(p, g, m, v, step_size, beta1, one_minus_beta1, beta2, one_minus_beta2, eps_root, eps):
    m = beta1 * m + one_minus_beta1 * g
    v = beta2 * v + one_minus_beta2 * (g * g)
    return p - step_size * m / (sqrt(v + eps_root) + eps), m, v


@rule(
    states=("m", "v", "v_max"),
    hyperparameters=_HYPERPARAMETERS,
    scalars=_scalars,
    equation=(
        "m <- beta1 m + (1 - beta1) g;   v <- beta2 v + (1 - beta2) g^2;   v_max <- max(v_max, v);   "
        "p <- p - lr (m / c1) / (sqrt(v_max / c2 + eps_root) + eps),   c1 = 1 - beta1^t, c2 = 1 - beta2^t"
    ),
    source="S. J. Reddi, S. Kale and S. Kumar, On the convergence of Adam and beyond, ICLR 2018; the maximum as torch's",
    default_lr=1e-3,
)
def amsgrad(p, g, m, v, v_max, step_size, beta1, one_minus_beta1, beta2, one_minus_beta2, eps_root, eps):
    m = beta1 * m + one_minus_beta1 * g
    v = beta2 * v + one_minus_beta2 * (g * g)
    v_max = maximum(v_max, v)
    return p - step_size * m / (sqrt(v_max + eps_root) + eps), m, v, v_max
