"""Gradient descent and its momentum forms, as plain NumPy."""

from __future__ import annotations

from fastopt.reference.operations import Array

__all__ = ["momentum", "sgd"]


def sgd(p: Array, g: Array, *, step: int, lr: float) -> tuple[Array, ...]:
    return (p - lr * g,)


def momentum(
    p: Array,
    g: Array,
    b: Array,
    *,
    step: int,
    lr: float,
    momentum: float,
    dampening: float = 0.0,
    averaged: bool = False,
    nesterov: bool = False,
    velocity: bool = False,
) -> tuple[Array, ...]:
    if velocity:
        b = momentum * b - lr * g
        return p + (momentum * b - lr * g) if nesterov else p + b, b
    weight = 1.0 - dampening
    if averaged:
        weight = 1.0 - momentum
    elif step == 1:
        weight = 1.0
    b = momentum * b + weight * g
    return p - lr * (g + momentum * b) if nesterov else p - lr * b, b
