"""Pictures take whoever is in the record, known or not, and tell them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.drawing import looks
from bench.plots import OVERVIEW, draw_all
from bench.records import Record, Row

MACHINE: dict[str, Any] = {"caches": {"L1": 32_768, "L2": 1_048_576}}


def _row(info: dict[str, Any], **seconds: float) -> Row:
    return Row(info, {name.replace("_", " "): np.full(3, value) for name, value in seconds.items()})


def _peers(label: str, **seconds: float) -> Row:
    return _row({"group": "peers", "label": label, "elements": 1_000, "bytes_per_parameter": 28}, **seconds)


def _step(backend: str, rule: str, elements: int) -> Row:
    info = {"group": "step", "backend": backend, "rule": rule, "dtype": "float32", "label": f"{elements:,}", "elements": elements}
    return _row(info | {"tensors": 1, "bytes_per_parameter": 28}, **{backend: 2e-6, "traffic": 1e-6, "arithmetic": 1.5e-6})


def _training(*backends: str) -> Row:
    info = {"group": "training", "sweep": "batch", "workload": "digits", "width": 512, "batch": 16}
    own = {name: {"update_share": 0.5, "losses": {"steps": [1, 2], "values": [2.0, 1.0]}} for name in backends}
    return Row(info, {name: np.ones(3) for name in backends}, own)


def _drawn(rows: list[Row], folder: Path) -> list[str]:
    names = [name for name, _ in draw_all(Record(MACHINE, "", rows), folder)]
    assert all((folder / name).stat().st_size > 5_000 for name in names)
    return names


def test_no_two_contenders_look_alike() -> None:
    found = looks(map(str, range(56)))
    assert len({(look["color"], look["marker"]) for look in found.values()}) == 56


def test_a_backend_and_a_peer_that_nobody_has_heard_of_are_drawn(tmp_path: Path) -> None:
    rows = [_step(backend, rule, 10**k) for backend in ("made up", "numpy") for rule in ("sgd", "mine") for k in (2, 4, 6)]
    rows += [_peers("1 x 1,000", fastopt_made_up=1e-6, somebody_new=2e-6, traffic=5e-7), _training("made up", "numpy")]
    rows += [_step("made up", "adam", 100)]
    assert _drawn(rows, tmp_path) == [OVERVIEW, "throughput.png", "ceiling.png", "peers.png", "share.png", "losses.png"]


@pytest.mark.parametrize("count", [1, 8])
def test_the_overview_has_room_for_one_row_of_all_and_many_of_one(count: int, tmp_path: Path) -> None:
    peers = {f"peer_{k}": 2e-6 for k in range(8 // count)}
    rows = [_peers(f"{count} x {k}, fresh gradients", fastopt_cython=1e-6, **peers) for k in range(count)]
    rows[0].seconds["peer 0"] = np.full(3, 3e-7)  # it loses this one
    assert _drawn(rows, tmp_path) == [OVERVIEW, "peers.png"]


def test_a_peer_that_some_rows_lack_is_not_in_the_overview(tmp_path: Path) -> None:
    rows = [_peers("one", fastopt_cython=1e-6, slow_one=2e-6), _peers("two", fastopt_cython=1e-6)]
    assert _drawn(rows, tmp_path) == ["peers.png"]
