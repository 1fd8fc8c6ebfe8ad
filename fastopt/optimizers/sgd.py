"""`SGD` and `Momentum`."""

from __future__ import annotations

from typing import Any, Unpack

from fastopt import arguments
from fastopt.optimizers.base import CommonOptions, Optimizer
from fastopt.rules.entry import UNIT

__all__ = ["SGD", "Momentum"]


class SGD(Optimizer):
    """Gradient descent, with torch's heavy-ball or Nesterov momentum if asked for; arguments as `torch.optim.SGD`.

        momentum = 0:            p <- p - lr g
        otherwise:               b <- momentum b + (1 - dampening) g      (b = g at the first step)
                                 p <- p - lr b
        nesterov:                p <- p - lr (g + momentum b)

    Keras and scikit-learn keep the learning rate inside the velocity instead: that is `Momentum(form="velocity")`.

    Parameters
    ----------
    params, **common
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    momentum
        Factor of the buffer, >= 0; 0 keeps no state.
    dampening
        In [0, 1); must be 0 with `nesterov`.
    nesterov
        Look ahead along the buffer; needs momentum > 0.

    Source: Robbins and Monro, 1951; Polyak, 1964; Sutskever et al., ICML 2013.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        momentum = arguments.number(momentum, "momentum")
        nesterov = arguments.flag(nesterov, "nesterov")
        if nesterov and (momentum == 0.0 or dampening != 0.0):
            raise ValueError(f"nesterov: expected momentum > 0 and dampening 0, received momentum {momentum!r}, dampening {dampening!r}")
        if momentum == 0.0:
            if arguments.number(dampening, "dampening") != 0.0:
                raise ValueError(f"dampening: expected 0 where momentum is 0 (nothing would be dampened), received {dampening!r}")
            super().__init__(params, "sgd", lr, **common)
        else:
            rule = "nesterov" if nesterov else "momentum"
            super().__init__(params, rule, lr, momentum=momentum, dampening=dampening, **common)


class Momentum(Optimizer):
    """Gradient descent with momentum, in the three forms that frameworks and lectures write.

        form="heavy_ball":   b <- momentum b + g              p <- p - lr b       (torch)
        form="velocity":     v <- momentum v - lr g           p <- p + v          (Keras, scikit-learn; v = alpha v - eta grad)
        form="averaged":     v <- momentum v + (1-momentum) g p <- p - lr v       (exponentially weighted average)

    With a constant learning rate the first two walk the same path, and the third one does with lr / (1 - momentum);
    when the learning rate changes on the way, all three differ. With `nesterov`, the step looks ahead:
    p <- p - lr (g + momentum b), or p <- p + (momentum v - lr g).

    Parameters
    ----------
    params, **common
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

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        momentum: float = 0.9,
        nesterov: bool = False,
        form: str = "heavy_ball",
        **common: Unpack[CommonOptions],
    ) -> None:
        arguments.choice(form, "form", ("heavy_ball", "velocity", "averaged"))
        nesterov = arguments.flag(nesterov, "nesterov")
        if form == "averaged":
            if nesterov:
                raise ValueError("nesterov: expected False with form='averaged', which has no such variant; received True")
            super().__init__(params, "averaged_momentum", lr, beta=arguments.number(momentum, "momentum", UNIT), **common)
        elif form == "velocity":
            super().__init__(params, "nesterov_velocity" if nesterov else "velocity", lr, momentum=momentum, **common)
        else:
            super().__init__(params, "nesterov" if nesterov else "momentum", lr, momentum=momentum, **common)
