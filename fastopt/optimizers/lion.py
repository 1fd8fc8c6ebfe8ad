"""`Lion`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.lion import LION_FAMILY

__all__ = ["Lion"]


class Lion(Optimizer):
    """The sign of an interpolated momentum; steps of one size, with half of Adam's states.

        p <- p - lr sign(beta1 m + (1 - beta1) g)
        m <- beta2 m + (1 - beta2) g

    Weight decay is decoupled by default. An element whose gradient and average are 0 does not move.

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    betas
        How the step, and how the average, weigh the average against the gradient, each in [0, 1).
    convention
        Whose defaults hold for what is not given: "textbook" (the paper), "keras" or "optax" (docs/conventions.md has them all).

    Source: Chen et al., NeurIPS 2023.
    """

    family = LION_FAMILY
