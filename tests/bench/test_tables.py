"""Tables show what is in the record, losses and noise included."""

from __future__ import annotations

from typing import Any

from bench.records import Record, Row
from bench.tables import peers, steps, targets, time_of

MACHINE: dict[str, Any] = {"caches": {"L1": 32_768, "L2": 1_048_576}}


def _peers_row(label: str, ours: list[float], theirs: list[float]) -> Row:
    info = {
        "group": "peers",
        "label": label,
        "subject": "fastopt cython",
        "elements": 1_000,
        "working_set": 16_000,
        "absent": {"thinc": "thinc"},
    }
    return Row(info | {"bytes_per_parameter": 28, "seconds": {"fastopt cython": ours, "torch fused": theirs, "ceiling": ours}})


def test_a_row_that_fastopt_loses_stays_and_reads_below_one() -> None:
    text = peers(Record(MACHINE, "", [_peers_row("1 x 1,000", [2e-6] * 3, [1e-6] * 3)]))
    assert "0.50 (0.50 to 0.50)" in text
    assert "16 KiB, L1" in text
    assert "thinc (needs thinc)" in text


def test_a_target_that_is_missed_says_no() -> None:
    rows = [_peers_row("1 x 1,000", [1e-6] * 3, [9e-6] * 3), _peers_row("1 x 1,000,000", [1e-6] * 3, [2e-6] * 3)]
    lines = targets(Record(MACHINE, "", rows)).splitlines()
    assert next(line for line in lines if line.startswith("| 1 x 1,000 |")).endswith("| **no** |")
    assert next(line for line in lines if line.startswith("| 1 x 1,000,000 |")).endswith("| yes |")


def test_a_noisy_row_is_marked() -> None:
    info = {"group": "step", "rule": "adam", "backend": "numba", "dtype": "float32", "label": "10", "subject": "numba", "elements": 10}
    quiet = Row(info | {"bytes_per_parameter": 28, "seconds": {"numba": [1e-6, 1.01e-6, 1e-6]}})
    noisy = Row(info | {"label": "20", "bytes_per_parameter": 28, "seconds": {"numba": [1e-6, 2e-6, 4e-6]}})
    row = next(line for line in steps(Record(MACHINE, "", [quiet, noisy])).splitlines() if line.startswith("| adam"))
    first, second = row.split("|")[2:4]
    assert "~" not in first
    assert "~" in second
    assert "no probe" in first


def test_durations_have_the_unit_that_suits_them() -> None:
    assert [time_of(x) for x in (1.5e-6, 2.5e-3, 3.0)] == ["1.5 us", "2.50 ms", "3.00 s"]
