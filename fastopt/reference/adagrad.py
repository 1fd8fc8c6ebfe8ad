"""AdaGrad, as plain NumPy."""

from __future__ import annotations

import numpy as np

from fastopt.reference.operations import Array

__all__ = ["adagrad"]


def adagrad(
    p: Array,
    g: Array,
    h: Array,
    *,
    step: int,
    lr: float,
    lr_decay: float,
    initial_accumulator_value: float,
    eps: float,
    eps_inside_root: bool,
) -> tuple[Array, ...]:
    h = h + g * g
    root = np.sqrt(h + eps) if eps_inside_root else np.sqrt(h) + eps
    return p - lr / (1.0 + (step - 1) * lr_decay) * g / root, h
