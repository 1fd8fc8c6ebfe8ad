"""Adam and AMSGrad. AdamW is Adam with decoupled weight decay, which `fastopt.rules.prologue` gives to every rule.

The textbook divides both moments by their bias corrections c1 = 1 - beta1^t and c2 = 1 - beta2^t:

    p <- p - lr (m / c1) / (sqrt(v / c2 + eps_root) + eps)

Multiplying numerator and denominator by sqrt(c2) moves the corrections into scalars, which the host computes once a step:

    p <- p - step_size m / (sqrt(v + c2 eps_root) + sqrt(c2) eps),     step_size = lr sqrt(c2) / c1

One square root and one division an element remain, which are the slow operations; torch's unfused loop has a second
division, by sqrt(c2). Kingma and Ba write this form too, with an "epsilon hat" that is not multiplied by sqrt(c2): so does Keras.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastopt.rules.entry import FLAG, NON_NEGATIVE, UNIT, Form, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import maximum, sqrt

KINGMA = "D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015"
REDDI = "S. J. Reddi, S. Kale and S. Kumar, On the convergence of Adam and beyond, ICLR 2018"


def _scalars(step: int, lr: float, betas: tuple[float, float], eps: float, eps_root: float, eps_hat: bool) -> tuple[float, ...]:
    beta1, beta2 = betas
    correction1 = 1.0 - beta1**step
    correction2 = 1.0 - beta2**step
    root = math.sqrt(correction2)
    if not eps_hat:
        eps_root, eps = eps_root * correction2, eps * root
    return lr * root / correction1, beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps_root, eps


@rule(
    states=("m", "v", "v_max"),
    hyperparameters={
        "betas": Hyperparameter((0.9, 0.999), UNIT),
        "eps": Hyperparameter(1e-8, NON_NEGATIVE),
        "eps_root": Hyperparameter(0.0, NON_NEGATIVE),
        "eps_hat": Hyperparameter(False, FLAG),
    },
    scalars=_scalars,
    default_lr=1e-3,
    forms={
        "adam": Form(
            equation=(
                "m <- beta1 m + (1 - beta1) g;   v <- beta2 v + (1 - beta2) g^2;   "
                "p <- p - lr (m / c1) / (sqrt(v / c2 + eps_root) + eps),   c1 = 1 - beta1^t, c2 = 1 - beta2^t"
            ),
            source=KINGMA,
        ),
        "amsgrad": Form(
            "amsgrad",
            equation=(
                "m <- beta1 m + (1 - beta1) g;   v <- beta2 v + (1 - beta2) g^2;   v_max <- max(v_max, v);   "
                "p <- p - lr (m / c1) / (sqrt(v_max / c2 + eps_root) + eps),   c1 = 1 - beta1^t, c2 = 1 - beta2^t"
            ),
            source=f"{REDDI}; the maximum as torch's",
        ),
    },
)
def adam(p, g, m, v, v_max, step_size, beta1, one_minus_beta1, beta2, one_minus_beta2, eps_root, eps, *, amsgrad):
    m = beta1 * m + one_minus_beta1 * g
    v = beta2 * v + one_minus_beta2 * (g * g)
    if amsgrad:
        v_max = maximum(v_max, v)
    return p - step_size * m / (sqrt((v_max if amsgrad else v) + eps_root) + eps), m, v, v_max


_ARGUMENTS = {
    "betas": Argument((0.9, 0.999), UNIT),
    "eps": Argument(1e-8, NON_NEGATIVE),
    "amsgrad": Argument(False, FLAG),
    "eps_root": Argument(0.0, NON_NEGATIVE, keyword_only=True),
    "eps_hat": Argument(False, FLAG, keyword_only=True),
}


def _form(values: Mapping[str, Any]) -> str:
    return "amsgrad" if values["amsgrad"] else "adam"


def _decoupled_form(values: Mapping[str, Any]) -> str:
    if not values["decoupled_weight_decay"]:
        raise ValueError("decoupled_weight_decay: expected True (AdamW is Adam with decoupled weight decay), received False")
    return _form(values)


def _torch(name: str) -> Convention:
    return Convention(states={"m": "exp_avg", "v": "exp_avg_sq", "v_max": "max_exp_avg_sq"}, source=f"torch.optim.{name}, PyTorch 2.13")


def _keras(name: str, **defaults: Any) -> Convention:
    return Convention(
        defaults={"eps": 1e-7, "eps_hat": True, "decoupled_weight_decay": True, **defaults},
        names={"learning_rate": "lr", "beta_1": "betas", "beta_2": "betas", "epsilon": "eps"},
        states={"m": "momentum", "v": "velocity", "v_max": "velocity_hat"},
        source=f"keras.optimizers.{name}, Keras 3.15",
    )


ADAM_FAMILY = enter(Family("Adam", _ARGUMENTS, _form, lr=1e-3, conventions={"torch": _torch("Adam"), "keras": _keras("Adam")}))
ADAMW_FAMILY = enter(
    Family(
        "AdamW",
        _ARGUMENTS,
        _decoupled_form,
        lr=1e-3,
        changed_defaults={"weight_decay": 1e-2, "decoupled_weight_decay": True},
        conventions={"torch": _torch("AdamW"), "keras": _keras("AdamW", weight_decay=4e-3)},
    )
)
