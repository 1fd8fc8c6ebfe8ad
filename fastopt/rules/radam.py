"""RAdam: Adam whose steps are rectified while the second moment rests on too few gradients to be trusted.

    r_inf = 2 / (1 - beta2) - 1,     r_t = r_inf - 2 t beta2^t / (1 - beta2^t)          how many gradients the second moment averages
    r_t > threshold:   p <- p - lr R (m / c1) / (sqrt(v / c2) + eps),     R^2 = (r_t - 4) (r_t - 2) r_inf / ((r_inf - 4) (r_inf - 2) r_t)
    else:              p <- p - lr m / c1

All but the roots is the same for every element, and so is computed on the host. torch adds eps to the root before its bias correction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastopt.rules.domain import Interval
from fastopt.rules.entry import FLAG, NON_NEGATIVE, UNIT, Form, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import sqrt

FOUR_OR_MORE = Interval(4.0, math.inf)
"""At 4 and below the rectification is no root of a positive number."""


def _scalars(
    step: int, lr: float, betas: tuple[float, float], eps: float, eps_root: float, eps_hat: bool, threshold: float, nesterov: bool = False
) -> tuple[float, ...]:
    beta1, beta2 = betas
    correction1, correction2 = 1.0 - beta1**step, 1.0 - beta2**step
    of_moment = lr / correction1
    of_gradient = 0.0
    if nesterov:
        of_moment, of_gradient = lr * beta1 / (1.0 - beta1 ** (step + 1)), lr * (1.0 - beta1) / correction1
    most = 2.0 / (1.0 - beta2) - 1.0
    length = most - 2.0 * step * beta2**step / correction2
    rectified = length > threshold
    if rectified:
        root = math.sqrt(correction2)
        size = root * math.sqrt((length - 4.0) * (length - 2.0) * most / ((most - 4.0) * (most - 2.0) * length))
        of_moment, of_gradient = of_moment * size, of_gradient * size
        if not eps_hat:
            eps_root, eps = eps_root * correction2, eps * root
    return of_moment, of_gradient, beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps_root, eps, float(rectified), 0.0


_EQUATION = (
    "m <- beta1 m + (1 - beta1) g;   v <- beta2 v + (1 - beta2) g^2;   r_t = r_inf - 2 t beta2^t / c2, r_inf = 2 / (1 - beta2) - 1;   "
    "p <- p - lr R_t {} / (sqrt(v / c2) + eps) where r_t > threshold, else p <- p - lr {},   c1 = 1 - beta1^t, c2 = 1 - beta2^t"
)
_AHEAD = "(beta1 m / (1 - beta1^(t+1)) + (1 - beta1) g / c1)"


@rule(
    states=("m", "v"),
    non_negative=("v",),
    hyperparameters={
        "betas": Hyperparameter((0.9, 0.999), UNIT),
        "eps": Hyperparameter(1e-8, NON_NEGATIVE),
        "eps_root": Hyperparameter(0.0, NON_NEGATIVE),
        "eps_hat": Hyperparameter(True, FLAG),
        "threshold": Hyperparameter(5.0, FOUR_OR_MORE),
    },
    scalars=_scalars,
    source="L. Liu et al., On the variance of the adaptive learning rate and beyond, ICLR 2020",
    default_lr=1e-3,
    forms={
        "radam": Form(equation=_EQUATION.format("(m / c1)", "m / c1")),
        "nesterov_radam": Form("nesterov", equation=_EQUATION.format(_AHEAD, _AHEAD)),
    },
)
def radam(p, g, m, v, of_moment, of_gradient, beta1, one_minus_beta1, beta2, one_minus_beta2, eps_root, eps, rectified, zero, *, nesterov):
    m = beta1 * m + one_minus_beta1 * g
    v = beta2 * v + one_minus_beta2 * (g * g)
    step = of_moment * m
    if nesterov:
        step = step + of_gradient * g
    return p - (step / (sqrt(v + eps_root) + eps) if rectified > zero else step), m, v


def _form(values: Mapping[str, Any]) -> str:
    return "nesterov_radam" if values["nesterov"] else "radam"


RADAM_FAMILY = enter(
    Family(
        "RAdam",
        own={
            "betas": Argument((0.9, 0.999), UNIT),
            "eps": Argument(1e-8, NON_NEGATIVE),
            "eps_root": Argument(0.0, NON_NEGATIVE, keyword_only=True),
            "eps_hat": Argument(True, FLAG, keyword_only=True),
            "threshold": Argument(5.0, FOUR_OR_MORE, keyword_only=True),
            "nesterov": Argument(False, FLAG, keyword_only=True),
        },
        form=_form,
        lr=1e-3,
        conventions={
            "torch": Convention(states={"m": "exp_avg", "v": "exp_avg_sq"}, source="torch.optim.RAdam, PyTorch 2.13"),
            "optax": Convention(
                defaults={"lr": None, "eps_hat": False},
                names={"learning_rate": "lr", "b1": "betas", "b2": "betas"},
                states={"m": "mu", "v": "nu"},
                source="optax.radam, optax 0.2.8",
            ),
        },
    )
)
