"""`RMSProp`."""

from __future__ import annotations

from typing import Any, Unpack

from fastopt import arguments
from fastopt.optimizers.base import CommonOptions, Optimizer

__all__ = ["RMSProp"]


class RMSProp(Optimizer):
    """The gradient over the root of its running mean square; arguments as `torch.optim.RMSprop`.

        v <- alpha v + (1 - alpha) g^2
        centered:    a <- alpha a + (1 - alpha) g, and v - a^2 takes the place of v below
        p <- p - lr g / (sqrt(v) + eps)                  eps_inside_root: p <- p - lr g / sqrt(v + eps)
        momentum:    b <- momentum b + g / (sqrt(v) + eps);   p <- p - lr b

    torch adds eps outside the root; Keras, optax and the textbook inside. Where a gradient is much smaller than
    sqrt(eps) the two steps differ by orders of magnitude.

    Parameters
    ----------
    params, **common
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

    Source: Tieleman and Hinton, lecture 6.5, 2012; centered: Graves, 2013.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        eps_inside_root: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        momentum = arguments.number(momentum, "momentum")
        rule = "rmsprop" + ("_centered" if arguments.flag(centered, "centered") else "") + ("_momentum" if momentum else "")
        own: dict[str, Any] = {"alpha": alpha, "eps": arguments.number(eps, "eps"), "eps_root": 0.0}
        if arguments.flag(eps_inside_root, "eps_inside_root"):
            own["eps"], own["eps_root"] = 0.0, own["eps"]
        if momentum:
            own["momentum"] = momentum
        super().__init__(params, rule, lr, **own, **common)
