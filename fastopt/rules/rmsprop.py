"""RMSProp: the gradient over the root of its running mean square; centered, with momentum, or both.

A small constant keeps the division finite, and frameworks disagree on where: outside the root (torch) or inside it (Keras, optax,
the textbook). Both places are in the text; one of them gets 0, and adding 0 is exact. They also disagree on momentum: the learning
rate multiplies the buffer (torch) or what goes into it (Keras, optax: a velocity).
"""

from __future__ import annotations

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
}
_WITH_MOMENTUM = {**_MEAN_SQUARE, "momentum": Hyperparameter(0.9, NON_NEGATIVE)}

_V, _A = "v <- alpha v + (1 - alpha) g^2;   ", "a <- alpha a + (1 - alpha) g;   "
_PLAIN, _CENTERED = "(sqrt(v) + eps)", "(sqrt(v - a^2) + eps)"


def _scalars(step: int, lr: float, alpha: float, eps: float, eps_inside_root: bool, momentum: float = 0.0) -> tuple[float, ...]:
    eps_root, eps = (eps, 0.0) if eps_inside_root else (0.0, eps)
    return lr, alpha, 1.0 - alpha, eps_root, eps, momentum


@rule(
    states=("v", "a", "b"),
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
    },
)
def rmsprop(p, g, v, a, b, lr, alpha, one_minus_alpha, eps_root, eps, momentum, *, centered, buffered, velocity):
    v = alpha * v + one_minus_alpha * (g * g)
    if centered:
        a = alpha * a + one_minus_alpha * g
    divisor = sqrt((v - a * a if centered else v) + eps_root) + eps
    if buffered:
        step = (lr * g if velocity else g) / divisor
        b = momentum * b + step
        p = p - (b if velocity else lr * b)
    else:
        p = p - lr * g / divisor
    return p, v, a, b


HEAVY_BALL, VELOCITY = "heavy_ball", "velocity"


def _form(values: Mapping[str, Any]) -> str:
    centered = "_centered" if values["centered"] else ""
    buffer = "_velocity" if values["form"] == VELOCITY else "_momentum"
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
        },
    )
)
