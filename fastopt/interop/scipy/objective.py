"""What is minimized: a value and a gradient at a point, however the caller gives them, and how often each was asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import approx_fprime

from fastopt import arguments
from fastopt.interop.scipy.box import Box
from fastopt.rules.domain import describe

__all__ = ["Objective"]

REL_STEP = float(np.finfo(np.float64).eps ** 0.5)


class Objective:
    """A function and its gradient at points like `x`.

    `at(x, batch)` is the value, as a float, and the gradient, in the dtype and shape of x. What the caller's functions are given is theirs:
    copies, which they may keep and write to, as in SciPy.

    Raises TypeError or ValueError for what is no function, and where these answer with no number or no such gradient.
    """

    def __init__(self, fun: Any, jac: Any, args: Any, x: NDArray[Any], box: Box | None, rel_step: Any) -> None:
        self.nfev = self.njev = 0
        self._args = args if isinstance(args, tuple) else (args,)
        self._dtype, self._shape = x.dtype, x.shape
        self._box = box
        self._rel_step = REL_STEP if rel_step is None else arguments.positive(rel_step, "finite_diff_rel_step")
        if not callable(fun):
            raise TypeError(f"fun: expected a function, received {describe(fun)}")
        both = fun if jac is True else _of_both(fun, jac)
        self._fun: Any = fun if both is None else both
        self._jac: Any = jac
        if both is not None:
            self.at = self._at_once
        elif callable(jac):
            self.at = self._one_by_one
        elif jac is None or jac is False or (isinstance(jac, str) and jac == "2-point"):
            self.at = self._by_differences
        else:
            raise ValueError(f"jac: expected a function, True, or None for forward differences; received {describe(jac)}")
        if rel_step is not None and self.at != self._by_differences:
            raise ValueError("finite_diff_rel_step: expected None, as jac gives the gradient")

    at: Callable[..., tuple[float, NDArray[Any]]]

    def _at_once(self, x: NDArray[Any], batch: tuple[Any, ...] = ()) -> tuple[float, NDArray[Any]]:
        self.nfev += 1
        self.njev += 1
        found = self._fun(x.copy(), *batch, *self._args)
        try:
            value, gradient = found
        except (TypeError, ValueError) as error:
            raise TypeError(f"fun: expected a value and a gradient, as jac is True; received {describe(found)}") from error
        return self._value(value), self._gradient(gradient)

    def _one_by_one(self, x: NDArray[Any], batch: tuple[Any, ...] = ()) -> tuple[float, NDArray[Any]]:
        self.nfev += 1
        self.njev += 1
        value = self._fun(x.copy(), *batch, *self._args)
        return self._value(value), self._gradient(self._jac(x.copy(), *batch, *self._args))

    def _by_differences(self, x: NDArray[Any], batch: tuple[Any, ...] = ()) -> tuple[float, NDArray[Any]]:
        values: list[float] = []

        def counted(point: NDArray[Any]) -> float:
            self.nfev += 1
            values.append(self._value(self._fun(point.copy(), *batch, *self._args)))
            return values[-1]

        self.njev += 1
        there = x.astype(np.float64)
        if not np.isfinite(there).all():  # SciPy's differences would divide 0 by 0 there, and warn
            return counted(there), np.full(self._shape, np.nan, self._dtype)
        h = self._rel_step * np.where(there < 0.0, -1.0, 1.0) * np.maximum(1.0, np.abs(there))
        if self._box is not None:
            beyond = (there + h > self._box.high) | (there + h < self._box.low)
            h = np.where(beyond, -h, h)
        with np.errstate(invalid="ignore"):  # of values that are not finite, which whoever asked looks at
            gradient = approx_fprime(there, counted, h)
        return values[0], self._gradient(gradient)

    def _value(self, value: Any) -> float:
        if value.__class__ is float or isinstance(value, np.float64):
            return float(value)
        try:
            return float(np.asarray(value).item())
        except (TypeError, ValueError) as error:
            raise TypeError(f"fun: expected a number, received {describe(value)}") from error

    def _gradient(self, gradient: Any) -> NDArray[Any]:
        if gradient.__class__ is not np.ndarray or gradient.dtype != self._dtype or gradient.shape != self._shape:
            array = np.atleast_1d(np.asarray(gradient))
            if array.dtype.kind not in "fiub" and array.dtype != self._dtype:  # bfloat16 has no kind of its own
                raise TypeError(f"jac: expected an array of numbers, received {describe(gradient)}")
            if array.shape != self._shape:
                raise ValueError(f"jac: expected a gradient of shape {self._shape}, as x0's; received shape {array.shape}")
            with np.errstate(over="ignore"):  # an infinity ends the run in words of its own
                gradient = array.astype(self._dtype)
        return gradient if gradient.flags.c_contiguous else np.ascontiguousarray(gradient)


def _of_both(fun: Any, jac: Any) -> Any:
    """The caller's function where SciPy has parted it for jac=True, else None.

    What SciPy makes of it remembers the last answer by x alone: where a step leaves x as it is, the next mini-batch would get the values of
    the one before. It also copies x and compares it anew for each of the two.
    """
    parted = inspect.ismethod(jac) and jac.__self__ is fun and jac.__func__.__name__ == "derivative"
    return getattr(fun, "fun", None) if parted else None
