"""The schedule that goes by the loss, by hand (torch's is run beside it in `test_torch_and_optax`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fastopt.schedules import Plateau


def path(schedule: Plateau, losses: list[Any]) -> list[float]:
    values = []
    for loss in losses:
        schedule = schedule.observe(loss)
        values.append(schedule(0))
    return values


def test_patience() -> None:
    """Better by a share of 1/4: 8, then 5 is, 4 is not; two that are not are one too many."""
    schedule = Plateau(1.0, factor=0.5, patience=1, threshold=0.25)
    assert path(schedule, [8, 5, 4, 4, 4, 4, 3, 3, 3]) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


def test_cooldown_floor_and_least_reduction() -> None:
    assert path(Plateau(1.0, factor=0.5, patience=0, cooldown=2), [1] * 8) == [1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
    assert path(Plateau(1.0, factor=0.5, patience=0, end=0.3), [1] * 5) == [1.0, 0.5, 0.3, 0.3, 0.3]
    assert path(Plateau(1.0, factor=0.5, patience=0, eps=0.3), [1] * 5) == [1.0, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("mode", "threshold_mode", "bar"), [("min", "rel", -1.75), ("max", "rel", -2.25), ("min", "abs", -2.125), ("max", "abs", -1.875)]
)
def test_below_0(mode: str, threshold_mode: str, bar: float) -> None:
    """After -2 with a threshold of 1/8. Torch multiplies by 1 - 1/8, or 1 + 1/8, whatever the sign: then less than the best one will do."""
    schedule = Plateau(1.0, mode=mode, threshold=0.125, threshold_mode=threshold_mode).observe(-2.0)
    better = 2**-10 if mode == "max" else -(2**-10)
    assert [schedule.observe(loss).bad for loss in (bar + better, bar, bar - better)] == [0, 1, 1]
    assert schedule.observe(bar + better).best == bar + better


def test_what_is_not_finite_is_never_better() -> None:
    for loss in (math.nan, math.inf, -math.inf):
        for mode in ("min", "max"):
            told = Plateau(1.0, mode=mode).observe(loss)
            assert (told.best, told.bad) == (None, 1)


def test_it_is_not_changed_itself() -> None:
    schedule = Plateau(1.0, patience=0)
    schedule.observe(1.0).observe(1.0)
    assert schedule == Plateau(1.0, patience=0)


@pytest.mark.parametrize("loss", [1, np.float32(1.0), np.array(1.0), True])
def test_numbers_of_all_kinds(loss: Any) -> None:
    assert Plateau(1.0).observe(loss).best == 1.0


@pytest.mark.parametrize("loss", ["1", None, np.ones(3), [1.0]])
def test_no_number(loss: Any) -> None:
    with pytest.raises(TypeError, match=r"^loss: expected a number, received "):
        Plateau(1.0).observe(loss)
