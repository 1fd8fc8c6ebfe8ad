"""The wider family: everyone is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fastopt
from bench.gallery import family, surface, trajectories


def test_every_optimizer_is_in_one_of_the_two_pictures() -> None:
    made = [make(np.zeros(2)) for panel in [*family.PANELS, trajectories.OPTIMIZERS] for make in panel.values()]
    drawn = {type(optimizer).__name__ for optimizer in made}
    found = [getattr(fastopt, name) for name in fastopt.__all__]
    there = {own.__name__ for own in found if isinstance(own, type) and issubclass(own, fastopt.Optimizer)} - {"Optimizer"}
    assert there - drawn == set(), "optimizers that no picture of bench/gallery shows"
    assert len(there) >= 18


@pytest.mark.parametrize("panel", family.PANELS, ids=lambda panel: "-".join(panel))
def test_each_is_called_what_it_is_and_descends(panel: dict) -> None:
    assert len(panel) <= len(family.LOOKS)
    for name, make in panel.items():
        kind = make(np.zeros(2))
        assert type(kind).__name__ == {"Nesterov": "SGD"}.get(name, name.replace("S-F ", "ScheduleFree"))
        assert name != "Nesterov" or kind.nesterov
        points = surface.way(make, 60)
        assert surface.f(*points[-1]) < 0.1 * surface.f(*points[0])


def test_lion_by_hand() -> None:
    """Steps of the rate in each direction, against the gradient's sign."""
    points = surface.way(family.PANELS[6]["Lion"], 1)
    np.testing.assert_allclose(points[1], [-6.8, 1.8], rtol=1e-15)


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert len(family.PANELS) <= 12
    path = tmp_path / "picture.svg"
    caption = family.draw(path, 3)
    drawn = path.read_text()
    for panel in family.PANELS:
        for name in panel:
            assert f"{name} -->" in drawn
            assert name.replace("S-F", "Schedule-Free") in caption
