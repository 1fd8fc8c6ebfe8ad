"""The lectures' four on x^2/20 + y^2: their first steps by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.gallery import surface, trajectories

FIRST = {  # from (-7, 2), where the gradient is (-0.7, 4)
    "SGD": (-7.0 + 0.95 * 0.7, 2.0 - 0.95 * 4.0),
    "Momentum": (-7.0 + 0.07, 2.0 - 0.4),
    "AdaGrad": (-5.5, 0.5),  # the rate, whatever the gradient
    "Adam": (-6.7, 1.7),
}


@pytest.mark.parametrize("name", trajectories.OPTIMIZERS)
def test_the_first_step(name: str) -> None:
    points = surface.way(trajectories.OPTIMIZERS[name], 1)
    np.testing.assert_allclose(points[1], FIRST[name.split(",")[0]], rtol=1e-8)  # eps is 1e-8


def test_momentum_has_the_lectures_velocity() -> None:
    """V = 0.9 v - 0.1 g; p += v."""
    points = surface.way(trajectories.OPTIMIZERS["Momentum, η = 0.1"], 6)
    p, v = np.array(surface.START), np.zeros(2)
    for point in points[1:]:
        v = 0.9 * v - 0.1 * surface.gradient(p)
        p = p + v
        np.testing.assert_allclose(point, p, rtol=1e-13)


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.svg"
    caption = trajectories.draw(path, 5)
    drawn = path.read_text()
    for name in trajectories.OPTIMIZERS:
        assert f"<!-- {name} -->" in drawn
    end = surface.f(*surface.way(trajectories.OPTIMIZERS["SGD, η = 0.95"], 5)[-1])
    assert f"SGD {end:.2g}" in caption
    assert caption.startswith("5 steps from (-7.0, 2.0)")
