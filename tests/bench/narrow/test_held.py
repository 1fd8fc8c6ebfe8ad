"""Bytes, as the page has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.narrow import held
from bench.narrow.storages import STORAGES, here
from tests.bench.narrow.planted import EFFORT

pytest.importorskip("ml_dtypes")


@pytest.mark.parametrize(
    ("parameters", "label", "expected"),
    [
        ("float32", "float32", (8.0, 4, 28.0, 12)),
        ("float32", "bfloat16, to nearest", (4.0, 4, 20.0, 12)),
        ("bfloat16", "float32", (8.0, 2, 22.0, 6)),
        ("bfloat16", "bfloat16, to nearest", (4.0, 2, 14.0, 6)),
    ],
)
def test_by_hand(parameters: str, label: str, expected: tuple[float, ...]) -> None:
    found = held.found_of(next(given for given in STORAGES if given.label == label)._replace(parameters=parameters))
    assert (found.held, found.beside, found.moved, found.through) == expected


def test_the_picture_and_the_table(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.svg"
    caption = held.draw(path, EFFORT)
    assert "| float32 | float32 | 8 | 28 | 1.00 |" in caption
    assert "| bfloat16 | bfloat16, to nearest | 4 | 14 | 0.50 |" in caption
    assert caption.count("\n| float32 | ") == caption.count("\n| bfloat16 | ") == len(here())
    drawn = path.read_text()
    for name in ("float32 parameters", "bfloat16 parameters", "moved: states", *(given.label for given in here())):
        assert f"<!-- {name} -->" in drawn
