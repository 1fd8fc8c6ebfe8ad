"""SignSGD and Signum: steps of one size, in the direction of the gradient's sign or of its average's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastopt.rules.entry import UNIT, Form, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import sign

BERNSTEIN = "J. Bernstein et al., signSGD: compressed optimisation for non-convex problems, ICML 2018"


def _scalars(step: int, lr: float, momentum: float = 0.0) -> tuple[float, ...]:
    return lr, momentum, 1.0 - momentum


@rule(
    states=("m",),
    scalars=_scalars,
    source=BERNSTEIN,
    default_lr=1e-4,
    forms={
        "signsgd": Form(equation="p <- p - lr sign(g)"),
        "signum": Form(
            "averaged",
            hyperparameters={"momentum": Hyperparameter(0.9, UNIT)},
            equation="m <- momentum m + (1 - momentum) g;   p <- p - lr sign(m)",
        ),
    },
)
def signsgd(p, g, m, lr, momentum, one_minus_momentum, *, averaged):
    if averaged:
        m = momentum * m + one_minus_momentum * g
    return p - lr * sign(m if averaged else g), m


def _form(values: Mapping[str, Any]) -> str:
    return "signum" if values["momentum"] else "signsgd"


SIGNUM_FAMILY = enter(
    Family(
        "Signum",
        own={"momentum": Argument(0.9, UNIT)},
        form=_form,
        lr=1e-4,
        conventions={
            "textbook": Convention(names={"beta": "momentum"}, source="Bernstein et al., 2018, algorithm 2"),
            "optax": Convention(
                defaults={"lr": None},
                names={"learning_rate": "lr", "beta": "momentum"},
                states={"m": "ema"},
                source="optax.signum, and optax.sign_sgd where momentum is 0, optax 0.2.8",
            ),
        },
    )
)
