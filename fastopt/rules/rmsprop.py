"""RMSProp: the gradient over the root of its running mean square; centered, with momentum, or both.

Two small constants keep the division finite, and frameworks disagree on where: `eps` is added outside the root (torch),
`eps_root` inside it (Keras, optax, the textbook). Both are in the kernel; one of them is usually 0, and adding 0 is exact.
"""

from __future__ import annotations

from fastopt.rules.entry import NON_NEGATIVE, UNIT, Hyperparameter, rule
from fastopt.rules.language import sqrt

HINTON = "T. Tieleman and G. Hinton, Neural Networks for Machine Learning, lecture 6.5, 2012"
GRAVES = "A. Graves, Generating sequences with recurrent neural networks, 2013, eq. 38-45"

_MEAN_SQUARE = {
    "alpha": Hyperparameter(0.99, UNIT),
    "eps": Hyperparameter(1e-8, NON_NEGATIVE),
    "eps_root": Hyperparameter(0.0, NON_NEGATIVE),
}
_WITH_MOMENTUM = {**_MEAN_SQUARE, "momentum": Hyperparameter(0.9, NON_NEGATIVE)}


def _scalars(step: int, lr: float, alpha: float, eps: float, eps_root: float) -> tuple[float, ...]:
    return lr, alpha, 1.0 - alpha, eps_root, eps


def _momentum_scalars(step: int, lr: float, alpha: float, eps: float, eps_root: float, momentum: float) -> tuple[float, ...]:
    return lr, alpha, 1.0 - alpha, eps_root, eps, momentum


@rule(
    states=("v",),
    hyperparameters=_MEAN_SQUARE,
    scalars=_scalars,
    equation="v <- alpha v + (1 - alpha) g^2;   p <- p - lr g / (sqrt(v + eps_root) + eps)",
    source=HINTON,
    default_lr=1e-2,
)
def rmsprop(p, g, v, lr, alpha, one_minus_alpha, eps_root, eps):
    v = alpha * v + one_minus_alpha * (g * g)
    return p - lr * g / (sqrt(v + eps_root) + eps), v


@rule(
    states=("v", "a"),
    hyperparameters=_MEAN_SQUARE,
    scalars=_scalars,
    equation="v <- alpha v + (1 - alpha) g^2;   a <- alpha a + (1 - alpha) g;   p <- p - lr g / (sqrt(v - a^2 + eps_root) + eps)",
    source=GRAVES,
    default_lr=1e-2,
)
def rmsprop_centered(p, g, v, a, lr, alpha, one_minus_alpha, eps_root, eps):
    v = alpha * v + one_minus_alpha * (g * g)
    a = alpha * a + one_minus_alpha * g
    return p - lr * g / (sqrt(v - a * a + eps_root) + eps), v, a


@rule(
    states=("v", "b"),
    hyperparameters=_WITH_MOMENTUM,
    scalars=_momentum_scalars,
    equation="v <- alpha v + (1 - alpha) g^2;   b <- momentum b + g / (sqrt(v + eps_root) + eps);   p <- p - lr b",
    source=f"{HINTON}; as torch.optim.RMSprop(momentum=...)",
    default_lr=1e-2,
)
def rmsprop_momentum(p, g, v, b, lr, alpha, one_minus_alpha, eps_root, eps, momentum):
    v = alpha * v + one_minus_alpha * (g * g)
    b = momentum * b + g / (sqrt(v + eps_root) + eps)
    return p - lr * b, v, b


@rule(
    states=("v", "a", "b"),
    hyperparameters=_WITH_MOMENTUM,
    scalars=_momentum_scalars,
    equation=(
        "v <- alpha v + (1 - alpha) g^2;   a <- alpha a + (1 - alpha) g;   "
        "b <- momentum b + g / (sqrt(v - a^2 + eps_root) + eps);   p <- p - lr b"
    ),
    source=f"{GRAVES}; as torch.optim.RMSprop(centered=True, momentum=...)",
    default_lr=1e-2,
)
def rmsprop_centered_momentum(p, g, v, a, b, lr, alpha, one_minus_alpha, eps_root, eps, momentum):
    v = alpha * v + one_minus_alpha * (g * g)
    a = alpha * a + one_minus_alpha * g
    b = momentum * b + g / (sqrt(v - a * a + eps_root) + eps)
    return p - lr * b, v, a, b
