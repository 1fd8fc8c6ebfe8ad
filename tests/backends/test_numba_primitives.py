"""The functions of the language as Numba has them: what they give for NaN and the zeros, and in which dtype."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="numba is not installed")

from fastopt.backends import numba_primitives


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_primitives_in_their_own_dtype(real: Any) -> None:
    one, sign = real(1), getattr(numba_primitives, f"sign_{real.__name__}")
    for name, reference in (("maximum", max), ("minimum", min)):
        function = getattr(numba_primitives, name)
        assert function(real(1), real(2)) == reference(1, 2)
        assert math.isnan(function(real(math.nan), one))
        assert math.isnan(function(one, real(math.nan)))
    signs = [sign(real(x)) for x in (2.5, -2.5, 0.0, -0.0, math.inf, -math.inf)]
    assert signs == [1, -1, 0, 0, 1, -1]
    assert not any(math.copysign(1, s) < 0 for s in (signs[2], signs[3]))
    assert math.isnan(sign(real(math.nan)))
    for function in (numba_primitives.maximum, numba_primitives.minimum, sign):
        for signature in function.nopython_signatures:
            assert signature.return_type == signature.args[0], "a result in another dtype"
