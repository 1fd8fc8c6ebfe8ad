"""`RMSProp`: which rule its arguments choose, and where eps goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("inside", [False, True])
def test_chooses(centered: bool, momentum: float, inside: bool) -> None:
    optimizer = fastopt.RMSProp(
        np.ones(2), alpha=0.5, eps=0.25, momentum=momentum, centered=centered, eps_inside_root=inside, backend="numpy"
    )
    assert optimizer.rule.name == "rmsprop" + "_centered" * centered + "_momentum" * (momentum > 0)
    hyperparameters = optimizer.hyperparameters
    assert hyperparameters["alpha"] == 0.5
    assert optimizer.lr == 1e-2
    assert (hyperparameters["eps"], hyperparameters["eps_inside_root"]) == (0.25, inside)
    assert (hyperparameters["momentum"], hyperparameters["centered"]) == (momentum, centered)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        # alpha = 3/4, g = 6: v = 9, eps = 16, lr = 1/2, p = 1
        (False, 1.0 - 0.5 * 6.0 / (3.0 + 16.0)),  # 1 - 3/19
        (True, 1.0 - 0.5 * 6.0 / 5.0),  # s(9 + 16) = 5
    ],
)
def test_eps_outside_and_inside_the_root_by_hand(inside: bool, expected: float) -> None:
    p: Any = np.array([1.0])
    fastopt.RMSProp(p, 0.5, 0.75, 16.0, eps_inside_root=inside, backend="numpy").step(np.array([6.0]))
    assert p[0] == pytest.approx(expected, rel=1e-15)
