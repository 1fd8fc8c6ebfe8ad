"""Moving averages, with and without their correction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.gallery import averages


@pytest.mark.parametrize("beta", averages.BETAS)
def test_of_a_constant(beta: float) -> None:
    """With the correction it is the constant from the first value on, without it (1 - beta^t) of it."""
    constant = np.full(60, 3.0)
    np.testing.assert_allclose(averages.averaged(constant, beta, True), 3.0, rtol=1e-14)
    without = 3.0 * (1.0 - beta ** np.arange(1, 61))
    np.testing.assert_allclose(averages.averaged(constant, beta, False), without, rtol=1e-13)


def test_the_series_are_losses_of_mini_batches() -> None:
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    values = averages.series(230)  # an epoch has 225
    assert len(values) == 230
    assert values[:20].tolist() == averages.series(20).tolist()
    assert values[-50:].mean() < 0.7 * values[:50].mean()


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    path = tmp_path / "picture.svg"
    caption = averages.draw(path, 30)
    drawn = path.read_text()
    for beta, window in ((0.5, 2), (0.9, 10), (0.98, 50)):
        assert f"β = {beta}: window 1 / (1 - β) = {window} steps" in drawn
        assert f"{1 - beta:.2g} of it for β = {beta}" in caption
    assert "with bias correction" in drawn
    assert "without correction" in drawn
