"""Keras's variables on NumPy: arrays of their own, which are changed where they lie.

Keras itself puts a new array in the place of the old one at each assignment, so whoever holds a variable's `value` from before sees it
change here, as on PyTorch, and not there; `numpy()`, `get_weights` and files are copies in both. What anybody held before the first step
stays as it is. Keras on NumPy has no gradients and no `fit`: those who step have their gradients from elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fastopt.memory import host
from fastopt.plan import Batch

__all__ = [
    "MovedError",
    "accumulate",
    "addresses",
    "apart",
    "arrays",
    "changing",
    "clear",
    "given",
    "inference",
    "let_go",
    "memory",
    "own",
    "putting",
    "states",
    "threads",
    "viewed",
]

Array = NDArray[Any]


class MovedError(Exception):
    """Never raised here: an array stays where it is."""


def apart(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method itself: there are no graphs."""
    return method


def threads() -> int:
    """As many as there are."""
    return sys.maxsize


def own(variables: Sequence[Any]) -> None:
    """Gives variables arrays that nobody else has, contiguous, writeable and of the variables' dtype.

    Keras begins a variable of float64 with float32 where it is made of zeros, and makes it what it should be with the first assignment.
    """
    for variable in variables:
        variable._value = np.array(keras.ops.convert_to_tensor(variable._value, dtype=variable.dtype), order="C")


def arrays(variables: Sequence[Any], labels: Sequence[str]) -> list[Array]:
    """The arrays of model variables. Raises TypeError or ValueError for those that a step cannot write to."""
    return host.views([v._value for v in variables], labels)


def states(variables: Sequence[Any], beside: Sequence[Any]) -> list[Array]:
    """The arrays of the variables of a state."""
    return [v._value for v in variables]


def memory(variables: Sequence[Any], views: Sequence[Array]) -> Any:
    """Where these lie, as a plan needs it."""
    return host


def given(gradients: list[Any], variables: Sequence[Any]) -> list[Any]:
    """The gradients, copies in the place of those that cannot be used as they lie: Keras casts them to their variables' dtype.

    Raises ValueError for one of another shape than its variable.
    """
    return [g if g is None else _usable(g, v._value, v.path) for g, v in zip(gradients, variables, strict=True)]


def _usable(gradient: Any, value: Array, path: str) -> Array:
    plain = type(gradient) is np.ndarray and gradient.dtype == value.dtype and gradient.flags.carray
    if not plain or np.may_share_memory(gradient, value):
        converted = keras.ops.convert_to_tensor(gradient, dtype=keras.backend.standardize_dtype(value.dtype))
        gradient = np.array(converted, value.dtype, order="C")
    found: Array = gradient
    if gradient.shape != value.shape:
        raise ValueError(f"grads: expected shape {value.shape} for the variable {path}, received {gradient.shape}")
    return found


def viewed(batches: Sequence[Batch], gradients: list[Any]) -> list[Any]:
    """The gradients, which are arrays."""
    return gradients


def let_go(batches: Sequence[Batch]) -> None:
    """Nothing: the step's caller holds them."""


def addresses(values: Sequence[Any]) -> list[int]:
    """None: an array stays where it is, and one in its place is another object."""
    return []


def inference(variables: Sequence[Any]) -> bool:
    """No array is."""
    return False


def changing(values: Sequence[Any], inference: bool) -> None:
    """Nothing: nobody is to be told."""


def putting(variable: Any, value: float) -> Callable[[], Any]:
    """The call that puts a number into a variable of one element (`fastopt.uninterrupted`)."""
    return partial(setattr, variable, "_value", np.array(value, variable.dtype))


def accumulate(sums: Sequence[Any], gradients: Sequence[Any]) -> None:
    """Adds gradients to variables."""
    for variable, gradient in zip(sums, gradients, strict=True):
        variable.assign(variable._value + gradient)


def clear(sums: Sequence[Any]) -> None:
    """Makes variables zero."""
    for variable in sums:
        variable.assign(np.zeros_like(variable._value))
