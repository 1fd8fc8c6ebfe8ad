"""Decays, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fastopt
from bench.gallery import decays

BY_HAND = {  # the rate at some epochs, of one step each
    "constant": {0: 2.0, 99: 2.0},
    "1 / (1 + 0.1 e)": {0: 2.0, 10: 1.0, 30: 0.5},
    "0.95^e": {0: 2.0, 2: 2.0 * 0.9025},
    "1 / √epoch": {0: 2.0, 3: 1.0, 99: 0.2},
    "4 / √batch": {0: 2.0, 48: 1.0},
    "halved": {19: 2.0, 20: 1.0, 40: 0.5, 99: 0.125},
    "x 0.1, thrice": {29: 2.0, 30: 0.2, 60: 0.02, 90: 0.002},
    "linear": {0: 2.0, 50: 1.0, 99: 0.02},
    "cosine": {0: 2.0, 50: 1.0},
    "warm, cosine": {0: 0.0, 5: 1.0, 10: 2.0, 55: 1.0},
    "warm, 1 / √": {5: 1.0, 10: 2.0, 13: 1.0},
    "by hand": {39: 2.0, 40: 0.5, 69: 0.5, 70: 0.05, 99: 0.05},
}


@pytest.mark.parametrize("name", decays.DECAYS)
def test_each_by_hand(name: str) -> None:
    found = decays.rates(decays.DECAYS[name](1), 100, 1)
    for epoch, rate in BY_HAND[name].items():
        assert found[epoch] == pytest.approx(rate, rel=1e-12), epoch


@pytest.mark.parametrize("name", decays.DECAYS)
def test_an_epoch_has_so_many_steps(name: str) -> None:
    """By epoch, the same rates, however many steps there are; by batch, others."""
    one, three = (decays.rates(decays.DECAYS[name](n), 12, n) for n in (1, 3))
    assert np.allclose(one, three, rtol=1e-12) == (name != "4 / √batch")


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert set(decays.DECAYS) == set(BY_HAND)
    path = tmp_path / "picture.svg"
    caption = decays.draw(path, 12, 1)
    drawn = path.read_text()
    for name in (*decays.DECAYS, "learning rate", "epoch"):
        assert f"<!-- {name} -->" in drawn
    used = [type(decay(1)).__name__ for decay in decays.DECAYS.values()]
    assert {"Warmup", "Cosine", "Linear", "InverseSqrt", "ByEpoch", "dict"} <= set(used)
    for name in ("InverseTime", "Exponential", "InverseSqrt", "Staircase", "MultiStep", "Linear", "Cosine", "Warmup"):
        assert f"`{name}`" in caption
        assert hasattr(fastopt.schedules, name)
