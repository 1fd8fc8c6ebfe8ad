"""A caller's callback, in either of SciPy's two signatures."""

from __future__ import annotations

import inspect
from typing import Any

from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from fastopt.rules.domain import describe

__all__ = ["Callback"]


class Callback:
    """Calls `callback(intermediate_result=...)` where that is its one parameter's name, else `callback(xk)`; None is never called.

    What it returns is not looked at, as in SciPy's methods but trust-constr. Raises TypeError for what is no function.
    """

    def __init__(self, callback: Any) -> None:
        if callback is not None and not callable(callback):
            raise TypeError(f"callback: expected a function, received {describe(callback)}")
        self._callback = callback
        self._with_result = callback is not None and _parameters(callback) == {"intermediate_result"}
        self.there = callback is not None

    def stops(self, x: NDArray[Any], fun: float, nit: int) -> bool:
        """Calls it with copies; whether it raised StopIteration."""
        try:
            if self._with_result:
                result: Any = OptimizeResult()
                result.update(x=x.copy(), fun=fun, nit=nit)
                self._callback(intermediate_result=result)
            else:
                self._callback(x.copy())
        except StopIteration:
            return True
        return False


def _parameters(function: Any) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some that are written in C do not say
        return set()
