"""Updates over the size of gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.narrow import magnitudes
from bench.narrow.storages import FLOAT32, STORAGES
from tests.bench.narrow.planted import EFFORT

pytest.importorskip("ml_dtypes")


def test_float32_has_the_range_and_float16_has_not() -> None:
    beside = magnitudes.updates(FLOAT32, 20)
    assert np.ptp(np.log(beside[2:])) < 0.05  # where eps is nothing
    found = magnitudes.updates(next(given for given in STORAGES if given.label == "float16"), 20)
    sizes = magnitudes.SIZES
    inside, small, large = (sizes > 0.1) & (sizes < 100), (sizes > 1e-6) & (sizes < 1e-3), sizes > 1e5
    assert found[inside] == pytest.approx(beside[inside], rel=0.02)
    assert (found[small] > 5 * beside[small]).all()
    assert not (found[large] > 0.0).any()


@pytest.mark.parametrize(
    ("right", "said"), [(range(29), "all"), (range(4, 21), "1e-05 to 1e+03"), ((), "none")], ids=["all", "some", "none"]
)
def test_a_range_in_words(right: range, said: str) -> None:
    assert magnitudes._ranges(np.isin(np.arange(len(magnitudes.SIZES)), right)) == said


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.svg"
    caption = magnitudes.draw(path, EFFORT)
    drawn = path.read_text()
    assert "<!-- bfloat16, to nearest -->" in drawn
    assert "bfloat16, to nearest all" in caption
    assert "float16 all" not in caption
    assert "at step 20 " in caption
