"""`RMSProp`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.rmsprop import RMSPROP_FAMILY

__all__ = ["RMSProp"]


class RMSProp(Optimizer):
    """The gradient over the root of its running mean square; arguments as `torch.optim.RMSprop`.

        v <- alpha v + (1 - alpha) g^2
        centered:    a <- alpha a + (1 - alpha) g, and v - a^2 takes the place of v below
        p <- p - lr g / (sqrt(v) + eps)                  eps_inside_root: p <- p - lr g / sqrt(v + eps)
        momentum:    b <- momentum b + g / (sqrt(v) + eps);        p <- p - lr b
        ... with form="velocity":   b <- momentum b + lr g / (sqrt(v) + eps);   p <- p - b
            and nesterov:           p <- p - (momentum b + lr g / (sqrt(v) + eps))
        bias_correction:            v / c and a / c in the places of v and a,   c = 1 - alpha^t

    torch adds eps outside the root; Keras, optax and the textbook inside. Where a gradient is much smaller than
    sqrt(eps) the two steps differ by orders of magnitude. In torch the learning rate multiplies the buffer; in Keras and optax
    it is in the buffer, which differs where it changes on the way.

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    alpha
        Decay of the mean square, in [0, 1).
    eps
        Keeps the division finite, >= 0.
    momentum
        Factor of the buffer, >= 0; 0 keeps no buffer.
    centered
        Divide by the estimated standard deviation instead of the root mean square.
    eps_inside_root
        Where eps is added.
    form
        What the buffer, if there is one, holds: "heavy_ball" or "velocity".
    nesterov
        Look ahead along the velocity; needs momentum > 0.
    initial_accumulator_value
        What v begins at, >= 0.
    bias_correction
        Divide the running means by what of their weights adds up to so far, as Adam does.
    convention
        Whose defaults hold for what is not given: "torch", "keras", "optax" or "textbook" (docs/conventions.md has them all).

    Source: Tieleman and Hinton, lecture 6.5, 2012; centered: Graves, 2013.
    """

    family = RMSPROP_FAMILY
