"""Gradient descent and its momentum forms, in order of complexity."""

from __future__ import annotations

from fastopt.rules.entry import NON_NEGATIVE, UNIT, Hyperparameter, rule

POLYAK = "B. T. Polyak, Some methods of speeding up the convergence of iteration methods, 1964"
SUTSKEVER = "I. Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013"

MOMENTUM = Hyperparameter(0.9, NON_NEGATIVE)


@rule(
    equation="p <- p - lr g",
    source="H. Robbins and S. Monro, A stochastic approximation method, 1951",
    default_lr=1e-3,
)
def sgd(p, g, lr):
    return (p - lr * g,)


def _heavy_ball_scalars(step: int, lr: float, momentum: float, dampening: float) -> tuple[float, ...]:
    # torch starts the buffer as the first gradient, undampened; from a buffer of zeros that is a weight of 1 at step 1
    return lr, momentum, 1.0 if step == 1 else 1.0 - dampening


@rule(
    states=("b",),
    hyperparameters={"momentum": MOMENTUM, "dampening": Hyperparameter(0.0, UNIT)},
    scalars=_heavy_ball_scalars,
    equation="b <- momentum b + (1 - dampening) g   (b = g at the first step);   p <- p - lr b",
    source=f"{POLYAK}; as torch.optim.SGD",
    default_lr=1e-3,
)
def momentum(p, g, b, lr, momentum, gradient_weight):
    b = momentum * b + gradient_weight * g
    return p - lr * b, b


@rule(
    states=("b",),
    hyperparameters={"momentum": MOMENTUM, "dampening": Hyperparameter(0.0, UNIT)},
    scalars=_heavy_ball_scalars,
    equation="b <- momentum b + (1 - dampening) g   (b = g at the first step);   p <- p - lr (g + momentum b)",
    source=f"{SUTSKEVER}; as torch.optim.SGD(nesterov=True), which asks for dampening = 0",
    default_lr=1e-3,
)
def nesterov(p, g, b, lr, momentum, gradient_weight):
    b = momentum * b + gradient_weight * g
    return p - lr * (g + momentum * b), b


@rule(
    states=("v",),
    hyperparameters={"momentum": MOMENTUM},
    equation="v <- momentum v - lr g;   p <- p + v",
    source=f"{POLYAK}; as keras.optimizers.SGD: the learning rate lies inside the velocity",
    default_lr=1e-2,
)
def velocity(p, g, v, lr, momentum):
    v = momentum * v - lr * g
    return p + v, v


@rule(
    states=("v",),
    hyperparameters={"momentum": MOMENTUM},
    equation="v <- momentum v - lr g;   p <- p + (momentum v - lr g)",
    source=f"{SUTSKEVER}; as keras.optimizers.SGD(nesterov=True) and scikit-learn's SGDOptimizer",
    default_lr=1e-2,
)
def nesterov_velocity(p, g, v, lr, momentum):
    v = momentum * v - lr * g
    return p + (momentum * v - lr * g), v


def _averaged_scalars(step: int, lr: float, beta: float) -> tuple[float, ...]:
    return lr, beta, 1.0 - beta


@rule(
    states=("v",),
    hyperparameters={"beta": Hyperparameter(0.9, UNIT)},
    scalars=_averaged_scalars,
    equation="v <- beta v + (1 - beta) g;   p <- p - lr v",
    source="A. Ng, Deep Learning Specialization, course 2: gradient descent with momentum as a moving average",
    default_lr=1e-2,
)
def averaged_momentum(p, g, v, lr, beta, one_minus_beta):
    v = beta * v + one_minus_beta * g
    return p - lr * v, v
