"""`RAdam`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.radam import RADAM_FAMILY

__all__ = ["RAdam"]


class RAdam(Optimizer):
    """Adam, rectified while the second moment rests on few gradients; arguments as `torch.optim.RAdam`.

        m <- beta1 m + (1 - beta1) g                    c1 = 1 - beta1^t
        v <- beta2 v + (1 - beta2) g^2                  c2 = 1 - beta2^t,   t = 1, 2, ...
        r_inf = 2 / (1 - beta2) - 1,   r_t = r_inf - 2 t beta2^t / c2
        r_t > threshold:   p <- p - lr R (m / c1) sqrt(c2) / (sqrt(v) + eps)
                           R^2 = (r_t - 4) (r_t - 2) r_inf / ((r_inf - 4) (r_inf - 2) r_t)
        else:              p <- p - lr m / c1
        eps_hat=False:     sqrt(v / c2 + eps_root) + eps in the place of (sqrt(v) + eps) / sqrt(c2)
        nesterov:          beta1 m / (1 - beta1^(t+1)) + (1 - beta1) g / c1 in the place of m / c1

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
    eps_hat
        Add them before the second moment's bias correction, as torch does.
    threshold
        How many gradients the second moment has to average before it is used, >= 4.
    nesterov
        Look ahead along the first moment.
    convention
        Whose defaults hold for what is not given: "torch" or "optax" (docs/conventions.md has them all).

    Source: Liu et al., ICLR 2020.
    """

    family = RADAM_FAMILY
