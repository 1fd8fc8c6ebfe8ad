"""The update's share, measured for a moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import training
from bench.gallery import share
from bench.in_place import NAME
from bench.ours import REFERENCE

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_a_row_for_each_batch_size() -> None:
    rows = share.shares((64, 512), 0.03, 3)
    assert [row["batch"] for row in rows] == [64, 512]
    for row in rows:
        assert REFERENCE in row.seconds
        assert all(0.0 < own["update_share"] < 1.0 for own in row.own.values())


@pytest.mark.parametrize("alone", [False, True])
def test_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    """Without a fused backend, the textbook's update alone."""
    pytest.importorskip("matplotlib")
    if alone:
        monkeypatch.setattr(training, "contenders", lambda *, every: [REFERENCE])
    names = training.contenders(every=False)
    path = tmp_path / "picture.svg"
    caption = share.draw(path, (256,), 0.03, 3)
    drawn = path.read_text()
    assert "<!-- NumPy, textbook -->" in drawn
    assert "This is a short measurement" in caption
    assert "| 256 |" in caption
    for name in names:
        if name != REFERENCE:
            assert f"<!-- {NAME if name == NAME else f'fastopt, {name}'} -->" in drawn
    assert caption.count("x |") == len(names) - 1
    assert caption.count(" % |") == len(names) + 1


def test_moments_that_became_denormal_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (row,) = share.shares((256,), 0.03, 3)
    row.info["denormal_state"] = 0.37
    monkeypatch.setattr(share, "shares", lambda *arguments: [row])
    assert " 37 % |\n" in share.draw(tmp_path / "picture.svg", (256,))
