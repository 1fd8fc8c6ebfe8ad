"""The range test, drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.gallery import lr_range

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_it_finds_a_rate_that_is_neither_the_lowest_nor_the_highest() -> None:
    test = lr_range.found(100)
    assert test.rates[0] == lr_range.LOW
    assert test.suggestion is not None
    assert 0.01 < test.suggestion < 0.5  # `regimes` says that 0.01 is slow and 1 plateaus
    assert test.stopped is not None
    again = lr_range.found(100)
    assert again.losses.tolist() == test.losses.tolist()


@pytest.mark.parametrize("steps", [60, 5])
def test_the_picture_marks_what_was_found(tmp_path: Path, steps: int) -> None:
    """Of five steps nothing is suggested, or what then is."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.svg"
    caption = lr_range.draw(path, steps)
    drawn = path.read_text()
    test = lr_range.found(steps)
    for name, rate in (("steepest descent", test.steepest), ("a tenth of the lowest", test.tenth_of_minimum), ("lowest", test.minimum)):
        assert (f"<!-- {name}: {rate:.2g} -->" in drawn) if rate is not None else name not in drawn
    suggestion = "none" if test.suggestion is None else f"{test.suggestion:.2g}"
    assert f"first two lines: {suggestion}." in caption
