"""`Adam` and `AdamW`."""

from __future__ import annotations

from fastopt.optimizers.base import Optimizer
from fastopt.rules.adam import ADAM_FAMILY, ADAMW_FAMILY

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam; arguments as `torch.optim.Adam`, optax's `eps_root`, and Keras's place of eps.

        m <- beta1 m + (1 - beta1) g                    c1 = 1 - beta1^t
        v <- beta2 v + (1 - beta2) g^2                  c2 = 1 - beta2^t,   t = 1, 2, ...
        p <- p - lr (m / c1) / (sqrt(v / c2 + eps_root) + eps)
        amsgrad:   v_max <- max(v_max, v), in the place of v in the last line
        eps_hat:   p <- p - lr (sqrt(c2) / c1) m / (sqrt(v + eps_root) + eps)
        cautious:  an element moves only where m g > 0

    The textbook's eps inside the root is `eps=0, eps_root=1e-8`. Keras adds eps to the uncorrected root (`eps_hat`), which makes
    it larger by 1 / sqrt(c2) in the first steps, and its weight decay is decoupled.

    Parameters
    ----------
    params, weight_decay, maximize, clip_value, ema_decay, flush_denormals, zero_grads,
    nonfinite, backend, num_threads
        As for `Optimizer`.
    lr
        Learning rate, >= 0.
    betas
        Decay of the first and of the second moment, each in [0, 1).
    eps, eps_root
        Added outside and inside the root, >= 0.
    amsgrad
        Divide by the largest second moment so far; one more state.
    eps_hat
        eps and eps_root are added to the second moment as it is and to its root, without bias correction.
    bias_correction
        Whether the first, and whether the second moment are divided by c1 and c2; as optax.amsgrad lets choose.
    corrected_max
        With amsgrad: v_max is the largest v / c2, as in optax, and not the largest v.
    cautious
        Leave elements alone whose gradient and first moment disagree (Liang et al., 2024). The paper's code divides the others' steps by
        their share among all elements of the tensor, which a step that looks at each element once cannot know: it is not done here.
    decoupled_weight_decay
        Decay the parameter instead of adding to the gradient (see `AdamW`).
    convention
        Whose defaults hold for what is not given: "torch", "keras" (eps_hat), "optax", "sklearn" (eps_hat) or "textbook" (eps inside the
        root); docs/conventions.md has them all.

    Source: Kingma and Ba, ICLR 2015; AMSGrad: Reddi, Kale and Kumar, ICLR 2018; cautious: Liang et al., 2024.
    """

    family = ADAM_FAMILY


class AdamW(Adam):
    """Adam with decoupled weight decay, taken off the parameter before the update; arguments as `torch.optim.AdamW`.

        p <- (1 - lr weight_decay) p, then as `Adam`

    Parameters are those of `Adam`; `weight_decay` is 1e-2 by default, and 4e-3 with convention="keras" (optax: 1e-4).

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.
    """

    family = ADAMW_FAMILY
