"""The scalars of a step: in float64, from an integer step, in the order of the kernels."""

from __future__ import annotations

import math

import pytest

from fastopt.rules.entry import RULES
from fastopt.settings import Settings
from fastopt.stages import Stages


def test_plain() -> None:
    assert Settings(0.25, {}).scalars(RULES["sgd"], 1, 1.0) == (0.25, 1.0, 1.0)


@pytest.mark.parametrize(
    ("settings", "grad_scale", "factor", "decay", "coupled"),
    [
        (Settings(0.25, {}, maximize=True), 4.0, -0.25, 1.0, False),
        (Settings(0.25, {}, weight_decay=0.5), 1.0, 1.0, 0.5, True),
        (Settings(0.25, {}, weight_decay=0.5, decoupled=True), 2.0, 0.5, 0.875, False),
        (Settings(0.25, {}, weight_decay=0.0, decoupled=True), 1.0, 1.0, 1.0, False),
    ],
)
def test_prologue(settings: Settings, grad_scale: float, factor: float, decay: float, coupled: bool) -> None:
    assert settings.scalars(RULES["sgd"], 1, grad_scale) == (0.25, factor, decay)
    assert settings.stages == Stages(coupled)


def test_adams_corrections_of_large_steps() -> None:
    """Powers of an integer step in float64: after many steps both corrections are 1, and before that not."""
    settings = Settings(0.25, {"betas": (0.5, 0.75), "eps": 0.5, "eps_root": 2.0, "eps_hat": False})
    step_size, *_, eps_root, eps, _, _, _ = settings.scalars(RULES["adam"], 2, 1.0)
    # c1 = 3/4, c2 = 7/16
    assert step_size == pytest.approx(0.25 * math.sqrt(7 / 16) / 0.75, rel=1e-15)
    assert (eps_root, eps) == (2.0 * 7 / 16, pytest.approx(0.5 * math.sqrt(7 / 16), rel=1e-15))
    assert settings.scalars(RULES["adam"], 2**62, 1.0)[0] == 0.25
    slow = Settings(0.25, {"betas": (0.9, 1 - 2**-40), "eps": 0.0, "eps_root": 0.0, "eps_hat": False})
    assert slow.scalars(RULES["adam"], 2**24, 1.0)[0] != slow.scalars(RULES["adam"], 2**24 + 1, 1.0)[0]


def test_dampening_begins_at_the_second_step() -> None:
    settings = Settings(0.25, {"momentum": 0.5, "dampening": 0.25})
    assert settings.scalars(RULES["momentum"], 1, 1.0)[:3] == (0.25, 0.5, 1.0)
    assert settings.scalars(RULES["momentum"], 2, 1.0)[:3] == (0.25, 0.5, 0.75)


def test_others_are_become_whole() -> None:
    own = Settings(0.25, {"momentum": 0.5}, weight_decay=0.5)
    other = Settings(0.5, {"momentum": 0.75}, weight_decay=0.25, decoupled=True, maximize=True)
    calls = own.becoming(other)
    assert own == Settings(0.25, {"momentum": 0.5}, weight_decay=0.5)
    for call in calls:
        call()
    assert own == other
    assert (own.direction, own.decay) == (-1.0, 0.875)
