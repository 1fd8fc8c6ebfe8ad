"""Adam, AMSGrad and the cautious Adam, as plain NumPy."""

from __future__ import annotations

import math

import numpy as np

from fastopt.reference.operations import Array, maximum, zero

__all__ = ["adam"]


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
        v_max = divisor = maximum(v_max, of_max * v)
    change = step_size * m / (np.sqrt(divisor + eps_root) + eps)
    if cautious:
        change = np.where(m * g > 0.0, change, zero(change))
    return p - change, m, v, v_max
