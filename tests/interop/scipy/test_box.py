"""Bounds in every form that SciPy takes, and what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import Bounds

from fastopt.interop.scipy.box import Box

X = np.array([-3.0, 0.5, 9.0])
INF = np.inf


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds([-1.0, -INF, 0.0], [1.0, INF, 2.0]),
        [(-1.0, 1.0), (None, None), (0, 2)],
        ((-1.0, 1.0), (-INF, INF), (0.0, 2.0)),
        np.array([[-1.0, 1.0], [-INF, INF], [0.0, 2.0]]),
        zip([-1.0, None, 0.0], [1.0, None, 2.0], strict=True),
    ],
    ids=["Bounds", "None", "infinities", "array", "iterator"],
)
def test_the_nearest_point_within(bounds: Any) -> None:
    box, x = Box(bounds, X), X.copy()
    box.move_into(x)
    np.testing.assert_array_equal(x, [-1.0, 0.5, 2.0])
    np.testing.assert_array_equal(box.projected(x, np.array([1.0, 5.0, -1.0])), [0.0, -5.0, 0.0])
    np.testing.assert_array_equal(box.projected(x, np.array([-1.0, 0.0, 1.0])), [1.0, 0.0, -1.0])


def test_one_pair_for_all_and_the_dtype_of_x() -> None:
    box = Box(Bounds(0.1, 0.3), X.astype(np.float32))
    assert box.low.dtype == np.float32
    np.testing.assert_array_equal(box.low, np.float32(0.1))


@pytest.mark.parametrize(
    ("bounds", "error", "message"),
    [
        ([(0, 1)], ValueError, r"^bounds: expected a scipy.optimize.Bounds, or a pair \(low, high\) for each of 3 elements, received 1$"),
        (3, TypeError, r"^bounds: expected .*, received 3 \(int\)$"),
        ("abc", TypeError, r"^bounds: expected .*, received 'abc' \(str\)$"),
        ([(0, 1), 2, (0, 1)], TypeError, r"^bounds\[1\]: expected a pair of numbers or None, received 2 \(int\)$"),
        ([(0, 1), (0, 1), (2, 1)], ValueError, r"^bounds\[2\]: expected low <= high, received \(2.0, 1.0\)$"),
        ([(0, 1), (np.nan, 1), (2, 3)], ValueError, r"^bounds\[1\]: expected low <= high, received \(nan, 1.0\)$"),
        (Bounds([0, 0], [1, 1]), ValueError, r"^bounds: expected .* for each of 3 elements, received Bounds"),
    ],
)
def test_what_is_refused(bounds: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Box(bounds, X)
