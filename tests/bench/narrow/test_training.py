"""What is said and drawn of trainings that were planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.narrow import curves, training
from bench.narrow.runs import TASKS
from tests.bench.narrow.planted import EFFORT, plant

pytest.importorskip("sklearn", reason="the data sets come with scikit-learn")
pytest.importorskip("ml_dtypes")

AWAY = {"bfloat16, to nearest": (0.6, -0.2), "float16": (5_000.0, np.nan)}


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.123, "+0.12 %"), (-4.567, "-4.57 %"), (0.004, "0.00 %"), (250.4, "+250 %"), (1e9, "over 1,000 %"), (np.inf, "no number")],
)
def test_a_difference_in_words(value: float, said: str) -> None:
    assert training.percent(value) == said


def test_the_worst_is_the_farthest() -> None:
    assert training.worst(np.array([0.3, -0.5, 0.4])) == -0.5


def test_the_table_and_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    plant(monkeypatch, AWAY)
    path = tmp_path / "picture.svg"
    caption = training.draw(path, EFFORT)
    assert caption.count(" | +0.20 % | +0.60 %") == 4
    assert "| float16 | 4 to 4.5 | no number | no number |" in caption
    near = caption[: caption.index("**", 2)]
    assert "bfloat16, to nearest" in near  # on average
    assert "float16;" not in near
    assert "; float16" not in near
    assert "digits 0.105 (0.1 to 0.11)" in caption
    assert "from 2 seeds" in caption
    drawn = path.read_text()
    for name in ("float16", "bfloat16, to nearest", "float32, one bit off", *TASKS):
        assert f"<!-- {name} -->" in drawn


def test_one_that_is_not_near_on_average_is_not_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    plant(monkeypatch, AWAY | {"bfloat16, to nearest": (-0.9, -0.2)})
    caption = training.draw(tmp_path / "picture.svg", EFFORT)
    assert "bfloat16, to nearest" not in caption[: caption.index("**", 2)]


def test_the_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    plant(monkeypatch, {"float16": (5_000.0, 5_000.0)})
    steps, losses = curves.mean_curve(EFFORT, "digits", "float32")
    assert steps.tolist() == [50, 100]
    assert losses == pytest.approx([0.315, 0.105])
    path = tmp_path / "picture.svg"
    caption = curves.draw(path, EFFORT)
    assert "Out of the picture: float16 on the digits at step 50; float16 on the digits by heart at step 50; float16" in caption
    assert "bfloat16, to nearest on" not in caption
    drawn = path.read_text()
    for name in ("float32", "float16", "bfloat16, to nearest", *TASKS):
        assert f"<!-- {name} -->" in drawn
