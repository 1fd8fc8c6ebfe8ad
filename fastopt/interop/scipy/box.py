"""Bounds as SciPy's functions take them, and the nearest point within."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.rules.domain import describe

__all__ = ["Box"]

WANTED = "bounds: expected a scipy.optimize.Bounds, or a pair (low, high) for each of"


class Box:
    """The points x with low <= x <= high, element by element; an infinity, or None, is no bound.

    Raises TypeError or ValueError for bounds that no point of that length and dtype lies in.
    """

    def __init__(self, bounds: Any, x: NDArray[Any]) -> None:
        low, high = (bounds.lb, bounds.ub) if hasattr(bounds, "lb") and hasattr(bounds, "ub") else _columns(bounds, x.size)
        sides = []
        for side in (low, high):
            try:
                sides.append(np.broadcast_to(np.asarray(side, np.float64), x.shape).astype(x.dtype))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{WANTED} {x.size} elements, received {describe(bounds)}") from error
        self.low, self.high = sides
        wrong = np.flatnonzero(~(self.low <= self.high))  # a NaN is no bound either
        if wrong.size:
            i = int(wrong[0])
            raise ValueError(f"bounds[{i}]: expected low <= high, received ({self.low[i]}, {self.high[i]})")

    def move_into(self, x: NDArray[Any]) -> None:
        """Moves a point to the nearest one of the box, in place."""
        np.maximum(x, self.low, out=x)
        np.minimum(x, self.high, out=x)

    def projected(self, x: NDArray[Any], gradient: NDArray[Any]) -> NDArray[Any]:
        """P(x - gradient) - x: 0 where no step within the box goes down."""
        y: NDArray[Any] = x - gradient
        self.move_into(y)
        y -= x
        return y


def _columns(bounds: Any, length: int) -> tuple[list[float], list[float]]:
    if isinstance(bounds, str) or not isinstance(bounds, Iterable):
        raise TypeError(f"{WANTED} {length} elements, received {describe(bounds)}")
    pairs = list(bounds)
    if len(pairs) != length:
        raise ValueError(f"{WANTED} {length} elements, received {len(pairs)}")
    low, high = [], []
    for i, pair in enumerate(pairs):
        try:
            a, b = pair
            low.append(-np.inf if a is None else float(a))
            high.append(np.inf if b is None else float(b))
        except (TypeError, ValueError) as error:
            raise TypeError(f"bounds[{i}]: expected a pair of numbers or None, received {describe(pair)}") from error
    return low, high
