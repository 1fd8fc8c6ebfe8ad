"""Exponentially weighted averages, of numbers or of arrays, with their bias correction and their effective window."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastopt import arguments
from fastopt.rules.domain import FLAG, UNIT, describe

__all__ = ["ExponentialAverage", "smoothed"]

KEYS = ("beta", "bias_correction", "steps", "weight", "average")


class ExponentialAverage:
    """An exponentially weighted average, over about the last 1 / (1 - beta) values.

        v <- beta v + (1 - beta) x        v begins at 0
        w <- beta w + (1 - beta)          w = 1 - beta^t after t values
        value = v / w                     with bias correction; v without

    `window` = 1 / (1 - beta) is 2 for beta = 0.5, 10 for 0.9 and 50 for 0.98. After so many more, the weight of a value is about 1/e of
    the newest one's (1/4 for 0.5). Without the correction the first averages are pulled to 0, where v began, until the window is full.

    Parameters
    ----------
    beta
        In [0, 1). 0 is the last value alone.
    bias_correction
        Divide by the weight of the values so far (Kingma and Ba, Adam, ICLR 2015, section 3). w is carried along instead of computed as
        1 - beta^t, which loses its digits where beta is near 1.

    Numbers are averaged in float64. An array decides by its dtype: float32 and narrower floats in float32, all others in float64; later
    ones have to have its shape. They are only read, and the average is updated in place. Infinities and NaNs stay in an average for good.

    Examples
    --------
    >>> average = fastopt.training.ExponentialAverage(0.9)
    >>> round(average.update(3.0).value, 12), round(average.update(5.0).value, 12)
    (3.0, 4.052631578947)
    """

    def __init__(self, beta: float, bias_correction: bool = True) -> None:
        self._beta = arguments.number(beta, "beta", UNIT)
        self._bias_correction = FLAG.checked(bias_correction, "bias_correction")
        self._steps, self._weight = 0, 0.0
        self._average: Any = None
        self._scratch: Any = None

    @property
    def beta(self) -> float:
        """The weight of what was before."""
        return self._beta

    @property
    def bias_correction(self) -> bool:
        """Whether `value` is divided by the weight of the values so far."""
        return self._bias_correction

    @property
    def window(self) -> float:
        """How many values it averages over, in effect: 1 / (1 - beta)."""
        return 1.0 / (1.0 - self._beta)

    @property
    def steps(self) -> int:
        """How many values there were."""
        return self._steps

    @property
    def value(self) -> Any:
        """The average: a float, or a new array. Raises ValueError before the first value."""
        if self._average is None:
            raise ValueError("value: expected at least one update before, received none")
        if not self._bias_correction:
            return self._average if isinstance(self._average, float) else self._average.copy()
        return self._average / self._weight

    def update(self, value: Any) -> ExponentialAverage:
        """Takes in one value; answers the average itself. Raises TypeError or ValueError for one unlike the first, with nothing changed."""
        rest = 1.0 - self._beta
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            if isinstance(self._average, np.ndarray):
                raise TypeError(f"value: expected an array of shape {self._average.shape}, received {describe(value)}")
            self._average = self._beta * (self._average or 0.0) + rest * arguments.any_number(value, "value")
        else:
            array = self._checked(value)
            if self._average is None:
                narrow = array.dtype.kind == "f" and array.dtype.itemsize <= 4
                self._average = np.zeros(array.shape, np.float32 if narrow else np.float64)
            if self._scratch is None:
                self._scratch = np.empty_like(self._average)
            np.multiply(array, rest, out=self._scratch, dtype=self._scratch.dtype, casting="same_kind")
            np.multiply(self._average, self._beta, out=self._average)
            np.add(self._average, self._scratch, out=self._average)
        self._weight = self._beta * self._weight + rest
        self._steps += 1
        return self

    def _checked(self, value: Any) -> NDArray[Any]:
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            raise TypeError(f"value: expected a number or a NumPy array of real numbers, received {describe(value)}")
        if isinstance(self._average, float):
            raise TypeError(f"value: expected a number, like those before, received {describe(value)}")
        if self._average is not None and value.shape != self._average.shape:
            raise ValueError(f"value: expected an array of shape {self._average.shape}, received {describe(value)}")
        return value

    def state_dict(self) -> dict[str, Any]:
        """All that it takes to go on: `beta`, `bias_correction`, `steps`, `weight`, and `average` (a copy; None before the first)."""
        average = self._average.copy() if isinstance(self._average, np.ndarray) else self._average
        return dict(zip(KEYS, (self._beta, self._bias_correction, self._steps, self._weight, average), strict=True))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave, beta too. Raises TypeError or ValueError, with nothing changed."""
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(KEYS):
            received = list(state_dict) if isinstance(state_dict, Mapping) else describe(state_dict)
            raise ValueError(f"state_dict: expected a mapping with {', '.join(KEYS)}; received {received}")
        beta = arguments.number(state_dict["beta"], "state_dict['beta']", UNIT)
        corrected = FLAG.checked(state_dict["bias_correction"], "state_dict['bias_correction']")
        steps = arguments.whole_number(state_dict["steps"], "state_dict['steps']", 0)
        weight = arguments.number(state_dict["weight"], "state_dict['weight']")
        average = state_dict["average"]
        if (average is None) != (steps == 0) or (weight == 0.0) != (steps == 0):
            raise ValueError(f"state_dict['average']: expected None before the first value and only then, received {describe(average)}")
        if isinstance(average, np.ndarray):
            if average.dtype not in (np.float32, np.float64):
                raise TypeError(f"state_dict['average']: expected float32 or float64, received {describe(average)}")
            average = average.copy()
        elif average is not None:
            if isinstance(average, bool) or not isinstance(average, numbers.Real):
                raise TypeError(f"state_dict['average']: expected a number or a NumPy array, received {describe(average)}")
            average = float(average)
        self._beta, self._bias_correction, self._steps, self._weight = beta, corrected, steps, weight
        self._average, self._scratch = average, None

    def __repr__(self) -> str:
        return f"<ExponentialAverage: beta {self._beta!r}, window {self.window:g}, {self._steps} values>"


def smoothed(values: ArrayLike, beta: float, *, bias_correction: bool = True, centred: bool = False) -> NDArray[np.float64]:
    """The average after each of some numbers, as for a plot.

        plain      sum_j beta^(i-j) x_j / sum_j beta^(i-j),     j <= i
        centred    sum_j beta^|i-j| x_j / sum_j beta^|i-j|,     all j

    The plain one lags behind by about beta / (1 - beta) values; the centred one does not, but at the ends, and knows what comes after.
    It takes bias correction.

    Raises TypeError or ValueError for what is no series of numbers.
    """
    series = arguments.series(values, "values", 1)
    average = ExponentialAverage(beta, bias_correction)
    if not FLAG.checked(centred, "centred"):
        return np.array([average.update(value).value for value in series.tolist()])
    if not average.bias_correction:
        raise ValueError("bias_correction: expected True for a centred average, received False")
    forwards, weights = _passed(series, average.beta)
    backwards, weights_back = (part[::-1] for part in _passed(series[::-1], average.beta))
    rest = 1.0 - average.beta  # both passes count a value itself
    return (forwards + backwards - rest * series) / (weights + weights_back - rest)


def _passed(series: NDArray[np.float64], beta: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The averages without correction, and their weights."""
    values, ones = (ExponentialAverage(beta, bias_correction=False) for _ in range(2))
    found = [(values.update(value).value, ones.update(1.0).value) for value in series.tolist()]
    return np.array([value for value, _ in found]), np.array([weight for _, weight in found])
