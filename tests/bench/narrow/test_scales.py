"""Scales of few bits stand still, and float32's do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.narrow import scales
from bench.narrow.standing import roots
from bench.narrow.storages import FLOAT32
from tests.bench.narrow.planted import EFFORT

pytest.importorskip("ml_dtypes")


@pytest.mark.parametrize(("name", "low", "high"), [("model, float32 scales", 0.98, 1.02), ("model, bfloat16 scales", 1.6, 4.0)])
def test_the_root_of_v_in_the_end(name: str, low: float, high: float) -> None:
    _, found = scales.modelled(scales.SCALES[name], 2_000)
    _, beside = roots(FLOAT32, 2_000)
    assert low < found[-1] / beside[-1] < high


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.svg"
    caption = scales.draw(path, EFFORT)
    drawn = path.read_text()
    for name in scales.SCALES:
        assert f"<!-- {name} -->" in drawn
        assert caption.count(f"{name} ") == 2
    assert "<!-- float32 -->" in drawn
