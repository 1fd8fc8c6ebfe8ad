"""What runs by iterations and by epochs share: the point, the best one so far, and the result."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from fastopt.interop.scipy.box import Box
from fastopt.interop.scipy.callbacks import Callback
from fastopt.interop.scipy.objective import Objective
from fastopt.interop.scipy.stopping import CALLBACK, CONVERGED, LIMIT, NONFINITE, Tolerances, largest
from fastopt.optimizers import Optimizer
from fastopt.optimizers.schedule_free import ScheduleFree

__all__ = ["Ending", "Run"]

Ending = tuple[int, str]
"""A status, and the message."""

CALLED_OFF = CALLBACK, "`callback` raised `StopIteration`."


class Run(ABC):
    """An optimizer on its way down; `x` is the array that it steps on.

    `best` says whether the best point is kept, or the last one is the result.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: Optimizer,
        x: NDArray[Any],
        box: Box | None,
        callback: Callback,
        tolerances: Tolerances,
        best: bool,
        return_all: bool,
    ) -> None:
        self.objective, self.optimizer, self.x, self.box = objective, optimizer, x, box
        self.callback, self.tolerances = callback, tolerances
        self.averaged = optimizer if isinstance(optimizer, ScheduleFree) else None
        self.best = best
        self.best_fun = math.nan
        self.best_x = x.copy()
        self.all: list[NDArray[Any]] | None = [x.copy()] if return_all else None
        self.nit = 0

    @abstractmethod
    def run(self) -> Ending:
        """Steps until something ends it."""

    @abstractmethod
    def found(self) -> tuple[NDArray[Any], float, NDArray[Any]]:
        """The resulting point, the value and the gradient there."""

    def step(self, gradient: NDArray[Any]) -> None:
        """One step, and back into the box."""
        self.optimizer.step(gradient)
        if self.box is not None:
            self.box.move_into(self.x)
        self.nit += 1

    def norm(self, gradient: NDArray[Any]) -> float:
        """What `gtol` is compared with; not finite where the gradient is not."""
        norm = largest(gradient)
        if self.box is None or not math.isfinite(norm):
            return norm
        return largest(self.box.projected(self.x, gradient))

    def told(self, x: NDArray[Any], fun: float) -> bool:
        """Tells whoever wants to know of a new point; whether the callback has had enough."""
        if self.all is not None:
            self.all.append(x.copy())
        return self.callback.there and self.callback.stops(x, fun, self.nit)

    def nonfinite(self, fun: float) -> Ending:
        """The end where a value or a gradient is not finite."""
        what = f"fun is {fun}" if not math.isfinite(fun) else "the gradient is not finite"
        why = "at x0" if self.nit == 0 else f"after {self.nit} steps; the learning rate may be too high"
        return NONFINITE, f"Non-finite value encountered: {what} {why}."

    def limit(self, most: str) -> Ending:
        """The end of a run that made all its steps."""
        if self.tolerances.any:
            return LIMIT, f"{most} made, and no tolerance is met."
        return CONVERGED, f"{most} made; no tolerance was set."

    def result(self, status: int, message: str) -> Any:
        """What `minimize` gives back."""
        x, fun, gradient = self.found()
        result: Any = OptimizeResult()
        result.update(
            x=x,
            fun=fun,
            jac=gradient,
            nit=self.nit,
            nfev=self.objective.nfev,
            njev=self.objective.njev,
            status=status,
            success=status == CONVERGED,
            message=message,
            optimizer=self.optimizer,
        )
        if self.all is not None:
            result["allvecs"] = self.all
        return result

    def better(self, fun: float) -> bool:
        """Whether a point of that value is the best so far; the first one always is."""
        if fun < self.best_fun or self.best_fun != self.best_fun:
            self.best_fun = fun
            return True
        return False
