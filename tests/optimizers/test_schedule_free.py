"""Schedule-Free optimizers: gradients are taken at the parameters, and what is evaluated are the averages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.backends import HOST
from tests.conftest import needed


def _averages_in_full(gradients: list[Any], lr: float, beta: float) -> tuple[Any, Any]:
    """The three sequences of the paper, each kept: gradients at y, steps of z, and x, the average of the z's (weights alike)."""
    z = x = y = np.array([1.0, -2.0, 3.0])
    for t, g in enumerate(gradients, 1):
        z = z - lr * g
        x = (1.0 - 1.0 / t) * x + z / t
        y = (1.0 - beta) * z + beta * x
    return x, y


@pytest.mark.parametrize("backend", HOST)
def test_the_averages_are_the_papers(backend: str) -> None:
    needed(backend)
    rng = np.random.default_rng(0)
    gradients = [rng.standard_normal(3) for _ in range(20)]
    y = np.array([1.0, -2.0, 3.0])
    optimizer = fastopt.ScheduleFreeSGD(y, 0.1, 0.75, backend=backend)
    for g in gradients:
        optimizer.step(g)
    expected_x, expected_y = _averages_in_full(gradients, 0.1, 0.75)
    np.testing.assert_allclose(y, expected_y, rtol=1e-13)
    np.testing.assert_allclose(optimizer.averages(), expected_x, rtol=1e-12)
    assert not np.shares_memory(optimizer.averages(), y)


def test_averages_have_the_structure_dtypes_and_groups_betas_of_the_parameters() -> None:
    params = {"w": np.ones((2, 3), np.float32), "b": np.ones(3)}
    optimizer = fastopt.ScheduleFreeAdamW(params, groups={"b": {"betas": (0.5, 0.9)}}, backend="numpy")
    before = optimizer.averages()
    assert all(before[name].tolist() == params[name].tolist() for name in params), "before the first step all three are one"
    for _ in range(3):
        optimizer.step({name: np.ones_like(p) for name, p in params.items()})
    averages, z = optimizer.averages(), optimizer.state_dict()["state"]["z"]
    assert [averages[name].dtype for name in params] == [np.float32, np.float64]
    for name, beta in (("w", 0.9), ("b", 0.5)):
        np.testing.assert_allclose((1.0 - beta) * z[name] + beta * averages[name], params[name], rtol=1e-6)


def test_without_beta_nothing_tells_the_average() -> None:
    optimizer = fastopt.ScheduleFreeSGD(np.ones(2), momentum=0.0, backend="numpy")
    with pytest.raises(ValueError, match=r"^averages: expected a beta > 0, received 0 in group 0$"):
        optimizer.averages()


def test_it_minimizes_a_noisy_quadratic_without_a_schedule() -> None:
    """The average of the steps comes nearer to the minimum than plain SGD at the same constant rate."""
    ends = {}
    for make in (fastopt.ScheduleFreeSGD, fastopt.SGD):
        rng, p = np.random.default_rng(1), np.full(50, 5.0)
        optimizer = make(p, 0.5, backend="numpy")
        for _ in range(500):
            optimizer.step(p + rng.standard_normal(50))
        found = optimizer.averages() if isinstance(optimizer, fastopt.ScheduleFreeSGD) else p
        ends[make] = float(np.mean(found**2))
    assert ends[fastopt.ScheduleFreeSGD] < 0.1 * ends[fastopt.SGD]


def test_schedule_free_has_averages_of_its_own() -> None:
    for cls in (fastopt.ScheduleFreeSGD, fastopt.ScheduleFreeAdamW):
        with pytest.raises(ValueError, match=r"^ema_decay: expected None, as Schedule-Free has averages of its own"):
            cls(np.ones(2), ema_decay=0.9)
        opt = cls(np.ones(2))
        with pytest.raises(ValueError, match=r"^ema_decay: expected None"):
            opt.configure(ema_decay=0.9)
        assert opt.averages().tolist() == [1.0, 1.0]
