"""RMSProp: the gradient over the root of its running mean square; centered, with momentum, or both.

A small constant keeps the division finite, and frameworks disagree on where: outside the root (torch) or inside it (Keras, optax,
the textbook). Both places are in the text; one of them gets 0, and adding 0 is exact. They also disagree on momentum: the learning
rate multiplies the buffer (torch) or what goes into it (Keras, optax: a velocity).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastopt.rules.domain import Choice
from fastopt.rules.entry import FLAG, NON_NEGATIVE, UNIT, Form, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import sqrt

HINTON = "T. Tieleman and G. Hinton, Neural Networks for Machine Learning, lecture 6.5, 2012"
GRAVES = "A. Graves, Generating sequences with recurrent neural networks, 2013, eq. 38-45"

_MEAN_SQUARE = {
    "alpha": Hyperparameter(0.99, UNIT),
    "eps": Hyperparameter(1e-8, NON_NEGATIVE),
    "eps_inside_root": Hyperparameter(False, FLAG),
    "initial_accumulator_value": Hyperparameter(0.0, NON_NEGATIVE),
    "bias_correction": Hyperparameter(False, FLAG),
}
_WITH_MOMENTUM = {**_MEAN_SQUARE, "momentum": Hyperparameter(0.9, NON_NEGATIVE)}

_V, _A = "v <- alpha v + (1 - alpha) g^2;   ", "a <- alpha a + (1 - alpha) g;   "
_PLAIN, _CENTERED = "(sqrt(v) + eps)", "(sqrt(v - a^2) + eps)"


def _scalars(
    step: int,
    lr: float,
    alpha: float,
    eps: float,
    eps_inside_root: bool,
    initial_accumulator_value: float = 0.0,
    bias_correction: bool = False,
    momentum: float = 0.0,
) -> tuple[float, ...]:
    eps_root, eps = (eps, 0.0) if eps_inside_root else (0.0, eps)
    if not bias_correction:
        return lr, alpha, 1.0 - alpha, 1.0, eps_root, eps, 1.0, momentum
    # sqrt(v / c - (a / c)^2 + eps) = sqrt((v - a^2 / c) + eps c) / sqrt(c): the corrections are moved into the scalars, as in Adam
    correction = 1.0 - alpha**step
    root = math.sqrt(correction)
    return lr, alpha, 1.0 - alpha, 1.0 / correction, eps_root * correction, eps * root, root, momentum


@rule(
    states={"v": "initial_accumulator_value", "a": 0.0, "b": 0.0},
    non_negative=("v",),
    hyperparameters=_WITH_MOMENTUM,
    scalars=_scalars,
    source=HINTON,
    default_lr=1e-2,
    forms={
        "rmsprop": Form(hyperparameters=_MEAN_SQUARE, equation=f"{_V}p <- p - lr g / {_PLAIN}"),
        "rmsprop_centered": Form("centered", hyperparameters=_MEAN_SQUARE, equation=f"{_V}{_A}p <- p - lr g / {_CENTERED}", source=GRAVES),
        "rmsprop_momentum": Form(
            "buffered",
            equation=f"{_V}b <- momentum b + g / {_PLAIN};   p <- p - lr b",
            source=f"{HINTON}; as torch.optim.RMSprop(momentum=...)",
        ),
        "rmsprop_centered_momentum": Form(
            "centered",
            "buffered",
            equation=f"{_V}{_A}b <- momentum b + g / {_CENTERED};   p <- p - lr b",
            source=f"{GRAVES}; as torch.optim.RMSprop(centered=True, momentum=...)",
        ),
        "rmsprop_velocity": Form(
            "buffered",
            "velocity",
            equation=f"{_V}b <- momentum b + lr g / {_PLAIN};   p <- p - b",
            source=f"{HINTON}; as keras.optimizers.RMSprop(momentum=...), whose eps is inside the root",
        ),
        "rmsprop_centered_velocity": Form(
            "centered",
            "buffered",
            "velocity",
            equation=f"{_V}{_A}b <- momentum b + lr g / {_CENTERED};   p <- p - b",
            source=f"{GRAVES}; as keras.optimizers.RMSprop(centered=True, momentum=...), whose eps is inside the root",
        ),
        "rmsprop_nesterov": Form(
            "buffered",
            "velocity",
            "nesterov",
            equation=f"{_V}b <- momentum b + lr g / {_PLAIN};   p <- p - (momentum b + lr g / {_PLAIN})",
            source=f"{HINTON}; as optax.rmsprop(momentum=..., nesterov=True), whose eps is inside the root",
        ),
        "rmsprop_centered_nesterov": Form(
            "centered",
            "buffered",
            "velocity",
            "nesterov",
            equation=f"{_V}{_A}b <- momentum b + lr g / {_CENTERED};   p <- p - (momentum b + lr g / {_CENTERED})",
            source=f"{GRAVES}; as optax.rmsprop(centered=True, momentum=..., nesterov=True), whose eps is inside the root",
        ),
    },
)
def rmsprop(
    p, g, v, a, b, lr, alpha, one_minus_alpha, mean_scale, eps_root, eps, scale, momentum, *, centered, buffered, velocity, nesterov
):
    v = alpha * v + one_minus_alpha * (g * g)
    if centered:
        a = alpha * a + one_minus_alpha * g
    divisor = sqrt((v - mean_scale * (a * a) if centered else v) + eps_root) + eps
    g = scale * g
    if buffered:
        step = (lr * g if velocity else g) / divisor
        b = momentum * b + step
        ahead = step + momentum * b if nesterov else b
        p = p - (ahead if velocity else lr * b)
    else:
        p = p - lr * g / divisor
    return p, v, a, b


HEAVY_BALL, VELOCITY = "heavy_ball", "velocity"


def _form(values: Mapping[str, Any]) -> str:
    centered = "_centered" if values["centered"] else ""
    if values["nesterov"] and (values["form"] != VELOCITY or not values["momentum"]):
        raise ValueError(
            f"nesterov: expected momentum > 0 and form={VELOCITY!r}, received momentum {values['momentum']!r}, form {values['form']!r}"
        )
    buffer = "_momentum" if values["form"] != VELOCITY else "_nesterov" if values["nesterov"] else "_velocity"
    return f"rmsprop{centered}{buffer if values['momentum'] else ''}"


RMSPROP_FAMILY = enter(
    Family(
        "RMSProp",
        own={
            "alpha": Argument(0.99, UNIT),
            "eps": Argument(1e-8, NON_NEGATIVE),
            "momentum": Argument(0.0, NON_NEGATIVE),
            "centered": Argument(False, FLAG),
            "eps_inside_root": Argument(False, FLAG, keyword_only=True),
            "form": Argument(HEAVY_BALL, Choice((HEAVY_BALL, VELOCITY)), keyword_only=True),
            "nesterov": Argument(False, FLAG, keyword_only=True),
            "initial_accumulator_value": Argument(0.0, NON_NEGATIVE, keyword_only=True),
            "bias_correction": Argument(False, FLAG, keyword_only=True),
        },
        form=_form,
        lr=1e-2,
        conventions={
            "torch": Convention(
                states={"v": "square_avg", "a": "grad_avg", "b": "momentum_buffer"}, source="torch.optim.RMSprop, PyTorch 2.13"
            ),
            "keras": Convention(
                defaults={"lr": 1e-3, "alpha": 0.9, "eps": 1e-7, "eps_inside_root": True, "form": VELOCITY, "decoupled_weight_decay": True},
                names={"learning_rate": "lr", "rho": "alpha", "epsilon": "eps"},
                states={"v": "velocity", "a": "average_gradient", "b": "momentum"},
                source="keras.optimizers.RMSprop, Keras 3.15",
            ),
            "optax": Convention(
                defaults={"lr": None, "alpha": 0.9, "eps_inside_root": True, "form": VELOCITY},
                names={
                    "learning_rate": "lr",
                    "decay": "alpha",
                    "eps_in_sqrt": "eps_inside_root",
                    "initial_scale": "initial_accumulator_value",
                },
                states={"v": "nu", "a": "mu"},  # and a trace of the velocity, which has the other sign there
                source="optax.rmsprop, optax 0.2.8",
            ),
            "textbook": Convention(
                defaults={"lr": 1e-3, "alpha": 0.9, "eps_inside_root": True},
                names={"beta": "alpha", "epsilon": "eps"},
                source=f"{HINTON}, with eps inside the root",
            ),
        },
    )
)
