"""Narrow parameters on the page: their bytes by hand, the runs that are compared, and what is said of some that were planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.narrow import held, parameters, runs, times
from bench.narrow.runs import ROUNDED, SETS, Job
from bench.narrow.storages import FLOAT32, NARROW
from tests.bench.narrow.planted import EFFORT, plant

pytest.importorskip("ml_dtypes")

SHORT = 40 / 1_160
"""40 steps on the digits."""

SCALES = 2 * 4 / 256
"""Bytes of the scales of two states."""


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("bfloat16, to nearest", (2, 8, 22)),
        ("24 bits", (2, 9, 24)),
        ("32 bits", (2, 10, 26)),
        ("32 bits, int8 states", (2, 4 + SCALES, 14 + 2 * SCALES)),
        ("24 bits, int8 states", (2, 3 + SCALES, 12 + 2 * SCALES)),
    ],
)
def test_bytes_by_hand(label: str, expected: tuple[float, ...]) -> None:
    found = held.found_of(next(given for given in NARROW if given.label == label))
    assert (found.beside, found.held, found.moved) == expected


def test_steps_are_timed_of_each() -> None:
    row = times.measured([FLOAT32, *NARROW], 1_000, 0.0)
    assert list(row.seconds) == [FLOAT32.label, *(given.label for given in NARROW)]


def test_runs_are_of_parameters_that_are_kept_so() -> None:
    pytest.importorskip("sklearn", reason="the data sets come with scikit-learn")
    pytest.importorskip("threadpoolctl")
    found = {
        label: runs.trained(Job("digits", label, 0, SHORT, "parameters"))
        for label in (FLOAT32.label, ROUNDED.label, "32 bits", "bfloat16, to nearest")
    }
    assert found[FLOAT32.label].losses.tolist() == found[ROUNDED.label].losses.tolist()
    finals = {label: ending.final for label, ending in found.items()}
    assert len(set(finals.values())) == 4
    assert finals == pytest.approx(dict.fromkeys(finals, finals[FLOAT32.label]), rel=0.05)
    assert found["32 bits"].held == 10.0


def test_the_table_and_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    plant(monkeypatch, {"24 bits": (0.6, -0.2), "bfloat16, to nearest": (5.0, np.nan)})
    path = tmp_path / "picture.svg"
    caption = parameters.draw(path, EFFORT)
    line = next(line for line in caption.splitlines() if line.startswith("| 24 bits | "))
    assert line.startswith("| 24 bits | 2 | 9 | 24 | 0.86 | ")
    assert line.endswith(" | +0.20 % | +0.60 % | +0.20 % | +0.60 % |")
    near = caption[: caption.index("**", 2)]
    assert "24 bits" in near
    assert "bfloat16, to nearest" not in near
    assert ROUNDED.label not in near
    assert caption.count("no number") == 2 * len(SETS["parameters"].tasks())
    drawn = path.read_text()
    for name in (ROUNDED.label, *(given.label for given in NARROW), *SETS["parameters"].tasks()):
        assert f"<!-- {name} -->" in drawn
