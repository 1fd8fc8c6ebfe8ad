"""Stages on the narrow page: what is drawn and said of times that were planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.narrow import stages as section
from bench.records import Row
from bench.stages import CALLS, EVERY, OPTIONS, PLAIN
from tests.bench.narrow.planted import EFFORT


def test_the_picture_and_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    seconds = {name: np.full(4, 0.25) for name in OPTIONS} | {EVERY: np.full(4, 0.5), CALLS: np.full(4, 1.0)}
    info = {"group": "stages", "label": "1,000", "moved": dict.fromkeys(OPTIONS, 28.0) | {EVERY: 44.0}}
    monkeypatch.setattr(section, "measured", lambda size, seconds_of_timing, threads: Row(info, seconds))
    path = tmp_path / "picture.svg"
    caption = section.draw(path, EFFORT)
    assert f"{2 * 28 / 44:.2f} of what its bytes say" in caption
    assert "PyTorch takes 2.00 times as long for the same" in caption
    assert f"| 1,000 | {PLAIN} | 28 |" in caption
    drawn = path.read_text()
    for name in (*OPTIONS, CALLS, "what the bytes say"):
        assert f"<!-- {name} -->" in drawn
