"""Adan: Adam with Nesterov momentum in the form of a third average, of how gradients change from step to step.

    d = g - g of the step before (0 at the first);   p <- (p - lr (m / c1 + w e / c2) / (sqrt(n / c3 + eps_root) + eps)) / (1 + lr decay)

w is beta2, as in the authors' code (in the paper beta2 has the place of 1 - beta2); optax takes 1 - beta2 instead. The decay is the
paper's proximal one, after the step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastopt.rules.entry import FLAG, NON_NEGATIVE, UNIT, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import sqrt


def _scalars(
    step: int, lr: float, betas: tuple[float, float, float], eps: float, eps_root: float, complement: bool, decay: float
) -> tuple[float, ...]:
    beta1, beta2, beta3 = betas
    correction1, correction2, correction3 = (1.0 - beta**step for beta in betas)
    root = math.sqrt(correction3)
    weight = 1.0 - beta2 if complement else beta2
    known = 0.0 if step == 1 else 1.0
    of_mean, of_change = lr * root / correction1, lr * root * weight / correction2
    averages = beta1, 1.0 - beta1, beta2, 1.0 - beta2, beta3, 1.0 - beta3
    return known, weight, of_mean, of_change, *averages, eps_root * correction3, eps * root, 1.0 / (1.0 + lr * decay)


@rule(
    states=("m", "e", "n", "before"),
    non_negative=("n",),
    hyperparameters={
        "betas": Hyperparameter((0.98, 0.92, 0.99), UNIT),
        "eps": Hyperparameter(1e-8, NON_NEGATIVE),
        "eps_root": Hyperparameter(0.0, NON_NEGATIVE),
        "complement": Hyperparameter(False, FLAG),
        "decay": Hyperparameter(0.0, NON_NEGATIVE),
    },
    scalars=_scalars,
    equation=(
        "d = g - before (0 at the first step);   m <- beta1 m + (1 - beta1) g;   e <- beta2 e + (1 - beta2) d;   "
        "n <- beta3 n + (1 - beta3) (g + beta2 d)^2;   before <- g;   "
        "p <- (p - lr (m / c1 + beta2 e / c2) / (sqrt(n / c3 + eps_root) + eps)) / (1 + lr decay),   ci = 1 - betai^t"
    ),
    source="X. Xie et al., Adan: adaptive Nesterov momentum algorithm for faster optimizing deep models, TPAMI 2024",
    default_lr=1e-3,
)
def adan(
    p, g, m, e, n, before, known, weight, of_mean, of_change, beta1, one_minus_beta1, beta2, one_minus_beta2, beta3, one_minus_beta3,
    eps_root, eps, after_decay,
):  # fmt: skip
    change = known * (g - before)
    ahead = g + weight * change
    m = beta1 * m + one_minus_beta1 * g
    e = beta2 * e + one_minus_beta2 * change
    n = beta3 * n + one_minus_beta3 * (ahead * ahead)
    return after_decay * (p - (of_mean * m + of_change * e) / (sqrt(n + eps_root) + eps)), m, e, n, g


def _decays_itself(values: Mapping[str, Any]) -> bool:
    return bool(values["decoupled_weight_decay"]) and not values["no_prox"]


ADAN_FAMILY = enter(
    Family(
        "Adan",
        own={
            "betas": Argument((0.98, 0.92, 0.99), UNIT),
            "eps": Argument(1e-8, NON_NEGATIVE),
            "eps_root": Argument(0.0, NON_NEGATIVE, keyword_only=True),
            "complement": Argument(False, FLAG, keyword_only=True),
            "no_prox": Argument(False, FLAG, keyword_only=True),
        },
        form="adan",
        lr=1e-3,
        changed_defaults={"decoupled_weight_decay": True},
        decays_itself=_decays_itself,
        conventions={
            "textbook": Convention(names={"beta1": "betas", "beta2": "betas", "beta3": "betas"}, source="Xie et al., 2024, algorithm 1"),
            "optax": Convention(
                defaults={"lr": None, "eps_root": 1e-8, "complement": True, "no_prox": True},
                names={"learning_rate": "lr", "b1": "betas", "b2": "betas", "b3": "betas"},
                states={"m": "m", "e": "v", "n": "n", "before": "g"},
                source="optax.adan, optax 0.2.8",
            ),
        },
    )
)
