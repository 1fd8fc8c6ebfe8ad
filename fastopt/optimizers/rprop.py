"""`Rprop`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.rprop import RPROP_FAMILY

__all__ = ["Rprop"]


class Rprop(Optimizer):
    """A step size for each element, which grows while the gradient keeps its sign; arguments as `torch.optim.Rprop`.

        a = g before
        size <- size eta_plus where a > 0, size eta_minus where a < 0, kept within step_sizes
        g <- 0 where a < 0
        p <- p - size sign(g);   before <- g

    For gradients of the full batch: it looks at signs alone, and those of mini-batches turn by chance.

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Every element's size at the first step, >= 0; it has no part in later ones.
    etas
        What a size is multiplied by where the gradient turned, and where it kept its sign, each >= 0.
    step_sizes
        The smallest and the largest size, each >= 0.
    convention
        Whose defaults hold for what is not given: "torch", the only one (docs/conventions.md has them all).

    Source: Riedmiller and Braun, ICNN 1993.
    """

    family = RPROP_FAMILY
