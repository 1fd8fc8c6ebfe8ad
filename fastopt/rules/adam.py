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
LIANG = "K. Liang, L. Chen, B. Liu and Q. Liu, Cautious optimizers: improving training with one line of code, 2024"


NOTHING = 0.0


def _scalars(
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    eps_root: float,
    eps_hat: bool,
    bias_correction: tuple[bool, bool] = (True, True),
    corrected_max: bool = False,
) -> tuple[float, ...]:
    beta1, beta2 = betas
    of_mean, of_square = bias_correction
    correction1 = 1.0 - beta1**step if of_mean else 1.0
    correction2 = 1.0 - beta2**step if of_square else 1.0
    if corrected_max:  # what the maximum is of has its correction already
        return lr / correction1, beta1, 1.0 - beta1, beta2, 1.0 - beta2, 1.0 / correction2, eps_root, eps, NOTHING
    root = math.sqrt(correction2)
    if not eps_hat:
        eps_root, eps = eps_root * correction2, eps * root
    return lr * root / correction1, beta1, 1.0 - beta1, beta2, 1.0 - beta2, 1.0, eps_root, eps, NOTHING


_HYPERPARAMETERS = {
    "betas": Hyperparameter((0.9, 0.999), UNIT),
    "eps": Hyperparameter(1e-8, NON_NEGATIVE),
    "eps_root": Hyperparameter(0.0, NON_NEGATIVE),
    "eps_hat": Hyperparameter(False, FLAG),
    "bias_correction": Hyperparameter((True, True), FLAG),
}


@rule(
    states=("m", "v", "v_max"),
    non_negative=("v", "v_max"),
    hyperparameters=_HYPERPARAMETERS,
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
            hyperparameters={**_HYPERPARAMETERS, "corrected_max": Hyperparameter(False, FLAG)},
            equation=(
                "m <- beta1 m + (1 - beta1) g;   v <- beta2 v + (1 - beta2) g^2;   v_max <- max(v_max, v);   "
                "p <- p - lr (m / c1) / (sqrt(v_max / c2 + eps_root) + eps),   c1 = 1 - beta1^t, c2 = 1 - beta2^t"
            ),
            source=f"{REDDI}; the maximum as torch's, or with `corrected_max` of v / c2 as optax's",
        ),
        "cautious_adam": Form(
            "cautious",
            equation=(
                "m <- beta1 m + (1 - beta1) g;   v <- beta2 v + (1 - beta2) g^2;   "
                "p <- p - lr (m / c1) / (sqrt(v / c2 + eps_root) + eps) where m g > 0,   c1 = 1 - beta1^t, c2 = 1 - beta2^t"
            ),
            source=f"{LIANG}; elementwise, without the rescaling by the share of elements that move",
        ),
    },
)
def adam(
    p, g, m, v, v_max, step_size, beta1, one_minus_beta1, beta2, one_minus_beta2, max_scale, eps_root, eps, nothing, *, amsgrad, cautious
):
    m = beta1 * m + one_minus_beta1 * g
    v = beta2 * v + one_minus_beta2 * (g * g)
    if amsgrad:
        v_max = maximum(v_max, max_scale * v)
    step = step_size * m / (sqrt((v_max if amsgrad else v) + eps_root) + eps)
    if cautious:
        step = step if m * g > nothing else nothing
    return p - step, m, v, v_max


_ARGUMENTS = {
    "betas": Argument((0.9, 0.999), UNIT),
    "eps": Argument(1e-8, NON_NEGATIVE),
    "amsgrad": Argument(False, FLAG),
    "eps_root": Argument(0.0, NON_NEGATIVE, keyword_only=True),
    "eps_hat": Argument(False, FLAG, keyword_only=True),
    "bias_correction": Argument((True, True), FLAG, keyword_only=True),
    "corrected_max": Argument(False, FLAG, keyword_only=True),
    "cautious": Argument(False, FLAG, keyword_only=True),
}


def _form(values: Mapping[str, Any]) -> str:
    if values["amsgrad"]:
        if values["cautious"]:
            raise ValueError("cautious: expected False with amsgrad=True, which has no such variant; received True")
        if values["corrected_max"] and values["eps_hat"]:
            raise ValueError("eps_hat: expected False with corrected_max=True, whose second moment has its correction; received True")
        return "amsgrad"
    return "cautious_adam" if values["cautious"] else "adam"


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


def _optax(name: str, **defaults: Any) -> Convention:
    return Convention(
        defaults={"lr": None, "corrected_max": True, **defaults},
        names={
            "learning_rate": "lr",
            "b1": "betas",
            "b2": "betas",
            "bias_correction_mu": "bias_correction",
            "bias_correction_nu": "bias_correction",
        },
        states={"m": "mu", "v": "nu", "v_max": "nu_max"},
        source=f"optax.{name}, optax 0.2.8",
    )


_SKLEARN = Convention(
    defaults={"eps_hat": True},
    names={"learning_rate_init": "lr", "beta_1": "betas", "beta_2": "betas", "epsilon": "eps"},
    states={"m": "ms", "v": "vs"},
    source="sklearn.neural_network._stochastic_optimizers.AdamOptimizer, scikit-learn 1.9",
)
_TEXTBOOK = Convention(defaults={"eps": 0.0, "eps_root": 1e-8}, source=f"{KINGMA}, with eps inside the root as lectures write it")

ADAM_FAMILY = enter(
    Family(
        "Adam",
        _ARGUMENTS,
        _form,
        lr=1e-3,
        conventions={
            "torch": _torch("Adam"),
            "keras": _keras("Adam"),
            "optax": _optax("adam, and optax.amsgrad"),
            "sklearn": _SKLEARN,
            "textbook": _TEXTBOOK,
        },
    )
)
ADAMW_FAMILY = enter(
    Family(
        "AdamW",
        _ARGUMENTS,
        _decoupled_form,
        lr=1e-3,
        changed_defaults={"weight_decay": 1e-2, "decoupled_weight_decay": True},
        conventions={
            "torch": _torch("AdamW"),
            "keras": _keras("AdamW", weight_decay=4e-3),
            "optax": _optax("adamw", weight_decay=1e-4),
        },
    )
)
