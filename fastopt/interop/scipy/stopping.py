"""When a run ends: its tolerances, and what it is told of each iteration or epoch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments

__all__ = ["CALLBACK", "CONVERGED", "LIMIT", "NONFINITE", "Tolerances", "largest"]

CONVERGED, LIMIT, NONFINITE, CALLBACK = 0, 1, 3, 99
"""Statuses, as SciPy's own methods have them."""


class Tolerances:
    """`gtol`, `ftol` and `xtol` over `patience` iterations, each as `fastopt.interop.scipy` defines it; None is never met.

    Raises TypeError or ValueError for what is no number >= 0.
    """

    def __init__(self, gtol: Any, ftol: Any, xtol: Any, patience: Any) -> None:
        given = {"gtol": gtol, "ftol": ftol, "xtol": xtol}
        checked = {name: None if value is None else arguments.number(value, name) for name, value in given.items()}
        self.gtol, self.ftol, self.xtol = checked.values()
        self.patience = arguments.whole_number(patience, "patience", 1)
        self.any = any(value is not None for value in checked.values())
        self._best = math.inf
        self._flat = self._still = 0
        self._before: NDArray[Any] | None = None

    def begin(self, x: NDArray[Any], value: float | None) -> None:
        """Where the run begins, and the value there if it is known."""
        if self.xtol is not None:
            self._before = x.copy()
        if value is not None:
            self._best = value

    def met(self, x: NDArray[Any], value: float) -> str | None:
        """What is met after another iteration or epoch besides `gtol`, in words; None if nothing is."""
        if self.ftol is not None:
            if self._best - value > self.ftol * max(abs(self._best), 1.0) or self._best == math.inf:
                self._flat = 0
            else:
                self._flat += 1
            self._best = min(self._best, value)
            if self._flat >= self.patience:
                return f"ftol: {self._flat} times in a row, fun did not become lower than {self._best:g} by more than the tolerance"
        if self._before is not None and self.xtol is not None:
            moved = largest(np.subtract(x, self._before, out=self._before))
            np.copyto(self._before, x)
            self._still = self._still + 1 if moved <= self.xtol * max(1.0, largest(x)) else 0
            if self._still >= self.patience:
                return f"xtol: {self._still} times in a row, x moved by less than the tolerance, {moved:g} in the end"
        return None

    def flat_at(self, norm: float) -> str | None:
        """Whether a gradient with that largest element meets `gtol`, in words."""
        if self.gtol is not None and norm <= self.gtol:
            return f"gtol: the gradient's largest element is {norm:g}"
        return None


def largest(array: NDArray[Any]) -> float:
    """max_i |a_i| of an array that is not empty; a NaN where there is one."""
    high, low = float(np.maximum.reduce(array)), -float(np.minimum.reduce(array))
    return high if not high < low else low
