"""Arrays to measure on: as large as asked for, different from each other, and beginning where a page does."""

from __future__ import annotations

import math

import numpy as np

from bench.arrays import PAGE, filled, gpt2_shapes, random_arrays


def test_large_arrays_begin_at_a_page_and_repeat_a_block() -> None:
    array = filled((2, 1_200_000), np.float32, 0)
    assert array.shape == (2, 1_200_000)
    assert array.ctypes.data % PAGE == 0
    assert array.flags.c_contiguous
    flat = array.ravel()
    np.testing.assert_array_equal(flat[:10], flat[1_000_003:1_000_013])
    assert np.isfinite(flat).all()


def test_arrays_of_one_call_differ() -> None:
    a, b = random_arrays([50, 50], np.float64)
    assert a.dtype == np.float64
    assert not (a == b).any()


def test_gpt2_small_has_its_published_size() -> None:
    assert len(gpt2_shapes(1)) == 148
    assert sum(math.prod(shape) for shape in gpt2_shapes(1)) == 124_439_808
