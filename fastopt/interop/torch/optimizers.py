"""The classes: torch's by name, each with fastopt's step. `fastopt.interop.torch.dropin` says what they take besides torch's arguments."""

from __future__ import annotations

from typing import Any

import torch

from fastopt.interop.torch.dropin import DropIn
from fastopt.interop.torch.kinds import KINDS

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "NAdam", "RAdam", "RMSprop", "Rprop"]


class SGD(DropIn, torch.optim.SGD):
    """Gradient descent, with momentum where asked for: `b <- momentum b + (1 - dampening) g;  p <- p - lr b`.

    As torch.optim.SGD, with Nesterov's look ahead as there; the buffer begins as the first gradient. Sutskever et al., ICML 2013.
    """

    kind = KINDS["SGD"]


class RMSprop(DropIn, torch.optim.RMSprop):
    """`v <- alpha v + (1 - alpha) g^2;  p <- p - lr g / (sqrt(v) + eps)`, centered or with momentum, as torch.optim.RMSprop.

    T. Tieleman and G. Hinton, lecture 6.5, 2012; A. Graves, 2013, for the centered form.
    """

    kind = KINDS["RMSprop"]


class Adagrad(DropIn, torch.optim.Adagrad):
    """`h <- h + g^2;  p <- p - lr / (1 + (t - 1) lr_decay) g / (sqrt(h) + eps)`, as torch.optim.Adagrad. J. Duchi et al., JMLR 12, 2011."""

    kind = KINDS["Adagrad"]

    def share_memory(self) -> None:
        """Raises NotImplementedError: where a state lies is decided when the groups are laid out."""
        raise NotImplementedError("share_memory: states lie where fastopt's kernels want them, in this process; torch.optim.Adagrad shares")


class Adadelta(DropIn, torch.optim.Adadelta):
    """`v <- rho v + (1 - rho) g^2;  d = sqrt(u + eps) / sqrt(v + eps) g;  u <- rho u + (1 - rho) d^2;  p <- p - lr d`.

    As torch.optim.Adadelta. M. D. Zeiler, 2012.
    """

    kind = KINDS["Adadelta"]


class Adam(DropIn, torch.optim.Adam):
    """`m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;  p <- p - lr (m / c1) / (sqrt(v / c2) + eps)`, c = 1 - beta^t.

    As torch.optim.Adam, with AMSGrad and decoupled weight decay as there. D. P. Kingma and J. Ba, ICLR 2015.
    """

    kind = KINDS["Adam"]


class AdamW(DropIn, torch.optim.AdamW):
    """Adam with decoupled weight decay, `p <- (1 - lr weight_decay) p` before the step, as torch.optim.AdamW.

    I. Loshchilov and F. Hutter, ICLR 2019.
    """

    kind = KINDS["Adam"]


class NAdam(DropIn, torch.optim.NAdam):
    """Adam that looks ahead along its first moment, as torch.optim.NAdam; `mu_product` is kept in float64. T. Dozat, 2016."""

    kind = KINDS["NAdam"]


class RAdam(DropIn, torch.optim.RAdam):
    """Adam, rectified while the second moment rests on few gradients, as torch.optim.RAdam. L. Liu et al., ICLR 2020."""

    kind = KINDS["RAdam"]


class Adamax(DropIn, torch.optim.Adamax):
    """`m <- beta1 m + (1 - beta1) g;  u <- max(beta2 u, |g| + eps);  p <- p - lr (m / c1) / u`, as torch.optim.Adamax.

    D. P. Kingma and J. Ba, ICLR 2015, section 7.1.
    """

    kind = KINDS["Adamax"]


class Rprop(DropIn, torch.optim.Rprop):
    """A step size for each element, which grows while its gradient keeps its sign and shrinks when it turns, as torch.optim.Rprop.

    M. Riedmiller and H. Braun, ICNN 1993.
    """

    kind = KINDS["Rprop"]


class _Lion(torch.optim.Optimizer):
    """What torch would have if it had Lion."""

    def __init__(
        self,
        params: Any,
        lr: float | torch.Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if isinstance(lr, torch.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        how = {"foreach": foreach, "capturable": capturable, "differentiable": differentiable, "fused": fused}
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize, **how})


class Lion(DropIn, _Lion):
    """`p <- p - lr sign(beta1 m + (1 - beta1) g);  m <- beta2 m + (1 - beta2) g`, with decoupled weight decay; torch has none.

    The state is called `exp_avg`. X. Chen et al., NeurIPS 2023.
    """

    kind = KINDS["Lion"]
