"""`AdaDelta`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.adadelta import ADADELTA_FAMILY

__all__ = ["AdaDelta"]


class AdaDelta(Optimizer):
    """Steps sized by the ratio of two running root mean squares; arguments as `torch.optim.Adadelta`.

        v <- rho v + (1 - rho) g^2
        d = sqrt(u + eps) / sqrt(v + eps) g
        u <- rho u + (1 - rho) d^2
        p <- p - lr d

    Keras's learning rate is 1e-3 by default, which makes steps a thousand times smaller than the paper's.

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    rho
        Decay of both mean squares, in [0, 1).
    eps
        Added inside both roots, >= 0: with it the steps begin.
    convention
        Whose defaults hold for what is not given: "torch", "keras" (lr 1e-3) or "optax" (docs/conventions.md has them all).

    Source: Zeiler, 2012.
    """

    family = ADADELTA_FAMILY
