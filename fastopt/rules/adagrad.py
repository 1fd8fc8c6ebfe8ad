"""AdaGrad: the gradient over the root of the sum of its squares so far.

The sum begins at 0 (torch) or a little above (Keras, TensorFlow, optax: 0.1), which keeps the first steps from having all one size.
"""

from __future__ import annotations

from fastopt.rules.entry import FLAG, NON_NEGATIVE, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import sqrt


def _scalars(
    step: int, lr: float, lr_decay: float, initial_accumulator_value: float, eps: float, eps_inside_root: bool
) -> tuple[float, ...]:
    eps_root, eps = (eps, 0.0) if eps_inside_root else (0.0, eps)
    return lr / (1.0 + (step - 1) * lr_decay), eps_root, eps


@rule(
    states={"h": "initial_accumulator_value"},
    non_negative=("h",),
    hyperparameters={
        "lr_decay": Hyperparameter(0.0, NON_NEGATIVE),
        "initial_accumulator_value": Hyperparameter(0.0, NON_NEGATIVE),
        "eps": Hyperparameter(1e-10, NON_NEGATIVE),
        "eps_inside_root": Hyperparameter(False, FLAG),
    },
    scalars=_scalars,
    equation="h <- h + g^2;   p <- p - lr / (1 + (t - 1) lr_decay) g / (sqrt(h) + eps)",
    source="J. Duchi, E. Hazan and Y. Singer, Adaptive subgradient methods for online learning, JMLR 12, 2011",
    default_lr=1e-2,
)
def adagrad(p, g, h, lr, eps_root, eps):
    h = h + g * g
    return p - lr * g / (sqrt(h + eps_root) + eps), h


ADAGRAD_FAMILY = enter(
    Family(
        "AdaGrad",
        own={
            "lr_decay": Argument(0.0, NON_NEGATIVE),
            "initial_accumulator_value": Argument(0.0, NON_NEGATIVE),
            "eps": Argument(1e-10, NON_NEGATIVE),
            "eps_inside_root": Argument(False, FLAG, keyword_only=True),
        },
        form="adagrad",
        lr=1e-2,
        conventions={
            "torch": Convention(states={"h": "sum"}, source="torch.optim.Adagrad, PyTorch 2.13"),
            "keras": Convention(
                defaults={
                    "lr": 1e-3,
                    "initial_accumulator_value": 0.1,
                    "eps": 1e-7,
                    "eps_inside_root": True,
                    "decoupled_weight_decay": True,
                },
                names={"learning_rate": "lr", "epsilon": "eps"},
                states={"h": "accumulator"},
                source="keras.optimizers.Adagrad, Keras 3.15",
            ),
            "optax": Convention(
                defaults={"lr": None, "initial_accumulator_value": 0.1, "eps": 1e-7, "eps_inside_root": True},
                names={"learning_rate": "lr"},
                states={"h": "sum_of_squares"},
                source="optax.adagrad, optax 0.2.8",
            ),
            "textbook": Convention(defaults={"eps": 1e-7}, names={"epsilon": "eps"}, source="Duchi et al., 2011, with eps beside the root"),
        },
    )
)
