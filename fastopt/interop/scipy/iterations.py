"""A run on one and the same function: a value and a gradient at each point, a step, and the tolerances after each step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.interop.scipy.run import CALLED_OFF, Ending, Run
from fastopt.interop.scipy.stopping import CONVERGED

__all__ = ["Iterations"]


class Iterations(Run):
    """At most `maxiter` steps."""

    def __init__(self, *held: Any, maxiter: int) -> None:
        super().__init__(*held)
        self.maxiter = maxiter
        self.fun = math.nan
        self.gradient: NDArray[Any] = self.x

    def run(self) -> Ending:
        """The loop."""
        x, at, tolerances, best_x = self.x, self.objective.at, self.tolerances, self.best_x
        looks = tolerances.ftol is not None or tolerances.xtol is not None
        tells = self.callback.there or self.all is not None
        observes = True
        fun, gradient = at(x)
        self.best_fun = fun  # at x0, where best_x is
        tolerances.begin(x, fun)
        while True:
            self.fun, self.gradient = fun, gradient
            norm = self.norm(gradient)
            if not (math.isfinite(fun) and math.isfinite(norm)):
                return self.nonfinite(fun)
            met = tolerances.flat_at(norm)
            if met is None and looks and self.nit:
                met = tolerances.met(x, fun)
            if met is not None:
                return CONVERGED, f"Optimization terminated successfully ({met})."
            if self.nit == self.maxiter:
                return self.limit(f"{self.nit} iterations were")
            if observes:  # a schedule that goes by the loss
                observes = self.optimizer.observe(fun)
            self.step(gradient)
            fun, gradient = at(x)
            if self.best and self.better(fun):
                np.copyto(best_x, x)
            if tells:
                self.fun, self.gradient = fun, gradient
                if self.told(x, fun):
                    return CALLED_OFF

    def found(self) -> tuple[NDArray[Any], float, NDArray[Any]]:
        """The best point, or the last; of schedule-free optimizers their average instead of the last."""
        x, fun, gradient = self.x, self.fun, self.gradient
        if self.averaged is not None and self.nit:
            x = self.averaged.averages()
            fun, gradient = self.objective.at(x)
        if self.best and not fun <= self.best_fun and not math.isnan(self.best_fun):
            x = self.best_x
            fun, gradient = self.objective.at(x)
        return x.copy(), fun, gradient.copy()
