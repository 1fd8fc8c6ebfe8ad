"""`Adam` and `AdamW`."""

from __future__ import annotations

from typing import Any, Unpack

from fastopt import arguments
from fastopt.optimizers.base import CommonOptions, Optimizer

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam; arguments as `torch.optim.Adam`, and optax's `eps_root`.

        m <- beta1 m + (1 - beta1) g                    c1 = 1 - beta1^t
        v <- beta2 v + (1 - beta2) g^2                  c2 = 1 - beta2^t,   t = 1, 2, ...
        p <- p - lr (m / c1) / (sqrt(v / c2 + eps_root) + eps)
        amsgrad:   v_max <- max(v_max, v), in the place of v in the last line

    The textbook's eps inside the root is `eps=0, eps_root=1e-8`. Keras adds eps to the uncorrected root, which makes
    it larger by 1 / sqrt(c2) in the first steps.

    Parameters
    ----------
    params, **common
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    betas
        Decay of the first and of the second moment, each in [0, 1).
    eps, eps_root
        Added outside and inside the root, >= 0.
    amsgrad
        Divide by the largest second moment so far; one more state.
    decoupled_weight_decay
        Decay the parameter instead of adding to the gradient (see `AdamW`).

    Source: Kingma and Ba, ICLR 2015; AMSGrad: Reddi, Kale and Kumar, ICLR 2018.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        amsgrad: bool = False,
        *,
        eps_root: float = 0.0,
        decoupled_weight_decay: bool = False,
        **common: Unpack[CommonOptions],
    ) -> None:
        rule = "amsgrad" if arguments.flag(amsgrad, "amsgrad") else "adam"
        super().__init__(params, rule, lr, betas=betas, eps=eps, eps_root=eps_root, decoupled_weight_decay=decoupled_weight_decay, **common)


class AdamW(Adam):
    """Adam with decoupled weight decay, taken off the parameter before the update; arguments as `torch.optim.AdamW`.

        p <- (1 - lr weight_decay) p, then as `Adam`

    Parameters are those of `Adam`; `weight_decay` is 1e-2 by default (optax: 1e-4).

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        amsgrad: bool = False,
        *,
        eps_root: float = 0.0,
        **common: Unpack[CommonOptions],
    ) -> None:
        common.setdefault("weight_decay", 1e-2)
        super().__init__(params, lr, betas, eps, amsgrad, eps_root=eps_root, decoupled_weight_decay=True, **common)
