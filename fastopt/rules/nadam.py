"""NAdam: Adam that looks ahead along its first moment, with a momentum that grows from step to step.

    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2),     M_t = mu_1 mu_2 ... mu_t
    p <- p - lr ((1 - mu_t) / (1 - M_t) g + mu_(t+1) / (1 - M_t mu_(t+1)) m) / (sqrt(v / c2) + eps),     c2 = 1 - beta2^t

The product M is a scalar that the host carries from step to step. As in Adam, sqrt(c2) is moved into the scalars. Frameworks differ in
how fast mu grows: optax's is beta1 from the start, which is an infinite `momentum_decay`.
"""

from __future__ import annotations

import math

from fastopt.rules.domain import Interval
from fastopt.rules.entry import NON_NEGATIVE, UNIT, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import sqrt

ANY_SPEED = Interval(0.0, math.inf, high_included=True)


def _scalars(
    step: int, lr: float, momentum_product: float, betas: tuple[float, float], eps: float, momentum_decay: float, eps_root: float = 0.0
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    beta1, beta2 = betas
    now, ahead = (beta1 * (1.0 - 0.5 * 0.96 ** (t * momentum_decay)) for t in (step, step + 1))
    product = momentum_product * now
    correction2 = 1.0 - beta2**step
    root = math.sqrt(correction2)
    of_gradient, of_moment = lr * root * (1.0 - now) / (1.0 - product), lr * root * ahead / (1.0 - product * ahead)
    return (of_gradient, of_moment, beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps_root * correction2, eps * root), (product,)


@rule(
    states=("m", "v"),
    non_negative=("v",),
    hyperparameters={
        "betas": Hyperparameter((0.9, 0.999), UNIT),
        "eps": Hyperparameter(1e-8, NON_NEGATIVE),
        "momentum_decay": Hyperparameter(4e-3, ANY_SPEED),
        "eps_root": Hyperparameter(0.0, NON_NEGATIVE),
    },
    memory={"momentum_product": 1.0},
    scalars=_scalars,
    equation=(
        "m <- beta1 m + (1 - beta1) g;   v <- beta2 v + (1 - beta2) g^2;   "
        "p <- p - lr ((1 - mu_t) / (1 - M_t) g + mu_(t+1) / (1 - M_t mu_(t+1)) m) / (sqrt(v / c2 + eps_root) + eps),   "
        "mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2), M_t = mu_1 ... mu_t, c2 = 1 - beta2^t"
    ),
    source="T. Dozat, Incorporating Nesterov momentum into Adam, ICLR workshop 2016",
    default_lr=2e-3,
)
def nadam(p, g, m, v, gradient_step, moment_step, beta1, one_minus_beta1, beta2, one_minus_beta2, eps_root, eps):
    m = beta1 * m + one_minus_beta1 * g
    v = beta2 * v + one_minus_beta2 * (g * g)
    return p - (gradient_step * g + moment_step * m) / (sqrt(v + eps_root) + eps), m, v


NADAM_FAMILY = enter(
    Family(
        "NAdam",
        own={
            "betas": Argument((0.9, 0.999), UNIT),
            "eps": Argument(1e-8, NON_NEGATIVE),
            "momentum_decay": Argument(4e-3, ANY_SPEED),
            "eps_root": Argument(0.0, NON_NEGATIVE, keyword_only=True),
        },
        form="nadam",
        lr=2e-3,
        conventions={
            "torch": Convention(states={"m": "exp_avg", "v": "exp_avg_sq"}, source="torch.optim.NAdam, PyTorch 2.13"),
            "keras": Convention(
                defaults={"lr": 1e-3, "eps": 1e-7, "momentum_decay": 1.0, "decoupled_weight_decay": True},
                names={"learning_rate": "lr", "beta_1": "betas", "beta_2": "betas", "epsilon": "eps"},
                states={"m": "momentum", "v": "velocity"},
                source="keras.optimizers.Nadam, Keras 3.15",
            ),
            "optax": Convention(
                defaults={"lr": None, "momentum_decay": math.inf},
                names={"learning_rate": "lr", "b1": "betas", "b2": "betas"},
                states={"m": "mu", "v": "nu"},
                source="optax.nadam, optax 0.2.8",
            ),
        },
    )
)
