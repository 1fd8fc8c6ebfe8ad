"""`Signum`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.signum import SIGNUM_FAMILY

__all__ = ["Signum"]


class Signum(Optimizer):
    """The sign of the gradients' moving average; with momentum 0 of the gradient, which is SignSGD.

        m <- momentum m + (1 - momentum) g
        p <- p - lr sign(m)
        momentum = 0:   p <- p - lr sign(g), and no state

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    momentum
        Decay of the average, in [0, 1).
    convention
        Whose defaults hold for what is not given: "textbook" (the paper) or "optax" (docs/conventions.md has them all).

    Source: Bernstein et al., ICML 2018.
    """

    family = SIGNUM_FAMILY
