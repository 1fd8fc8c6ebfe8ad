"""`AdaMax`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.adamax import ADAMAX_FAMILY

__all__ = ["AdaMax"]


class AdaMax(Optimizer):
    """Adam by the largest gradient so far, which fades; arguments as `torch.optim.Adamax`.

        m <- beta1 m + (1 - beta1) g                    c1 = 1 - beta1^t,   t = 1, 2, ...
        u <- max(beta2 u, |g| + eps)
        p <- p - lr (m / c1) / u
        eps_outside:   u <- max(beta2 u, |g|);   p <- p - lr (m / c1) / (u + eps)

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    betas
        Decay of the first moment and of the largest gradient, each in [0, 1).
    eps
        Keeps the division finite, >= 0.
    eps_outside
        Add eps beside the maximum, as Keras does.
    convention
        Whose defaults hold for what is not given: "torch", "keras" or "optax" (docs/conventions.md has them all).

    Source: Kingma and Ba, ICLR 2015, section 7.1.
    """

    family = ADAMAX_FAMILY
