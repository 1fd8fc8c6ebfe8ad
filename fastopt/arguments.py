"""Every check of an argument, all made before the first write. Messages say: argument, expected, received."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import layout
from fastopt.rules.domain import NON_NEGATIVE, Choice, Interval, describe
from fastopt.storage import STORAGES

__all__ = [
    "KINDS",
    "alike",
    "any_number",
    "choice",
    "dtype_name",
    "grad_scale",
    "lies_like",
    "max_norm",
    "number",
    "positive",
    "real",
    "series",
    "whole_number",
]

_NAMES = sorted(STORAGES, key=lambda name: STORAGES[name].texts is not None)
KINDS = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"
"""What parameters may be made of, in words."""


def number(value: Any, name: str, interval: Interval = NON_NEGATIVE) -> float:
    """A real number in the interval, as a float. Raises TypeError or ValueError."""
    return interval.checked(value, name)


def whole_number(value: Any, name: str, low: int) -> int:
    """An integer of at least `low`. Raises TypeError or ValueError."""
    if value.__class__ is int and low <= value < 2**63:
        return value
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: expected an integer >= {low}, received {describe(value)}")
    whole = int(value)
    if whole < low:
        raise ValueError(f"{name}: expected an integer >= {low}, received {whole}")
    if whole >= 2**63:
        raise ValueError(f"{name}: expected an integer >= {low} of 64 bits, received one of {whole.bit_length()} bits")
    return whole


def choice(value: Any, name: str, choices: Sequence[str]) -> str:
    """One of the words. Raises TypeError or ValueError."""
    if value.__class__ is str and value in choices:
        return str(value)
    return Choice(tuple(choices)).checked(value, name)


def grad_scale(value: Any) -> float:
    """The factor that the gradients were scaled by: positive, finite, and with a finite reciprocal."""
    converted = number(value, "grad_scale")
    if converted == 0.0 or not math.isfinite(1.0 / converted):
        raise ValueError(f"grad_scale: expected a number > 0 with a finite reciprocal, received {converted!r}")
    return converted


def max_norm(value: Any) -> float:
    """The largest global norm of the gradients: positive; an infinity measures and never clips."""
    if isinstance(value, numbers.Real) and value == math.inf:
        return math.inf
    converted = number(value, "max_norm")
    if converted == 0.0:
        raise ValueError("max_norm: expected a number > 0, received 0.0")
    return converted


def real(value: Any, name: str) -> float:
    """A finite number. Raises TypeError or ValueError."""
    return number(value, name, Interval(-math.inf, math.inf))


def any_number(value: Any, name: str) -> float:
    """A number, an infinity or a NaN, as a float. Raises TypeError."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, received {describe(value)}")
    real: Any = value
    try:
        return float(real)
    except OverflowError:  # an integer or a fraction beyond the floats
        return math.inf if real > 0 else -math.inf


def positive(value: Any, name: str, over: float = 0.0) -> float:
    """A finite number above 0, or above another one. Raises TypeError or ValueError."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a finite number > {over:g}, received {describe(value)}")
    converted = any_number(value, name)
    if not (math.isfinite(converted) and converted > over):
        raise ValueError(f"{name}: expected a finite number > {over:g}, received {converted!r}")
    return converted


def series(values: Any, name: str, least: int) -> NDArray[np.float64]:
    """At least so many real numbers in a row, infinities and NaNs among them or not, as float64. Raises TypeError or ValueError."""
    array = values if isinstance(values, np.ndarray) else None
    if array is None:
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise TypeError(f"{name}: expected a series of numbers, received {describe(values)}")
        try:
            array = np.asarray(list(values))
        except ValueError:  # of several lengths
            array = np.asarray([None])
        array = array.astype(np.float64) if array.size == 0 else array
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name}: expected a series of numbers, received {describe(values)}")
    if array.ndim != 1:
        raise ValueError(f"{name}: expected a series of one dimension, received {describe(array)}")
    if array.size < least:
        raise ValueError(f"{name}: expected at least {least} {'number' if least == 1 else 'numbers'}, received {array.size}")
    return array.astype(np.float64)


def alike(value: Any, label: str, parameter: Any, parameter_label: str, dtype: np.dtype[Any]) -> None:
    """An array of that dtype and a parameter's shape. Raises TypeError or ValueError."""
    if value.dtype != dtype:
        like = f" like {parameter_label}" if dtype == parameter.dtype else f" beside {parameter_label} of {dtype_name(parameter.dtype)}"
        raise TypeError(f"{label}: expected dtype {dtype_name(dtype)}{like}, received {dtype_name(value.dtype)}")
    if value.shape != parameter.shape:
        raise ValueError(f"{label} has shape {value.shape}, its parameter {parameter_label} has shape {parameter.shape}")


def lies_like(value: Any, label: str, parameter: Any, parameter_label: str) -> None:
    """An array whose elements lie in the order of a parameter's. Raises ValueError."""
    own, other = layout.of(value), layout.of(parameter)
    if not layout.same(value.shape, own, other):
        raise ValueError(
            f"{label}: expected its elements in the order of {parameter_label}'s, with strides {other} in elements; received strides {own}"
        )


def dtype_name(dtype: np.dtype[Any]) -> str:
    """A dtype in words."""
    return str(dtype) if dtype.isnative else f"{dtype.name} in foreign byte order ({dtype.str})"
