"""Updates beside a coordinate with large gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.narrow import zeros
from bench.narrow.storages import FLOAT32, here
from tests.bench.narrow.planted import EFFORT

pytest.importorskip("ml_dtypes")


def test_a_v_that_rounds_to_zero_throws_parameters_away() -> None:
    beside = np.median(zeros.stored(FLOAT32, 60)[20:])
    rounds, keeps = (np.median(zeros.modelled(storage, 60)[20:]) for storage in zeros.CODES.values())
    assert 0.1 < beside < 0.5
    assert rounds > 50 * beside
    assert 0.1 * beside < keeps < beside


def test_the_first_update_is_the_learning_rate() -> None:
    assert zeros.stored(FLOAT32, 1) == pytest.approx([1.0], abs=1e-3)
    assert zeros.modelled(zeros.CODES["model, 0 is what rounds to it"], 1) == pytest.approx([1.0], abs=1e-3)


def test_smoothed() -> None:
    at, values = zeros.smoothed(np.arange(1.0, 4.0))
    assert at.tolist() == [1, 2, 3]
    assert values.tolist() == [1.0, 2.0, 3.0]
    at, values = zeros.smoothed(np.full(1_000, 2.0))
    assert at[-1] == 1_000
    assert len(at) <= zeros.POINTS
    assert (values == 2.0).all()


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.svg"
    caption = zeros.draw(path, EFFORT)
    drawn = path.read_text()
    for name in (*zeros.CODES, *(given.label for given in here())):
        assert f"<!-- {name} -->" in drawn
        assert f"{name} " in caption
