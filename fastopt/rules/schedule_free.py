"""Schedule-Free SGD and AdamW: no decay of the learning rate, but an average of all steps, which gradients are taken near.

Three sequences: z makes the steps, x is their weighted average, and gradients are taken at y = (1 - beta) z + beta x. The parameter is y;
x need not be kept, since y and z tell it (`fastopt.ScheduleFreeSGD.averages`):

    c = w_t / (w_1 + ... + w_t),     w_t = t^r (largest lr so far)^weight_lr_power
    y <- y + c (z - y) + lr (beta (1 - c) - 1) d;     z <- z - lr d

where d is the gradient, or for AdamW the gradient over the root of its second moment, and the decayed y.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastopt.rules.entry import COPY, FLAG, NON_NEGATIVE, UNIT, Form, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import sqrt

DEFAZIO = "A. Defazio et al., The road less scheduled, NeurIPS 2024"


def _averaging(
    step: int, lr: float, total: float, most: float, beta: float, warmup_steps: float, r: float, weight_lr_power: float
) -> tuple[float, float, float, float, float]:
    """This step's learning rate, its share in the average, its gradient's weight, and what is remembered: all weights, the largest rate."""
    if step < warmup_steps:
        lr = lr * (step / warmup_steps)
    most = max(lr, most)
    try:
        weight = step**r * most**weight_lr_power
    except OverflowError:
        weight = math.inf
    total = total + weight
    share = weight / total if total else 0.0
    return lr, share, lr * (beta * (1.0 - share) - 1.0), total, most


def _scalars(
    step: int,
    lr: float,
    total_weight: float,
    largest_lr: float,
    warmup_steps: float,
    r: float,
    weight_lr_power: float,
    momentum: float = 0.0,
    betas: tuple[float, float] | None = None,
    eps: float = 0.0,
    decay: float = 0.0,
) -> tuple[tuple[float, ...], tuple[float, float]]:
    beta1, beta2 = (momentum, 0.0) if betas is None else betas
    averaging = _averaging(step, lr, total_weight, largest_lr, beta1, warmup_steps, r, weight_lr_power)
    lr, share, of_direction, total_weight, largest_lr = averaging
    root = math.sqrt(1.0 - beta2**step)
    scalars = lr, share, of_direction, beta2, 1.0 - beta2, root, eps * root, decay
    return scalars, (total_weight, largest_lr)


_AVERAGING = {
    "warmup_steps": Hyperparameter(0.0, NON_NEGATIVE),
    "r": Hyperparameter(0.0, NON_NEGATIVE),
    "weight_lr_power": Hyperparameter(2.0, NON_NEGATIVE),
}
_SEQUENCES = (
    "p <- p + c (z - p) + lr (beta (1 - c) - 1) d;   z <- z - lr d,   c = w_t / (w_1 + ... + w_t), w_t = t^r lr_max^weight_lr_power"
)


@rule(
    states={"z": COPY, "v": 0.0},
    non_negative=("v",),
    scalars=_scalars,
    memory={"total_weight": 0.0, "largest_lr": 0.0},
    source=DEFAZIO,
    forms={
        "schedule_free_sgd": Form(
            hyperparameters={"momentum": Hyperparameter(0.9, UNIT), **_AVERAGING},
            equation=f"d = g;   {_SEQUENCES}, beta = momentum",
            default_lr=1.0,
        ),
        "schedule_free_adamw": Form(
            "adaptive",
            hyperparameters={
                "betas": Hyperparameter((0.9, 0.999), UNIT),
                "eps": Hyperparameter(1e-8, NON_NEGATIVE),
                **_AVERAGING,
                "decay": Hyperparameter(0.0, NON_NEGATIVE),
            },
            equation=(
                f"v <- beta2 v + (1 - beta2) g^2;   d = g / (sqrt(v / c2) + eps) + decay p;   {_SEQUENCES}, beta = beta1, c2 = 1 - beta2^t"
            ),
            default_lr=2.5e-3,
        ),
    },
)
def schedule_free_sgd(p, g, z, v, lr, share, of_direction, beta2, one_minus_beta2, root, eps, decay, *, adaptive):
    if adaptive:
        v = beta2 * v + one_minus_beta2 * (g * g)
        g = root * g / (sqrt(v) + eps) + decay * p
    return p + share * (z - p) + of_direction * g, z - lr * g, v


_OWN_AVERAGING = {name: Argument(entry.default, entry.domain, keyword_only=True) for name, entry in _AVERAGING.items()}


def _decays_at_y(values: Mapping[str, Any]) -> bool:
    return bool(values["decoupled_weight_decay"]) and not values["decay_before"]


def _refuse_another_average(values: Mapping[str, Any]) -> None:
    if values["ema_decay"] is not None:
        received = values["ema_decay"]
        raise ValueError(f"ema_decay: expected None, as Schedule-Free has averages of its own (`averages`); received {received}")


def _sgd_form(values: Mapping[str, Any]) -> str:
    _refuse_another_average(values)
    return "schedule_free_sgd"


def _adamw_form(values: Mapping[str, Any]) -> str:
    _refuse_another_average(values)
    return "schedule_free_adamw"


_AUTHORS = "schedulefree 1.4, by the paper's authors"

SCHEDULE_FREE_SGD_FAMILY = enter(
    Family(
        "ScheduleFreeSGD",
        own={"momentum": Argument(0.9, UNIT), **_OWN_AVERAGING},
        form=_sgd_form,
        lr=1.0,
        conventions={
            "textbook": Convention(states={"z": "z"}, source=f"schedulefree.SGDScheduleFree, {_AUTHORS}"),
            "optax": Convention(
                names={"learning_rate": "lr", "b1": "momentum"}, states={"z": "z"}, source="optax.contrib.schedule_free_sgd, optax 0.2.8"
            ),
        },
    )
)

SCHEDULE_FREE_ADAMW_FAMILY = enter(
    Family(
        "ScheduleFreeAdamW",
        own={
            "betas": Argument((0.9, 0.999), UNIT),
            "eps": Argument(1e-8, NON_NEGATIVE),
            **_OWN_AVERAGING,
            "decay_before": Argument(False, FLAG, keyword_only=True),
        },
        form=_adamw_form,
        lr=2.5e-3,
        changed_defaults={"decoupled_weight_decay": True},
        decays_itself=_decays_at_y,
        conventions={
            "textbook": Convention(states={"z": "z", "v": "exp_avg_sq"}, source=f"schedulefree.AdamWScheduleFree, {_AUTHORS}"),
            "keras": Convention(
                defaults={"weight_lr_power": 0.0, "decay_before": True},
                names={"learning_rate": "lr", "beta_1": "betas", "beta_2": "betas", "epsilon": "eps"},
                states={"z": "momentum", "v": "velocity"},
                source="keras.optimizers.ScheduleFreeAdamW, Keras 3.15",
            ),
            "optax": Convention(
                names={"learning_rate": "lr", "b1": "betas", "b2": "betas"},
                states={"z": "z", "v": "nu"},
                source="optax.contrib.schedule_free_adamw, optax 0.2.8",
            ),
        },
    )
)
