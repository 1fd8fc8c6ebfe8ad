"""Gradient descent and its momentum forms, in order of complexity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastopt.rules.domain import FLAG, Choice
from fastopt.rules.entry import NON_NEGATIVE, UNIT, Form, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter

POLYAK = "B. T. Polyak, Some methods of speeding up the convergence of iteration methods, 1964"
SUTSKEVER = "I. Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013"

_MOMENTUM, _DAMPENING = Hyperparameter(0.9, NON_NEGATIVE), Hyperparameter(0.0, UNIT)


@rule(
    equation="p <- p - lr g",
    source="H. Robbins and S. Monro, A stochastic approximation method, 1951",
    default_lr=1e-3,
)
def sgd(p, g, lr):
    return (p - lr * g,)


def _scalars(step: int, lr: float, momentum: float, dampening: float = 0.0, averaged: bool = False) -> tuple[float, ...]:
    # torch starts the buffer as the first gradient, undampened; from a buffer of zeros that is a weight of 1 at step 1
    weight = 1.0 - momentum if averaged else 1.0 if step == 1 else 1.0 - dampening
    return lr, momentum, weight


@rule(
    states=("b",),
    hyperparameters={"momentum": _MOMENTUM},
    scalars=_scalars,
    default_lr=1e-2,
    forms={
        "momentum": Form(
            hyperparameters={"momentum": _MOMENTUM, "dampening": _DAMPENING},
            equation="b <- momentum b + (1 - dampening) g   (b = g at the first step);   p <- p - lr b",
            source=f"{POLYAK}; as torch.optim.SGD",
            default_lr=1e-3,
        ),
        "nesterov": Form(
            "nesterov",
            hyperparameters={"momentum": _MOMENTUM, "dampening": _DAMPENING},
            equation="b <- momentum b + (1 - dampening) g   (b = g at the first step);   p <- p - lr (g + momentum b)",
            source=f"{SUTSKEVER}; as torch.optim.SGD(nesterov=True), which asks for dampening = 0",
            default_lr=1e-3,
        ),
        "velocity": Form(
            "velocity",
            equation="b <- momentum b - lr g;   p <- p + b",
            source=f"{POLYAK}; as keras.optimizers.SGD: the learning rate lies inside the velocity",
        ),
        "nesterov_velocity": Form(
            "velocity",
            "nesterov",
            equation="b <- momentum b - lr g;   p <- p + (momentum b - lr g)",
            source=f"{SUTSKEVER}; as keras.optimizers.SGD(nesterov=True) and scikit-learn's SGDOptimizer",
        ),
        "averaged_momentum": Form(
            "averaged",
            hyperparameters={"momentum": Hyperparameter(0.9, UNIT)},
            equation="b <- momentum b + (1 - momentum) g;   p <- p - lr b",
            source="A. Ng, Deep Learning Specialization, course 2: gradient descent with momentum as a moving average",
        ),
    },
)
def momentum(p, g, b, lr, momentum, gradient_weight, *, velocity, nesterov):
    if velocity:
        b = momentum * b - lr * g
        p = p + (momentum * b - lr * g if nesterov else b)
    else:
        b = momentum * b + gradient_weight * g
        p = p - lr * (g + momentum * b if nesterov else b)
    return p, b


HEAVY_BALL, VELOCITY, AVERAGED = "heavy_ball", "velocity", "averaged"


def _momentum_form(values: Mapping[str, Any]) -> str:
    form, nesterov, dampening = values["form"], values["nesterov"], values.get("dampening", 0.0)
    if form == AVERAGED and nesterov:
        raise ValueError("nesterov: expected False with form='averaged', which has no such variant; received True")
    if form != HEAVY_BALL and dampening != 0.0:
        raise ValueError(f"dampening: expected 0 with form={form!r}, which has no such variant; received {dampening!r}")
    if form == AVERAGED:
        return "averaged_momentum"
    if form == VELOCITY:
        return "nesterov_velocity" if nesterov else "velocity"
    return "nesterov" if nesterov else "momentum"


def _sgd_form(values: Mapping[str, Any]) -> str:
    momentum, dampening, nesterov = values["momentum"], values["dampening"], values["nesterov"]
    if nesterov and values["form"] == HEAVY_BALL and (momentum == 0.0 or dampening != 0.0):
        raise ValueError(f"nesterov: expected momentum > 0 and dampening 0, received momentum {momentum!r}, dampening {dampening!r}")
    if momentum == 0.0 and dampening != 0.0:
        raise ValueError(f"dampening: expected 0 where momentum is 0 (nothing would be dampened), received {dampening!r}")
    return _momentum_form(values) if momentum else "sgd"


_FORM = Choice((HEAVY_BALL, VELOCITY, AVERAGED))

SGD_FAMILY = enter(
    Family(
        "SGD",
        own={
            "momentum": Argument(0.0, NON_NEGATIVE),
            "dampening": Argument(0.0, UNIT),
            "nesterov": Argument(False, FLAG),
            "form": Argument(HEAVY_BALL, _FORM, keyword_only=True),
        },
        form=_sgd_form,
        lr=1e-3,
        conventions={
            "torch": Convention(states={"b": "momentum_buffer"}, source="torch.optim.SGD, PyTorch 2.13"),
            "keras": Convention(
                defaults={"lr": 1e-2, "form": VELOCITY, "decoupled_weight_decay": True},
                names={"learning_rate": "lr"},
                states={"b": "momentum"},
                source="keras.optimizers.SGD, Keras 3.15",
            ),
            "optax": Convention(
                defaults={"lr": None}, names={"learning_rate": "lr"}, states={"b": "trace"}, source="optax.sgd, optax 0.2.8"
            ),
            "sklearn": Convention(
                defaults={"lr": 0.1, "momentum": 0.9, "nesterov": True, "form": VELOCITY},
                names={"learning_rate_init": "lr"},
                states={"b": "velocities"},
                source="sklearn.neural_network._stochastic_optimizers.SGDOptimizer, scikit-learn 1.9",
            ),
            "textbook": Convention(
                defaults={"lr": 1e-2, "form": AVERAGED},
                names={"alpha": "lr", "beta": "momentum"},
                source="A. Ng, Deep Learning Specialization, course 2: momentum is a moving average of gradients",
            ),
        },
    )
)

MOMENTUM_FAMILY = enter(
    Family(
        "Momentum",
        own={
            "momentum": Argument(0.9, NON_NEGATIVE),
            "nesterov": Argument(False, FLAG),
            "form": Argument(HEAVY_BALL, _FORM),
        },
        form=_momentum_form,
        lr=1e-2,
    )
)
