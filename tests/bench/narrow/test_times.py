"""Times of steps over storages, and how far their updates are from float32's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.narrow import times
from bench.narrow.effort import Effort
from bench.narrow.storages import FLOAT32, STORAGES, Given
from bench.peers.numpy_in_place import NumpyInPlace
from bench.peers.peer import Peer
from bench.records import Row
from tests.bench.narrow.planted import EFFORT

pytest.importorskip("ml_dtypes")

NEAREST = next(given for given in STORAGES if given.label == "bfloat16, to nearest")


class Idle(Peer):
    """A peer that makes no step."""

    name = "idle"

    @staticmethod
    def missing(device: str) -> str | None:
        return None

    def step(self) -> object:
        return None


@pytest.fixture(autouse=True)
def _few_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "CHECKED", 4_096)
    monkeypatch.setattr(times, "STEPS", 30)
    monkeypatch.setattr(times, "present", lambda: [NumpyInPlace])
    monkeypatch.setattr(times, "absent", lambda: {"elsewhere": "needs elsewhere"})


def test_how_far_updates_are_away() -> None:
    assert times.away_of_way(FLOAT32) == 0.0
    assert 0.01 < times.away_of_way(NEAREST) < 2.0
    assert times.away_of_peer(NumpyInPlace) < 0.01
    assert times.away_of_peer(Idle) == pytest.approx(100.0)


def test_narrow_parameters_lose_updates() -> None:
    assert 20.0 < times.away_of_way(FLOAT32._replace(parameters="bfloat16")) < 120.0


def test_steps_are_timed_in_turns_with_their_bytes() -> None:
    row = times.measured(times.ways(), 1_000, 0.01, [NumpyInPlace])
    assert row.subject == "float32"
    assert {"bfloat16, to nearest", "bfloat16 p; float32", NumpyInPlace.name} < set(row.seconds)
    assert len({len(seconds) for seconds in row.seconds.values()}) == 1
    moved = {name: row["moved"][name] for name in ("float32", "bfloat16, to nearest", "bfloat16 p; bfloat16, to nearest")}
    assert list(moved.values()) == [28.0, 20.0, 14.0]
    assert NumpyInPlace.name not in row["moved"]


@pytest.mark.parametrize("slow", [1.0, 100.0], ids=["beside", "far beyond"])
def test_the_picture_and_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: float) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("threadpoolctl")

    def planted(ways: list[Given], size: int, seconds: float, peers: Any) -> Row:
        took: dict[str, Any] = {way.label: np.full(3, 0.5e-3) for way in ways}
        took |= {"float32": np.full(3, 1e-3), NumpyInPlace.name: np.full(3, slow * 1e-3)}
        return Row(
            {
                "label": f"{size:,}",
                "elements": size,
                "round_trips": [50.0, None] if size == 1_000 else [50.0, 350.0],
                "moved": {way.label: 28.0 if way.options == FLOAT32.options else 14.0 for way in ways},
            },
            took,
        )

    monkeypatch.setattr(times, "measured", planted)
    path = tmp_path / "picture.svg"
    caption = times.draw(path, Effort(sizes=(1_000, 2_000), seconds=EFFORT.seconds))
    assert "| float32 | 1.00 | 1.00 ms | 1 | 1.00 ms | 1 | 0 % |" in caption
    assert "where they are near: 50 ns about 1,000 parameters, 125 to 275 ns about 2,000 parameters." in caption
    half = "500.0 us | 0.50 (0.50 to 0.50)"
    assert f"| bfloat16, to nearest | 0.50 | {half} | {half} | " in caption
    assert "| elsewhere |  | absent | absent | absent | absent | needs elsewhere |" in caption
    assert f"| {NumpyInPlace.name} |  | " in caption
    drawn = path.read_text()
    for name in ("1,000 parameters", "2,000 parameters", "fastopt", "others", "what the bytes say", NumpyInPlace.name):
        assert f"<!-- {name} -->" in drawn
    assert ("<!-- 100.0  -->" in drawn) == (slow == 100.0)
