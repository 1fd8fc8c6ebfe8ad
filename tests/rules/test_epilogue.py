"""What comes after every rule, by hand and in every backend."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.rules import epilogue
from fastopt.rules.language import parse
from fastopt.stages import FLUSHING
from tests.conftest import needed
from tests.rules.hand_computed import BACKENDS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_smallest_normal_number_is_that_of_the_dtype_which_scalars_are_rounded_to(dtype: Any) -> None:
    assert epilogue.smallest_normal(*np.array(FLUSHING, dtype)) == np.finfo(dtype).tiny


def test_a_denormal_number_becomes_0() -> None:
    def flushed(x: float) -> float:
        return epilogue.flushed(x, 0.0, 0.25)

    assert [flushed(x) for x in (0.125, -0.125, 0.25, -0.25, 3.0, math.inf, -math.inf)] == [0.0, 0.0, 0.25, -0.25, 3.0, math.inf, -math.inf]
    assert math.isnan(flushed(math.nan))
    assert math.copysign(1.0, flushed(-0.125)) == math.copysign(1.0, flushed(-0.0)) == 1.0


def test_an_average() -> None:
    assert epilogue.averaged(4.0, 1.0, 0.75, 0.25) == 3.25


def test_each_is_in_the_language_of_rules() -> None:
    for stage in (getattr(epilogue, name) for name in epilogue.__all__):
        assert inspect.isfunction(stage)
        function = parse(stage)
        assert len(function.results) == 1
        assert not function.assignments


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_states_that_run_into_denormals(backend: str, dtype: Any) -> None:
    """B <- b / 2 from 4 times the smallest normal number: the smallest one stays, what is half of it does not."""
    needed(backend)
    tiny = float(np.finfo(dtype).tiny)
    ends = {}
    for flush in (False, True):
        p = np.zeros(4, dtype)
        optimizer = fastopt.Momentum(p, lr=1.0, momentum=0.5, flush_denormals=flush, backend=backend)
        optimizer.step(np.array([4 * tiny, -4 * tiny, -0.0, math.nan], dtype))
        found = [optimizer.state_dict()["state"]["b"]]
        for _ in range(3):
            optimizer.step(np.array([0.0, 0.0, -0.0, 0.0], dtype))
            found.append(optimizer.state_dict()["state"]["b"])
        ends[flush] = found, p
    (kept, free), (flushed, bound) = ends[False], ends[True]
    for k, size in enumerate((4 * tiny, 2 * tiny, tiny, tiny / 2)):
        assert kept[k][:2].tolist() == [size, -size]
        assert flushed[k][:2].tolist() == ([size, -size] if size >= tiny else [0.0, 0.0])
        assert not np.signbit(flushed[k][2])
        assert math.isnan(flushed[k][3])
    assert not np.signbit(flushed[-1][:3]).any()
    # the last step was made with what the state had become before it was flushed
    assert bound[:2].tolist() == free[:2].tolist() == [-7.5 * tiny, 7.5 * tiny]
