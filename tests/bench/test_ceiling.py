"""The ceilings: the traffic moves every stream, all of it, and the arithmetic is the step's own, for each number of passes and threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench import ceiling
from bench.interleave import Contender
from fastopt import RULES
from fastopt.host import launched
from tests.conftest import AVAILABLE

pytestmark = pytest.mark.skipif(launched.launcher() is None, reason="the launcher was not built")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arrays that are filled, in order."""
    arrays: list[Any] = []
    filled = ceiling.filled

    def remembered(*arguments: Any) -> Any:
        arrays.append(filled(*arguments))
        return arrays[-1]

    monkeypatch.setattr(ceiling, "filled", remembered)
    ceiling.traffic.cache_clear()
    return arrays


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("states", range(ceiling.MOST_STATES + 1))
def test_every_element_of_every_written_stream_moves(
    states: int, dtype: Any, threads: int, monkeypatch: pytest.MonkeyPatch, made: list[Any]
) -> None:
    monkeypatch.setattr(ceiling, "PARALLEL_FROM", 0)
    monkeypatch.setattr(ceiling, "AT_A_TIME", 2_002)
    probe = ceiling.traffic(1_001, states, dtype, threads)
    assert probe.makes == (2 if threads == 1 else 1)
    assert len(made) == 2 + states
    made[1][...] = 1.0  # the gradient
    before = [array.copy() for array in made]
    probe.step()
    for i, (array, old) in enumerate(zip(made, before, strict=True)):
        if i == 1:
            np.testing.assert_array_equal(array, old)
        else:
            np.testing.assert_allclose(array, old + probe.makes, rtol=1e-6)


def test_more_states_than_it_has_kernels_for_are_refused() -> None:
    with pytest.raises(ValueError, match="states: expected 0 to 4"):
        ceiling.traffic(10, 5, np.float32, 1)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("backend", [name for name in ("cython", "numba") if AVAILABLE[name] is True])
def test_the_arithmetic_is_that_of_as_many_elements_as_it_says(
    backend: str, threads: int, monkeypatch: pytest.MonkeyPatch, made: list[Any]
) -> None:
    monkeypatch.setattr(ceiling, "PARALLEL_FROM", 0)
    probe = ceiling.arithmetic(RULES["sgd"], backend, 50_000, np.float64, threads)
    assert probe is not None
    third = len(made) // 3
    params, *grads = (made[k * third : (k + 1) * third] for k in range(3))
    before = [p.copy() for p in params]
    probe.step()
    passes = probe.makes * 50_000 / (third * ceiling.IN_CACHE)
    assert passes == int(passes) > 1
    for p, g, other, old in zip(params, *grads, before, strict=True):
        np.testing.assert_allclose(p, old - passes / 2 * 1e-4 * (g + other), rtol=1e-9)
        assert not np.array_equal(g, other)


def test_a_backend_without_kernels_has_no_arithmetic_to_be_measured_against() -> None:
    assert ceiling.names("adam", "numpy") == ["traffic"]
    assert ceiling.arithmetic(RULES["adam"], "numpy", 1_000, np.float32, 1) is None


def test_what_takes_no_launch_of_its_own_is_counted_in_steps() -> None:
    clock = iter(range(0, 1_000, 8))
    probe = Contender(lambda: None, makes=4, takes=1.0, now=lambda: float(next(clock)))
    assert probe.block(8) == 8.0  # two calls of four steps
    assert probe.block(2) == 4.0  # half of a call
