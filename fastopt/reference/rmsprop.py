"""RMSProp, as plain NumPy."""

from __future__ import annotations

import math

import numpy as np

from fastopt.reference.operations import Array

__all__ = ["rmsprop"]


def rmsprop(
    p: Array,
    g: Array,
    v: Array,
    a: Array | None = None,
    b: Array | None = None,
    *,
    step: int,
    lr: float,
    alpha: float,
    eps: float,
    eps_inside_root: bool = False,
    initial_accumulator_value: float = 0.0,
    bias_correction: bool = False,
    momentum: float = 0.0,
    centered: bool = False,
    buffered: bool = False,
    velocity: bool = False,
    nesterov: bool = False,
) -> tuple[Array | None, ...]:
    v = alpha * v + (1.0 - alpha) * (g * g)
    correction = 1.0 - alpha**step if bias_correction else 1.0
    square = v
    if centered:
        assert a is not None
        a = alpha * a + (1.0 - alpha) * g
        square = v - 1.0 / correction * (a * a)
    # the bias correction, moved out of the root (see the text of the rule)
    root = np.sqrt(square + eps * correction) if eps_inside_root else np.sqrt(square) + eps * math.sqrt(correction)
    g = math.sqrt(correction) * g
    if not buffered:
        return p - lr * g / root, v, a, b
    assert b is not None
    if velocity:
        increment = lr * g / root
        b = momentum * b + increment
        return p - (increment + momentum * b if nesterov else b), v, a, b
    b = momentum * b + g / root
    return p - lr * b, v, a, b
