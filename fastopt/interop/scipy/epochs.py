"""A run on mini-batches: each step goes down on one of them, and the tolerances are looked at after each epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments
from fastopt.interop.scipy.run import CALLED_OFF, Ending, Run
from fastopt.interop.scipy.stopping import CONVERGED, largest
from fastopt.rules.domain import describe

__all__ = ["Epochs"]


class Epochs(Run):
    """`epochs` passes over the batches, of at most `maxiter` steps together (None: as many as there are); they may end within an epoch.

    Raises TypeError or ValueError for what cannot be passed over so often.
    """

    def __init__(self, *held: Any, maxiter: int | None, batches: Any, epochs: Any) -> None:
        super().__init__(*held)
        self.maxiter = math.inf if maxiter is None else maxiter
        self.epochs = arguments.whole_number(epochs, "epochs", 0)
        self.batches = batches
        if not callable(getattr(batches, "epoch", None)):
            if isinstance(batches, str) or not isinstance(batches, Iterable):
                raise TypeError(f"batches: expected fastopt.training.Batches or an iterable of arguments, received {describe(batches)}")
            if isinstance(batches, Iterator) and self.epochs > 1:
                wanted = f"what can be iterated over in each of {self.epochs} epochs"
                raise ValueError(f"batches: expected {wanted}, received {describe(batches)}")
        self.done = 0
        self.fun = math.nan
        self.gradient = np.full_like(self.x, np.nan)
        self.best_gradient = self.gradient

    def run(self) -> Ending:
        """The loop over epochs."""
        tolerances, optimizer = self.tolerances, self.optimizer
        tolerances.begin(self.x, None)
        while self.done < self.epochs and self.nit < self.maxiter:
            ending = self._epoch()
            if ending is not None:
                return ending
            self.done += 1
            point = self.x if self.averaged is None else self.averaged.averages()
            if self.best and self.better(self.fun):
                np.copyto(self.best_x, point)
                self.best_gradient = self.gradient
            optimizer.observe(self.fun)
            if self.told(point, self.fun):
                return CALLED_OFF
            met = tolerances.flat_at(self.norm(self.gradient)) or tolerances.met(self.x, self.fun)
            if met is not None:
                return CONVERGED, f"Optimization terminated successfully ({met})."
        return self.limit(f"{self.done} epochs with {self.nit} iterations were")

    def _epoch(self) -> Ending | None:
        """A pass over the batches, and the means; how it ended, if it did."""
        x, at, step = self.x, self.objective.at, self.step
        funs: list[float] = []
        total = np.zeros(x.size)
        for batch in self._batches():
            if self.nit == self.maxiter:
                break
            fun, gradient = at(x, batch if isinstance(batch, tuple) else (batch,))
            if not (math.isfinite(fun) and math.isfinite(largest(gradient))):
                return self.nonfinite(fun)
            funs.append(fun)
            total += gradient
            step(gradient)
        if not funs:
            raise ValueError(f"batches: expected at least one in an epoch, received none in epoch {self.done}")
        self.fun, self.gradient = math.fsum(funs) / len(funs), (total / len(funs)).astype(x.dtype)
        return None

    def _batches(self) -> Iterable[Any]:
        found: Iterable[Any] = self.batches.epoch(self.done) if callable(getattr(self.batches, "epoch", None)) else self.batches
        return found

    def found(self) -> tuple[NDArray[Any], float, NDArray[Any]]:
        """The end of the best epoch, or of the last."""
        if self.best:
            return self.best_x, self.best_fun, self.best_gradient
        return (self.x.copy() if self.averaged is None or not self.nit else self.averaged.averages()), self.fun, self.gradient

    def result(self, status: int, message: str) -> Any:
        """With the number of epochs, the one that `maxiter` cut short among them, and not one that ended otherwise."""
        result = super().result(status, message)
        result["epochs"] = self.done
        return result
