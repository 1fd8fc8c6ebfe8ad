"""`Adan`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.adan import ADAN_FAMILY

__all__ = ["Adan"]


class Adan(Optimizer):
    """Adam with an average of how gradients change, which is Nesterov momentum in another form.

        d = g - before   (0 at the first step)           ci = 1 - betai^t,   t = 1, 2, ...
        m <- beta1 m + (1 - beta1) g;   e <- beta2 e + (1 - beta2) d
        n <- beta3 n + (1 - beta3) (g + beta2 d)^2;   before <- g
        p <- (p - lr (m / c1 + beta2 e / c2) / (sqrt(n / c3 + eps_root) + eps)) / (1 + lr weight_decay)
        complement:   1 - beta2 in the place of beta2 as a factor, as optax writes it
        no_prox:      p <- (1 - lr weight_decay) p, before the step

    Weight decay is decoupled by default.

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    betas
        Decay of the average of gradients, of their changes and of the second moment, each in [0, 1).
    eps, eps_root
        Added outside and inside the root, >= 0.
    complement
        Weigh changes by 1 - beta2.
    no_prox
        Decay before the step, as AdamW does.
    convention
        Whose defaults hold for what is not given: "textbook" (the paper) or "optax" (docs/conventions.md has them all).

    Source: Xie et al., TPAMI 2024.
    """

    family = ADAN_FAMILY
