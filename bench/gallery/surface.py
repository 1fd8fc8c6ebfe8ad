"""f(x, y) = x^2/20 + y^2, twenty times as steep one way as the other, and the way of an optimizer over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastopt.optimizers.schedule_free import ScheduleFree

from .. import drawing
from ..arrays import Array

__all__ = ["FORMULA", "START", "draw_on", "f", "gradient", "way"]

FORMULA = "f(x, y) = x²/20 + y²"

START = (-7.0, 2.0)
"""Where every way begins; the minimum is at (0, 0)."""

X, Y = (-8.5, 5.0), (-2.6, 2.6)
LEVELS = (0.02, 0.1, 0.25, 0.5, 1.0, 1.75, 2.75, 4.0, 5.5)


def f(x: Array, y: Array) -> Array:
    """The function, of numbers or arrays."""
    value: Array = x * x / 20.0 + y * y
    return value


def gradient(p: Array) -> Array:
    """[x/10, 2y]."""
    slopes: Array = p * np.array([0.1, 2.0])
    return slopes


def way(optimizer: Callable[[Array], Any], steps: int) -> Array:
    """The points that an optimizer comes to, the first one included, of shape (steps + 1, 2).

    `optimizer` makes one for a parameter of two elements, in float64. What a Schedule-Free one gives as its result is its `averages()`.
    """
    p = np.array(START)
    made = optimizer(p)
    points = [p.copy()]
    for _ in range(steps):
        made.step(gradient(p))
        points.append(made.averages() if isinstance(made, ScheduleFree) else p.copy())
    return np.array(points)


def draw_on(axis: Any, points: Array, look: dict[str, Any], ms: float = 4) -> None:
    """The contours, and a way over them."""
    drawing.contours(axis, f, X, Y, LEVELS)
    axis.plot(0, 0, "+", ms=12, mew=2, color=drawing.INK, zorder=3)
    drawing.path_on(axis, points, look, ms=ms)
    axis.set_yticks([-2, 0, 2])
