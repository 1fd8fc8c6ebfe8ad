"""`NAdam`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.nadam import NADAM_FAMILY

__all__ = ["NAdam"]


class NAdam(Optimizer):
    """Adam with Nesterov momentum; arguments as `torch.optim.NAdam`.

        m <- beta1 m + (1 - beta1) g                    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)
        v <- beta2 v + (1 - beta2) g^2                  M_t = mu_1 ... mu_t,   c2 = 1 - beta2^t,   t = 1, 2, ...
        p <- p - lr ((1 - mu_t) / (1 - M_t) g + mu_(t+1) / (1 - M_t mu_(t+1)) m) / (sqrt(v / c2 + eps_root) + eps)

    Keras's momentum grows 250 times as fast: its exponent is t alone, momentum_decay = 1. optax's does not grow: mu_t = beta1 from the
    start, which an infinite momentum_decay makes it.

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    betas
        Decay of the first and of the second moment, each in [0, 1).
    eps, eps_root
        Added outside and inside the root, >= 0.
    momentum_decay
        How fast mu grows from beta1 / 2 to beta1, >= 0; an infinity is at once.
    convention
        Whose defaults hold for what is not given: "torch", "keras" or "optax" (docs/conventions.md has them all).

    Source: Dozat, ICLR workshop 2016.
    """

    family = NADAM_FAMILY
