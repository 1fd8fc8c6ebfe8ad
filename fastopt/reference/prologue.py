"""What precedes every rule, as plain NumPy."""

from __future__ import annotations

from fastopt.reference.operations import Array, maximum, minimum

__all__ = ["prepared"]


def prepared(
    p: Array,
    g: Array,
    *,
    lr: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    grad_scale: float,
    clip: float = 1.0,
    clip_value: float | None = None,
) -> tuple[Array, Array]:
    """What precedes every rule: the gradient clipped by norm, unscaled, turned, clipped by value, and one of two kinds of weight decay."""
    factor = (-1.0 if maximize else 1.0) * clip / grad_scale
    if factor != 1.0:
        g = factor * g
    if clip_value is not None:
        bound = g.dtype.type(clip_value)
        g = minimum(bound, maximum(-bound, g))
    if weight_decay != 0.0:
        if decoupled:
            p = (1.0 - lr * weight_decay) * p
        else:
            g = g + weight_decay * p
    return p, g
