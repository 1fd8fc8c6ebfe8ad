"""AdaDelta: steps whose size is the ratio of two running root mean squares, of past steps and of gradients."""

from __future__ import annotations

from fastopt.rules.entry import NON_NEGATIVE, UNIT, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import sqrt


def _scalars(step: int, lr: float, rho: float, eps: float) -> tuple[float, ...]:
    return lr, rho, 1.0 - rho, eps


@rule(
    states=("v", "u"),
    non_negative=("v", "u"),
    hyperparameters={"rho": Hyperparameter(0.9, UNIT), "eps": Hyperparameter(1e-6, NON_NEGATIVE)},
    scalars=_scalars,
    equation=("v <- rho v + (1 - rho) g^2;   d = sqrt(u + eps) / sqrt(v + eps) g;   u <- rho u + (1 - rho) d^2;   p <- p - lr d"),
    source="M. D. Zeiler, ADADELTA: an adaptive learning rate method, 2012",
    default_lr=1.0,
)
def adadelta(p, g, v, u, lr, rho, one_minus_rho, eps):
    v = rho * v + one_minus_rho * (g * g)
    step = sqrt(u + eps) / sqrt(v + eps) * g
    u = rho * u + one_minus_rho * (step * step)
    return p - lr * step, v, u


ADADELTA_FAMILY = enter(
    Family(
        "AdaDelta",
        own={"rho": Argument(0.9, UNIT), "eps": Argument(1e-6, NON_NEGATIVE)},
        form="adadelta",
        lr=1.0,
        conventions={
            "torch": Convention(states={"v": "square_avg", "u": "acc_delta"}, source="torch.optim.Adadelta, PyTorch 2.13"),
            "keras": Convention(
                defaults={"lr": 1e-3, "rho": 0.95, "eps": 1e-7, "decoupled_weight_decay": True},
                names={"learning_rate": "lr", "epsilon": "eps"},
                states={"v": "accumulated_grad", "u": "accumulated_delta_var"},
                source="keras.optimizers.Adadelta, Keras 3.15",
            ),
            "optax": Convention(
                defaults={"lr": None},
                names={"learning_rate": "lr"},
                states={"v": "e_g", "u": "e_x"},
                source="optax.adadelta, optax 0.2.8",
            ),
        },
    )
)
