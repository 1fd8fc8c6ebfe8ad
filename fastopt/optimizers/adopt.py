"""`ADOPT`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.adopt import ADOPT_FAMILY

__all__ = ["ADOPT"]


class ADOPT(Optimizer):
    """Adam that divides a gradient by the second moment of those before it, and averages the quotients.

        t = 1:   v <- g^2, and nothing else
        d = clip(g / max(sqrt(v), eps), +-(t - 1)^clip_exponent)
        m <- beta1 m + (1 - beta1) d
        p <- p - lr m                                   nesterov: p <- p - lr (beta1 m + (1 - beta1) d)
        v <- beta2 v + (1 - beta2) g^2

    Weight decay precedes the first step too, which moves nothing else.

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    betas
        Decay of the first and of the second moment, each in [0, 1).
    eps
        The least that is divided by, >= 0.
    clipping, clip_exponent
        Whether quotients are clipped, and how the bound grows, in [0, 16].
    nesterov
        Look ahead along the average, as optax can.
    convention
        Whose defaults hold for what is not given: "textbook" (the paper) or "optax" (docs/conventions.md has them all).

    Source: Taniguchi et al., NeurIPS 2024.
    """

    family = ADOPT_FAMILY
