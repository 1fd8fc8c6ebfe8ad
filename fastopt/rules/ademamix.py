"""AdEMAMix: Adam with a second, much slower average of the gradients beside the first.

    p <- p - lr (m / c1 + alpha_t s) / (sqrt(v / c2 + eps_root) + eps)

The slow average's weight alpha_t and its decay beta3_t grow in the first steps: alpha_t in a straight line, beta3_t so that its half-life
does (nearly: 1 / ln beta3_t runs in a straight line from 1 / ln beta1 to 1 / ln beta3).
"""

from __future__ import annotations

import math

from fastopt.rules.entry import NON_NEGATIVE, UNIT, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import sqrt


def _inverse_logarithm(beta: float) -> float:
    return 1.0 / math.log(beta) if beta else 0.0


def _slow_decay(step: int, fast: float, slow: float, warmup: float) -> float:
    """The slow average's decay at a step: the smaller of where it is going and where it has got to."""
    if step >= warmup:
        return slow
    share = step / warmup
    inverse = (1.0 - share) * _inverse_logarithm(fast) + share * _inverse_logarithm(slow)
    return min(math.exp(1.0 / inverse) if inverse else 0.0, slow)


def _scalars(
    step: int,
    lr: float,
    betas: tuple[float, float, float],
    alpha: float,
    eps: float,
    eps_root: float,
    alpha_warmup: float,
    beta3_warmup: float,
) -> tuple[float, ...]:
    beta1, beta2, beta3 = betas
    correction1, correction2 = 1.0 - beta1**step, 1.0 - beta2**step
    root = math.sqrt(correction2)
    slow = _slow_decay(step, beta1, beta3, beta3_warmup)
    if step < alpha_warmup:
        alpha = step * alpha / alpha_warmup
    of_fast, of_slow = lr * root / correction1, lr * root * alpha
    return of_fast, of_slow, beta1, 1.0 - beta1, beta2, 1.0 - beta2, slow, 1.0 - slow, eps_root * correction2, eps * root


@rule(
    states=("m", "s", "v"),
    non_negative=("v",),
    hyperparameters={
        "betas": Hyperparameter((0.9, 0.999, 0.9999), UNIT),
        "alpha": Hyperparameter(5.0, NON_NEGATIVE),
        "eps": Hyperparameter(1e-8, NON_NEGATIVE),
        "eps_root": Hyperparameter(0.0, NON_NEGATIVE),
        "alpha_warmup": Hyperparameter(0.0, NON_NEGATIVE),
        "beta3_warmup": Hyperparameter(0.0, NON_NEGATIVE),
    },
    scalars=_scalars,
    equation=(
        "m <- beta1 m + (1 - beta1) g;   s <- beta3_t s + (1 - beta3_t) g;   v <- beta2 v + (1 - beta2) g^2;   "
        "p <- p - lr (m / c1 + alpha_t s) / (sqrt(v / c2 + eps_root) + eps),   c1 = 1 - beta1^t, c2 = 1 - beta2^t"
    ),
    source="M. Pagliardini, P. Ablin and D. Grangier, The AdEMAMix optimizer: better, faster, older, ICLR 2025",
    default_lr=1e-3,
)
def ademamix(p, g, m, s, v, of_fast, of_slow, beta1, one_minus_beta1, beta2, one_minus_beta2, beta3, one_minus_beta3, eps_root, eps):
    m = beta1 * m + one_minus_beta1 * g
    s = beta3 * s + one_minus_beta3 * g
    v = beta2 * v + one_minus_beta2 * (g * g)
    return p - (of_fast * m + of_slow * s) / (sqrt(v + eps_root) + eps), m, s, v


ADEMAMIX_FAMILY = enter(
    Family(
        "AdEMAMix",
        own={
            "betas": Argument((0.9, 0.999, 0.9999), UNIT),
            "alpha": Argument(5.0, NON_NEGATIVE),
            "eps": Argument(1e-8, NON_NEGATIVE),
            "eps_root": Argument(0.0, NON_NEGATIVE, keyword_only=True),
            "alpha_warmup": Argument(0.0, NON_NEGATIVE, keyword_only=True),
            "beta3_warmup": Argument(0.0, NON_NEGATIVE, keyword_only=True),
        },
        form="ademamix",
        lr=1e-3,
        changed_defaults={"decoupled_weight_decay": True},
        conventions={
            "textbook": Convention(
                names={"beta1": "betas", "beta2": "betas", "beta3": "betas"}, source="Pagliardini et al., 2025, algorithm 1"
            ),
            "optax": Convention(
                defaults={"lr": None},
                names={"learning_rate": "lr", "b1": "betas", "b2": "betas", "b3": "betas"},
                states={"m": "m1", "s": "m2", "v": "nu"},
                source="optax.contrib.ademamix, optax 0.2.8",
            ),
        },
    )
)
