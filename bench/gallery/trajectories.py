"""The lectures' four optimizers on f(x, y) = x^2/20 + y^2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastopt

from ..arrays import Array
from ..drawing import LETTERS, WIDTH, figure, looks
from .surface import FORMULA, START, draw_on, f, way

__all__ = ["OPTIMIZERS", "TITLE", "draw"]

TITLE = "Four optimizers on f(x, y) = x²/20 + y²"

OPTIMIZERS: dict[str, Callable[[Array], Any]] = {
    "SGD, η = 0.95": lambda p: fastopt.SGD(p, lr=0.95),
    "Momentum, η = 0.1": lambda p: fastopt.Momentum(p, lr=0.1, momentum=0.9, form="velocity"),
    "AdaGrad, η = 1.5": lambda p: fastopt.AdaGrad(p, lr=1.5),
    "Adam, η = 0.3": lambda p: fastopt.Adam(p, lr=0.3),
}
"""With the rates that the lectures have; all else is the package's default (momentum 0.9; Adam 0.9, 0.999, 1e-8)."""


def draw(path: Path, steps: int = 30) -> str:
    """Draws a panel for each."""
    ends = []
    with figure(path, WIDTH, 5.6, 2, size=LETTERS, rows=2, shared=True) as axes:
        for k, (axis, (name, look)) in enumerate(zip(axes, looks(OPTIMIZERS).items(), strict=True)):
            points = way(OPTIMIZERS[name], steps)
            draw_on(axis, points, look)
            axis.set_title(name, loc="left", fontsize="medium")
            axis.set(xlabel="x" if k >= 2 else "", ylabel="y" if k % 2 == 0 else "")
            ends.append(f"{name.split(',')[0]} {f(*points[-1]):.2g}")
    return (
        f"{steps} steps from {START} (the ring) to the square; + is the minimum, grey lines are levels of {FORMULA}, η is the learning "
        "rate. SGD zigzags across the valley, as its gradient hardly points along it; momentum rolls through and past; AdaGrad damps the "
        f"steep direction for good; Adam does both for a while. f at the end: {'; '.join(ends)}."
    )
