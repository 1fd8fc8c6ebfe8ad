"""Batch, mini-batch and stochastic descent on a regression of two weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.gallery import descent

pytest.importorskip("sklearn", reason="the diabetes data come with scikit-learn")


@pytest.mark.parametrize(("size", "steps"), [(None, 1), (64, 7), (1, 442)])
def test_steps_and_passes(size: int | None, steps: int) -> None:
    run = descent.descend(size, 2)
    assert len(run.points) == len(run.losses) == len(run.passes) == 2 * steps + 1
    assert run.passes[[0, steps, 2 * steps]].tolist() == [0.0, 1.0, 2.0]
    assert (np.diff(run.passes) > 0.0).all()
    again = descent.descend(size, 2)
    assert run.points.tolist() == again.points.tolist()
    x, y = descent.regression()
    assert len(x) == descent.SAMPLES
    assert run.losses[-1] == pytest.approx(np.mean((x @ run.points[-1] - y) ** 2), rel=1e-12)
    assert run.losses[-1] < run.losses[0]


def test_the_full_batch_by_hand() -> None:
    """W <- w - lr (2/n) x^T (x w - y)."""
    x, y = descent.regression()
    w = np.array(descent.START)
    for point in descent.descend(None, 3).points[1:]:
        w = w - descent.LR * 2.0 / len(x) * x.T @ (x @ w - y)
        np.testing.assert_allclose(point, w, rtol=1e-12)


def test_the_contours_are_of_the_loss() -> None:
    x, y = descent.regression()
    best, least, loss = descent.loss_of(x, y)
    assert loss(*best) == least
    for w in np.random.default_rng(0).normal(size=(5, 2)):
        assert loss(*w) == pytest.approx(np.mean((x @ w - y) ** 2), rel=1e-12)
        assert loss(*w) > least


def test_data_are_standardized() -> None:
    x, y = descent.regression()
    for values in (*x.T, y):
        assert abs(values.mean()) < 1e-12
        assert values.std() == pytest.approx(1.0, rel=1e-12)


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.svg"
    caption = descent.draw(path, 2)
    drawn = path.read_text()
    for words in ("full batch,", "one by one,", "442 steps", "14 steps", "2 steps", "passes through the data"):
        assert words in drawn
    assert all(f"{name} " in caption for name in descent.KINDS)
