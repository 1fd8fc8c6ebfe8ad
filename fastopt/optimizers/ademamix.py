"""`AdEMAMix`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.ademamix import ADEMAMIX_FAMILY

__all__ = ["AdEMAMix"]


class AdEMAMix(Optimizer):
    """Adam with a second, much slower average of the gradients.

        m <- beta1 m + (1 - beta1) g                    c1 = 1 - beta1^t
        s <- beta3_t s + (1 - beta3_t) g
        v <- beta2 v + (1 - beta2) g^2                  c2 = 1 - beta2^t,   t = 1, 2, ...
        p <- p - lr (m / c1 + alpha_t s) / (sqrt(v / c2 + eps_root) + eps)

    Weight decay is decoupled by default.

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    betas
        Decay of the fast average, of the second moment and of the slow average, each in [0, 1).
    alpha
        Weight of the slow average, >= 0.
    eps, eps_root
        Added outside and inside the root, >= 0.
    alpha_warmup
        In so many steps alpha_t grows to alpha in a straight line, >= 0.
    beta3_warmup
        In so many steps 1 / ln beta3_t goes from 1 / ln beta1 to 1 / ln beta3 in a straight line, >= 0.
    convention
        Whose defaults hold for what is not given: "textbook" (the paper) or "optax" (docs/conventions.md has them all).

    Source: Pagliardini, Ablin and Grangier, ICLR 2025.
    """

    family = ADEMAMIX_FAMILY
