"""The best rate over the batch size, with fewer of everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.gallery import batch_sizes

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_larger_batches_take_larger_rates() -> None:
    found = batch_sizes.study((32, 512), 5, 2)
    assert [own.batch_size for own in found.results] == [32, 512]
    assert all(len(own.trials) == 7 for own in found.results)
    assert found.results[0].lr < found.results[1].lr
    assert found.slope is not None
    assert 0.0 < found.slope < 1.0


def test_the_same_loss_comes_again() -> None:
    assert batch_sizes.loss_at(256, 0.1) == batch_sizes.loss_at(256, 0.1) < batch_sizes.loss_at(256, 0.001)


@pytest.mark.parametrize("sizes", [(64, 512), (512,)])
def test_the_picture(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    """Of one batch size there is no slope to draw."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.svg"
    caption = batch_sizes.draw(path, sizes, 4, 2)
    found = batch_sizes.study(sizes, 4, 2)
    drawn = path.read_text()
    assert ("best rate ~ size to the" in drawn) == ("the slope is" in caption) == (len(sizes) > 1)
    if found.slope is not None:
        assert f"best rate ~ size to the {found.slope:.2f}" in drawn
    for own in found.results:
        assert f"{own.batch_size}: {own.lr:.2g}" in caption
    assert "at each of 6 rates" in caption
