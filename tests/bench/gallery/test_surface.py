"""f(x, y) = x^2/20 + y^2 by hand, and steps on it."""

from __future__ import annotations

import numpy as np

import fastopt
from bench.gallery import surface


def test_by_hand() -> None:
    assert surface.f(*surface.START) == 49.0 / 20.0 + 4.0
    assert surface.gradient(np.array([-5.0, 2.0])).tolist() == [-0.5, 4.0]
    p = np.array([-3.0, 1.5])
    for k in range(2):
        h = np.eye(2)[k] * 0.5  # differences of a parabola are exact but for rounding
        assert abs((surface.f(*(p + h)) - surface.f(*(p - h))) - surface.gradient(p)[k]) < 1e-14


def test_a_way_is_every_point_from_the_start_on() -> None:
    points = surface.way(lambda p: fastopt.SGD(p, lr=0.5), 3)
    assert points.shape == (4, 2)
    assert points[0].tolist() == [-7.0, 2.0]
    np.testing.assert_allclose(points[1], [-7.0 + 0.35, 2.0 - 2.0], rtol=1e-15)
    np.testing.assert_allclose(points[:, 0], -7.0 * 0.95 ** np.arange(4), rtol=1e-14)


def test_of_schedule_free_ones_the_averages() -> None:
    made: list[fastopt.ScheduleFreeSGD] = []

    def optimizer(p: np.ndarray) -> fastopt.ScheduleFreeSGD:
        made.append(fastopt.ScheduleFreeSGD(p, lr=0.1))
        return made[-1]

    points = surface.way(optimizer, 4)
    assert points[-1].tolist() == made[0].averages().tolist()
    assert points[-1].tolist() != made[0].params.tolist()
