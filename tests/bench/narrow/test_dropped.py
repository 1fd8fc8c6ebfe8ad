"""Decay that is dropped, and decay that is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.narrow import dropped
from bench.narrow.storages import FLOAT32, here
from tests.bench.narrow.planted import EFFORT

pytest.importorskip("ml_dtypes")


def test_without_its_decay_nothing_becomes_smaller() -> None:
    (steps, beside), (_, again), (_, once) = (
        dropped.stored(FLOAT32, 600),
        *(dropped.modelled(again, 600) for again in dropped.MODELS.values()),
    )
    assert steps[-1] == 600
    assert again[-1] == pytest.approx(again[0], abs=0.02)
    assert again[0] > 0.95
    assert beside[-1] < 0.75
    np.testing.assert_allclose(once, beside, rtol=0.02)


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.svg"
    caption = dropped.draw(path, EFFORT)
    drawn = path.read_text()
    for name in (*dropped.MODELS, *(given.label for given in here())):
        assert f"<!-- {name} -->" in drawn
        assert f"{name} " in caption
