"""SignSGD and Signum, as plain NumPy."""

from __future__ import annotations

import numpy as np

from fastopt.reference.operations import Array

__all__ = ["signsgd"]


def signsgd(
    p: Array, g: Array, m: Array | None = None, *, step: int, lr: float, momentum: float = 0.0, averaged: bool = False
) -> tuple[Array | None, ...]:
    if not averaged:
        return p - lr * np.sign(g), m
    assert m is not None
    m = momentum * m + (1.0 - momentum) * g
    return p - lr * np.sign(m), m
