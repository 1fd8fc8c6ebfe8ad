"""Arrays at random: shapes, layouts, starts and values such as people have, and such as nobody thinks of."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from fastopt.crosscheck import ulp_distance
from fastopt.storage import STORAGES

__all__ = ["filled", "like", "made", "narrow_there", "same_bits", "values_for"]

SHAPES = ((), (0,), (1,), (3,), (17,), (64,), (2, 3), (5, 1), (4, 0), (3, 4, 5), (257,), (1025,))
ORDERS = {0: [()], 1: [(0,)], 2: [(0, 1), (1, 0)], 3: [(0, 1, 2), (2, 1, 0), (1, 0, 2)]}

Array = np.ndarray[Any, Any]


def made(shape: tuple[int, ...], dtype: Any, order: tuple[int, ...], start: int) -> Array:
    """An array of zeros whose dimensions lie in memory in this order, some elements behind the beginning of an allocation."""
    size = int(np.prod(shape, dtype=int))
    memory = np.zeros(size + start, dtype)[start:]
    return memory.reshape([shape[axis] for axis in order]).transpose(np.argsort(order)) if order else memory.reshape(shape)


def like(array: Array, dtype: Any = None, start: int = 0) -> Array:
    """Zeros of another array's shape and layout."""
    order = tuple(sorted(range(array.ndim), key=lambda axis: (-array.strides[axis], axis)))
    return made(array.shape, dtype or array.dtype, order, start)


def values_for(shape: tuple[int, ...], dtype: Any, rng: np.random.Generator, special: bool, large: bool = True) -> Array:
    """Normal numbers; `special` puts zeros of both signs, denormals, infinities and NaN among them."""
    values = np.asarray(rng.standard_normal(shape)).astype(dtype)
    if special and values.size:
        tiny = 2.0**-149 if np.dtype(dtype) == np.float32 else 2.0**-1074 if np.dtype(dtype) == np.float64 else 2.0**-24
        notable = [0.0, -0.0, tiny, -tiny, 1e-30, 3e4] + ([np.inf, -np.inf, np.nan] if large else [])
        with np.errstate(all="ignore"):
            chosen = rng.choice(np.array(notable), shape).astype(dtype)
        values = np.where(rng.random(shape) < 0.3, chosen, values).astype(dtype)
    return np.asarray(values)


def filled(array: Array, values: Array) -> Array:
    """The array, with these values in it."""
    array[...] = values
    return array


def same_bits(a: Any, b: Any) -> bool:
    """Whether two arrays are of one dtype and shape and hold the same bits, with one NaN like another."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return ulp_distance(a, b) == 0


def narrow_there() -> bool:
    """Whether bfloat16 is a dtype here."""
    return importlib.util.find_spec(str(STORAGES["bfloat16"].module)) is not None
