"""Lion: the sign of an interpolated momentum."""

from __future__ import annotations

from fastopt.rules.entry import UNIT, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import sign


def _scalars(step: int, lr: float, betas: tuple[float, float]) -> tuple[float, ...]:
    beta1, beta2 = betas
    return lr, beta1, 1.0 - beta1, beta2, 1.0 - beta2


@rule(
    states=("m",),
    hyperparameters={"betas": Hyperparameter((0.9, 0.99), UNIT)},
    scalars=_scalars,
    equation="p <- p - lr sign(beta1 m + (1 - beta1) g);   m <- beta2 m + (1 - beta2) g",
    source="X. Chen et al., Symbolic discovery of optimization algorithms, NeurIPS 2023",
    default_lr=1e-4,
)
def lion(p, g, m, lr, beta1, one_minus_beta1, beta2, one_minus_beta2):
    direction = sign(beta1 * m + one_minus_beta1 * g)
    return p - lr * direction, beta2 * m + one_minus_beta2 * g


LION_FAMILY = enter(
    Family(
        "Lion",
        own={"betas": Argument((0.9, 0.99), UNIT)},
        form="lion",
        lr=1e-4,
        changed_defaults={"decoupled_weight_decay": True},
        conventions={
            "textbook": Convention(names={"beta1": "betas", "beta2": "betas"}, source="Chen et al., 2023, algorithm 2"),
            "keras": Convention(
                defaults={"lr": 1e-3},
                names={"learning_rate": "lr", "beta_1": "betas", "beta_2": "betas"},
                states={"m": "momentum"},
                source="keras.optimizers.Lion, Keras 3.15",
            ),
            "optax": Convention(
                defaults={"lr": None, "weight_decay": 1e-3},
                names={"learning_rate": "lr", "b1": "betas", "b2": "betas"},
                states={"m": "mu"},
                source="optax.lion, optax 0.2.8",
            ),
        },
    )
)
