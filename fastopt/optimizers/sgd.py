"""`SGD` and `Momentum`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.sgd import MOMENTUM_FAMILY, SGD_FAMILY

__all__ = ["SGD", "Momentum"]


class SGD(Optimizer):
    """Gradient descent, with heavy-ball or Nesterov momentum if asked for; arguments as `torch.optim.SGD`.

        momentum = 0:            p <- p - lr g
        otherwise:               b <- momentum b + (1 - dampening) g      (b = g at the first step)
                                 p <- p - lr b
        nesterov:                p <- p - lr (g + momentum b)

    Keras and scikit-learn keep the learning rate inside the buffer instead: form="velocity" (see `Momentum`).

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    momentum
        Factor of the buffer, >= 0; 0 keeps no state.
    dampening
        In [0, 1); must be 0 with `nesterov`.
    nesterov
        Look ahead along the buffer; needs momentum > 0.
    form
        What the buffer, if there is one, holds: as for `Momentum`.
    convention
        Whose defaults hold for what is not given: "torch", "keras", "optax", "sklearn" or "textbook" (docs/conventions.md).

    Source: Robbins and Monro, 1951; Polyak, 1964; Sutskever et al., ICML 2013.
    """

    family = SGD_FAMILY


class Momentum(Optimizer):
    """Gradient descent with momentum, in the three forms that frameworks and lectures write.

        form="heavy_ball":   b <- momentum b + g              p <- p - lr b       (torch)
        form="velocity":     b <- momentum b - lr g           p <- p + b          (Keras, scikit-learn; v = alpha v - eta grad)
        form="averaged":     b <- momentum b + (1-momentum) g p <- p - lr b       (exponentially weighted average)

    With a constant learning rate the first two walk the same path, and the third one does with lr / (1 - momentum);
    when the learning rate changes on the way, all three differ. With `nesterov`, the step looks ahead:
    p <- p - lr (g + momentum b), or p <- p + (momentum b - lr g).

    Parameters
    ----------
    params, weight_decay, decoupled_weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    momentum
        In [0, 1) for the averaged form, >= 0 for the others.
    nesterov
        For the first two forms.
    form
        "heavy_ball", "velocity" or "averaged".

    Source: Polyak, 1964; Sutskever et al., ICML 2013; Ng, Deep Learning Specialization.
    """

    family = MOMENTUM_FAMILY
