"""`ScheduleFreeSGD` and `ScheduleFreeAdamW`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastopt.optimizers import masters
from fastopt.optimizers.base import Optimizer
from fastopt.optimizers.turns import in_turn
from fastopt.rules.schedule_free import SCHEDULE_FREE_ADAMW_FAMILY, SCHEDULE_FREE_SGD_FAMILY

__all__ = ["ScheduleFree", "ScheduleFreeAdamW", "ScheduleFreeSGD"]


class ScheduleFree(Optimizer):
    """What the Schedule-Free optimizers share: parameters at which gradients are taken, and averages of all steps, which are the result."""

    @in_turn
    def averages(self) -> Any:
        """The averages x of all steps, to evaluate a model with, as new NumPy arrays in the structure of `params`.

            x = y + (1 - 1 / beta) (z - y),     y the parameters

        On a device this waits for them. Raises ValueError where beta is 0: then gradients are taken at z, and nothing tells x.
        """
        found: list[Any] = [None] * len(self._params)
        for k, share in enumerate(self._shares):
            values = share.settings.hyperparameters
            beta: Any = values["betas"][0] if "betas" in values else values["momentum"]  # type: ignore[index]
            if beta == 0.0:
                raise ValueError(f"averages: expected a beta > 0, received 0 in group {k}")
            for i in share.positions:
                compute = self._kernels[i].compute
                y = masters.whole(self._kernels[i], self._views[i], self._states[i], self._memory)
                z = self._memory.to_host(self._states[i][share.rule.states.index("z")]).astype(compute)
                away = np.dtype(compute).type(1.0 - 1.0 / beta)
                found[i] = (y + away * (z - y)).astype(self._views[i].dtype)
        return self._structure.restore(found)


class ScheduleFreeSGD(ScheduleFree):
    """Gradient descent near the average of all steps, in the place of a learning rate that decays; arguments as `schedulefree`'s.

        w_t = t^r (largest lr so far)^weight_lr_power,   c = w_t / (w_1 + ... + w_t),   t = 1, 2, ...
        p <- p + c (z - p) + lr (momentum (1 - c) - 1) g
        z <- z - lr g                                    z = p before the first step

    Gradients are to be taken at `params`; what to evaluate is `averages()`.

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    momentum
        Where gradients are taken, between z (0) and the average (1), in [0, 1).
    warmup_steps
        In so many steps the learning rate grows to lr in a straight line, >= 0.
    r, weight_lr_power
        How steps are weighed in the average, each >= 0.
    convention
        Whose defaults hold for what is not given: "textbook" (the paper's authors) or "optax" (docs/conventions.md has them all).

    Source: Defazio et al., NeurIPS 2024.
    """

    family = SCHEDULE_FREE_SGD_FAMILY


class ScheduleFreeAdamW(ScheduleFree):
    """Adam's second moment with the averaging of `ScheduleFreeSGD` in the place of the first; arguments as `schedulefree`'s.

        v <- beta2 v + (1 - beta2) g^2                   c2 = 1 - beta2^t,   t = 1, 2, ...
        d = g / (sqrt(v / c2) + eps) + weight_decay p
        p <- p + c (z - p) + lr (beta1 (1 - c) - 1) d
        z <- z - lr d                                    z = p before the first step

    Gradients are to be taken at `params`; what to evaluate is `averages()`.

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`; weight decay is decoupled by default, and part of d.
    lr
        Learning rate, >= 0.
    betas
        Where gradients are taken, between z (0) and the average (1), and the decay of the second moment, each in [0, 1).
    eps
        Keeps the division finite, >= 0.
    warmup_steps
        In so many steps the learning rate grows to lr in a straight line, >= 0.
    r, weight_lr_power
        How steps are weighed in the average, each >= 0.
    decay_before
        Decay the parameter before the step, as AdamW does and Keras here too; z is not decayed then.
    convention
        Whose defaults hold for what is not given: "textbook" (the paper's authors), "keras" or "optax" (docs/conventions.md).

    Source: Defazio et al., NeurIPS 2024.
    """

    family = SCHEDULE_FREE_ADAMW_FAMILY
