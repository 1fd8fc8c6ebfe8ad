"""How an array's elements lie in memory, host or device: dense, if they fill it without a gap, in whatever order of dimensions.

A step takes every dense layout (C order, Fortran order, transposed), since it works on elements in the order of memory: parameter,
gradient and states have to lie alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["contiguous", "dense", "flat", "lying_like", "of", "order", "same"]


def of(array: Any) -> tuple[int, ...]:
    """An array's strides in elements."""
    if isinstance(array, np.ndarray):
        return tuple(stride // array.itemsize for stride in array.strides)
    found: tuple[int, ...] = array.strides
    return found


def order(strides: Sequence[int]) -> tuple[int, ...]:
    """The dimensions from the one with the largest steps to the one with the smallest: transposed so, a dense array is C-contiguous."""
    return tuple(sorted(range(len(strides)), key=lambda axis: -strides[axis]))


def flat(array: NDArray[Any], like: NDArray[Any] | None = None) -> NDArray[Any]:
    """A dense array's elements in the order of memory, its own or another's of its shape: a view of one dimension, if they lie so."""
    return array.transpose(order((array if like is None else like).strides)).reshape(-1)


def lying_like(array: NDArray[Any], elements: NDArray[Any]) -> NDArray[Any]:
    """Elements in the order of an array's memory, in its shape."""
    axes = order(array.strides)
    return elements.reshape([array.shape[axis] for axis in axes]).transpose(np.argsort(axes))


def dense(shape: Sequence[int], strides: Sequence[int], itemsize: int = 1) -> bool:
    """Whether elements of `itemsize` fill memory without a gap. Strides of dimensions of length 1 say nothing."""
    if 0 in shape:
        return True
    expected = itemsize
    for stride, length in sorted((stride, length) for stride, length in zip(strides, shape, strict=True) if length > 1):
        if stride != expected:
            return False
        expected *= length
    return True


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a C-contiguous array, in elements."""
    found = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        found[axis] = found[axis + 1] * max(shape[axis + 1], 1)
    return tuple(found)


def same(shape: Sequence[int], strides: Sequence[int], others: Sequence[int]) -> bool:
    """Whether two arrays of one shape, with these strides in elements, have their elements in the same order."""
    return 0 in shape or all(a == b for a, b, length in zip(strides, others, shape, strict=True) if length > 1)
