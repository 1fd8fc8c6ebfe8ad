"""Piecewise schedules and one-cycles beside values that were computed by hand."""

from __future__ import annotations

import pytest

from fastopt.schedules import OneCycle, Piecewise


def test_piecewise() -> None:
    line = Piecewise(((2, 1.0), (4, 3.0), (8, 0.0)))
    assert [line(step) for step in (0, 2, 3, 4, 5, 6, 8, 99)] == [1.0, 1.0, 2.0, 3.0, 2.25, 1.5, 0.0, 0.0]
    curve = Piecewise(((0, 1.0), (6, 3.0)), "cosine")
    assert [curve(step) for step in (0, 2, 3, 4, 6, 7)] == pytest.approx([1.0, 1.5, 2.0, 2.5, 3.0, 3.0], rel=1e-15)
    assert [Piecewise(((5, 0.3),))(step) for step in (0, 5, 6)] == [0.3] * 3


def test_one_cycle() -> None:
    """Eleven steps that rise in 0.5454...: corners at steps 0, 5 and 10."""
    line = OneCycle(6.0, 11, 6 / 11, 1.0, 0.5, "linear")
    assert [line(step) for step in (0, 1, 4, 5, 6, 10, 11, 99)] == pytest.approx([1.0, 2.0, 5.0, 6.0, 4.9, 0.5, 0.5, 0.5])
    three = OneCycle(6.0, 16, 6 / 16, 1.0, 0.5, "linear", three_phases=True)
    assert [three(step) for step in (0, 1, 5, 6, 10, 11, 15, 16)] == pytest.approx([1.0, 2.0, 6.0, 5.0, 1.0, 0.9, 0.5, 0.5])
    curve = OneCycle(3.0, 13, 7 / 13, 1.0, 0.0)
    assert [curve(step) for step in (0, 2, 3, 4, 6, 8, 9, 12)] == pytest.approx([1.0, 1.5, 2.0, 2.5, 3.0, 2.25, 1.5, 0.0], abs=1e-15)
    given = OneCycle(5.0, 100)
    assert (given(0), given(99), given(1000)) == pytest.approx((0.2, 2e-5, 2e-5), rel=1e-12)


@pytest.mark.parametrize("rise", [0.0, 0.001, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("three", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_short_ones_do_not_divide_by_0(rise: float, three: bool, steps: int) -> None:
    if three and rise > 0.5:
        return
    for shape in ("cosine", "linear"):
        schedule = OneCycle(1.0, steps, rise, shape=shape, three_phases=three)
        assert all(0.0 <= schedule(step) <= 1.0 for step in range(20))
        assert schedule(steps) == schedule(99) == 1.0 / 25.0 / 1e4
