"""Moving averages that stand still, and those that do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.narrow import standing
from bench.narrow.storages import FLOAT32, STORAGES, here
from tests.bench.narrow.planted import EFFORT

pytest.importorskip("ml_dtypes")

STEPS = 2_000
NEAREST = next(given for given in STORAGES if given.label == "bfloat16, to nearest")


def test_float32_is_what_the_average_comes_to() -> None:
    """1 - beta2^n while the size is 1; then it falls by beta2 a step, to a hundredth."""
    steps, found = standing.roots(FLOAT32, STEPS)
    up = 1.0 - 0.999 ** np.minimum(steps, 600)
    expected = np.where(steps <= 600, up, 0.999 ** (steps - 600.0) * up + 0.01 * (1.0 - 0.999 ** (steps - 600.0)))
    np.testing.assert_allclose(found, np.sqrt(expected), rtol=0.03)


@pytest.mark.parametrize(("beta2", "low", "high"), [(0.999, 1.6, 3.0), (0.95, 0.98, 1.02)])
def test_to_nearest_it_stands_still_where_the_average_is_long(beta2: float, low: float, high: float) -> None:
    (_, narrow), (_, beside) = (standing.roots(given, STEPS, beta2) for given in (NEAREST, FLOAT32))
    assert low < narrow[-1] / beside[-1] < high


def test_a_sum_of_squares_falls_behind() -> None:
    (steps, beside), (_, narrow) = (standing.sums(given, STEPS) for given in (FLOAT32, NEAREST))
    np.testing.assert_allclose(beside, steps, rtol=0.05)
    assert narrow[-1] < 0.8 * beside[-1]


def test_in_words() -> None:
    steps = np.array([1, 2])
    found = {"float32": (steps, np.array([1.0, 2.0])), "half": (steps, np.array([0.25, 3.0]))}
    assert standing.times(found) == "half 1.5"
    assert standing.farthest(found) == "half 4"


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.svg"
    caption = standing.draw(path, EFFORT)
    drawn = path.read_text()
    for given in here():
        assert f"<!-- {given.label} -->" in drawn
        if given is not FLOAT32:
            assert caption.count(f"{given.label} ") >= 3
    assert "over 20 steps" in caption
