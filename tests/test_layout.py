"""Layouts: dense or not, and alike or not, whatever the order of dimensions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastopt import layout


@pytest.mark.parametrize("shape", [(), (0,), (1,), (5,), (3, 4), (1, 4, 1), (2, 3, 4), (2, 0, 3)])
def test_every_order_of_dimensions_is_dense(shape: tuple[int, ...]) -> None:
    for order in itertools.permutations(range(len(shape))):
        array = np.zeros([shape[axis] for axis in order]).transpose(np.argsort(order))
        assert array.shape == shape
        assert layout.dense(shape, array.strides, 8)
        assert layout.dense(shape, layout.of(array))
        assert layout.same(shape, layout.of(array), layout.of(np.zeros_like(array)))
        if 0 not in shape:
            assert array.transpose(layout.order(array.strides)).flags.c_contiguous


@pytest.mark.parametrize(
    "array",
    [np.zeros(6)[::2], np.zeros(6)[::-1], np.zeros((4, 4))[:, :2], np.zeros((4, 4))[::2], np.broadcast_to(np.zeros(3), (2, 3))],
    ids=["every other", "reversed", "columns", "rows", "broadcast"],
)
def test_gaps_and_repetitions_are_not(array: np.ndarray) -> None:  # type: ignore[type-arg]
    assert not layout.dense(array.shape, array.strides, 8)


def test_dimensions_of_length_one_say_nothing() -> None:
    assert layout.dense((1, 5, 1), (99, 1, -7))
    assert layout.same((1, 5, 1), (99, 1, -7), (5, 1, 1))
    assert not layout.same((2, 5), (5, 1), (1, 2))
    assert layout.same((0, 5), (5, 1), (1, 2)), "an array without elements"


def test_contiguous() -> None:
    for shape in ((), (5,), (3, 4), (2, 3, 4)):
        assert layout.contiguous(shape) == layout.of(np.zeros(shape))
