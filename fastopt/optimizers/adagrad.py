"""`AdaGrad`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.adagrad import ADAGRAD_FAMILY

__all__ = ["AdaGrad"]


class AdaGrad(Optimizer):
    """The gradient over the root of the sum of its squares; arguments as `torch.optim.Adagrad`.

        h <- h + g^2                                     h = initial_accumulator_value before the first step
        p <- p - lr_t g / (sqrt(h) + eps),               lr_t = lr / (1 + (t - 1) lr_decay),   t = 1, 2, ...
        eps_inside_root:   p <- p - lr_t g / sqrt(h + eps)

    Keras and optax begin at 0.1 and add eps inside the root.

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    lr_decay
        How fast the learning rate falls with the steps, >= 0.
    initial_accumulator_value
        What the sum begins at, >= 0.
    eps
        Keeps the division finite, >= 0.
    eps_inside_root
        Where eps is added.
    convention
        Whose defaults hold for what is not given: "torch", "keras", "optax" or "textbook" (docs/conventions.md).

    Source: Duchi, Hazan and Singer, JMLR 12, 2011.
    """

    family = ADAGRAD_FAMILY
