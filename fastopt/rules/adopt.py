"""ADOPT: Adam that divides a gradient by the second moment before it has entered it, and averages afterwards.

The first gradient only begins the second moment: it moves nothing. From the second on each quotient is clipped to (t - 1)^clip_exponent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastopt.rules.domain import Interval
from fastopt.rules.entry import FLAG, NON_NEGATIVE, UNIT, Form, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import maximum, minimum, sqrt

SLOW = Interval(0.0, 16.0, high_included=True)
"""Of 2^62 steps such a power is a number still."""


def _scalars(step: int, lr: float, betas: tuple[float, float], eps: float, clipping: bool, clip_exponent: float) -> tuple[float, ...]:
    if step == 1:
        return lr, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0  # no quotient counts: it is of 1, which makes none that is not finite
    beta1, beta2 = betas
    bound = (step - 1) ** clip_exponent if clipping else math.inf
    return lr, beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps, -bound, bound


_EQUATION = (
    "d = clip(g / max(sqrt(v), eps), (t - 1)^clip_exponent);   m <- beta1 m + (1 - beta1) d;   p <- p - lr {};   "
    "v <- beta2 v + (1 - beta2) g^2   (v = g^2 at the first step, and nothing else)"
)


@rule(
    states=("m", "v"),
    non_negative=("v",),
    hyperparameters={
        "betas": Hyperparameter((0.9, 0.9999), UNIT),
        "eps": Hyperparameter(1e-6, NON_NEGATIVE),
        "clipping": Hyperparameter(True, FLAG),
        "clip_exponent": Hyperparameter(0.25, SLOW),
    },
    scalars=_scalars,
    source="S. Taniguchi et al., ADOPT: modified Adam can converge with any beta2 with the optimal rate, NeurIPS 2024",
    default_lr=1e-3,
    forms={
        "adopt": Form(equation=_EQUATION.format("m")),
        "nesterov_adopt": Form(
            "nesterov", equation=_EQUATION.format("(beta1 m + (1 - beta1) d)"), source="optax.contrib.adopt(nesterov=True), optax 0.2.8"
        ),
    },
)
def adopt(p, g, m, v, lr, beta1, one_minus_beta1, beta2, one_minus_beta2, eps, least, most, *, nesterov):
    quotient = minimum(most, maximum(least, g / maximum(eps, sqrt(v))))  # the limits first: the other way gcc 12 finds no vectors
    m = beta1 * m + one_minus_beta1 * quotient
    p = p - lr * (beta1 * m + one_minus_beta1 * quotient if nesterov else m)
    v = beta2 * v + one_minus_beta2 * (g * g)
    return p, m, v


def _form(values: Mapping[str, Any]) -> str:
    return "nesterov_adopt" if values["nesterov"] else "adopt"


ADOPT_FAMILY = enter(
    Family(
        "ADOPT",
        own={
            "betas": Argument((0.9, 0.9999), UNIT),
            "eps": Argument(1e-6, NON_NEGATIVE),
            "clipping": Argument(True, FLAG, keyword_only=True),
            "clip_exponent": Argument(0.25, SLOW, keyword_only=True),
            "nesterov": Argument(False, FLAG, keyword_only=True),
        },
        form=_form,
        lr=1e-3,
        conventions={
            "textbook": Convention(names={"beta1": "betas", "beta2": "betas"}, source="Taniguchi et al., 2024, algorithm 2"),
            "optax": Convention(
                defaults={"lr": None},
                names={
                    "learning_rate": "lr",
                    "b1": "betas",
                    "b2": "betas",
                    "use_clipping": "clipping",
                    "clip_value_fn": "clip_exponent",
                },
                states={"m": "mu", "v": "nu"},
                source="optax.contrib.adopt, optax 0.2.8",
            ),
        },
    )
)
