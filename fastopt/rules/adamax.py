"""AdaMax: Adam by the largest gradient so far, which fades, in the place of the root of the second moment.

Frameworks disagree on where the constant goes that keeps the division finite: into the maximum, with each gradient (torch, optax), or
beside it (Keras). Both places are in the text; one of them gets 0, and adding 0 is exact.
"""

from __future__ import annotations

from fastopt.rules.entry import FLAG, NON_NEGATIVE, UNIT, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import absolute, maximum


def _scalars(step: int, lr: float, betas: tuple[float, float], eps: float, eps_outside: bool) -> tuple[float, ...]:
    beta1, beta2 = betas
    inside, outside = (0.0, eps) if eps_outside else (eps, 0.0)
    return lr / (1.0 - beta1**step), beta1, 1.0 - beta1, beta2, inside, outside


@rule(
    states=("m", "u"),
    non_negative=("u",),
    hyperparameters={
        "betas": Hyperparameter((0.9, 0.999), UNIT),
        "eps": Hyperparameter(1e-8, NON_NEGATIVE),
        "eps_outside": Hyperparameter(False, FLAG),
    },
    scalars=_scalars,
    equation="m <- beta1 m + (1 - beta1) g;   u <- max(beta2 u, |g| + eps);   p <- p - lr (m / c1) / u,   c1 = 1 - beta1^t",
    source="D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015, section 7.1",
    default_lr=2e-3,
)
def adamax(p, g, m, u, step_size, beta1, one_minus_beta1, beta2, eps_inside, eps_outside):
    m = beta1 * m + one_minus_beta1 * g
    u = maximum(beta2 * u, absolute(g) + eps_inside)
    return p - step_size * m / (u + eps_outside), m, u


ADAMAX_FAMILY = enter(
    Family(
        "AdaMax",
        own={
            "betas": Argument((0.9, 0.999), UNIT),
            "eps": Argument(1e-8, NON_NEGATIVE),
            "eps_outside": Argument(False, FLAG, keyword_only=True),
        },
        form="adamax",
        lr=2e-3,
        conventions={
            "torch": Convention(states={"m": "exp_avg", "u": "exp_inf"}, source="torch.optim.Adamax, PyTorch 2.13"),
            "keras": Convention(
                defaults={"lr": 1e-3, "eps": 1e-7, "eps_outside": True, "decoupled_weight_decay": True},
                names={"learning_rate": "lr", "beta_1": "betas", "beta_2": "betas", "epsilon": "eps"},
                states={"m": "momentum", "u": "norm"},
                source="keras.optimizers.Adamax, Keras 3.15",
            ),
            "optax": Convention(
                defaults={"lr": None},
                names={"learning_rate": "lr", "b1": "betas", "b2": "betas"},
                states={"m": "mu", "u": "nu"},
                source="optax.adamax, optax 0.2.8",
            ),
        },
    )
)
