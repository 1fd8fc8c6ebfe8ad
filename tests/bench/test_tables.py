"""Tables show what is in the record, losses and noise included."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.markdown import time_of
from bench.records import Record, Row
from bench.tables import IN_BETWEEN, between, calls, distance_of, every_step, peers, steps, training

MACHINE: dict[str, Any] = {"caches": {"L1": 32_768, "L2": 1_048_576}}


def _row(info: dict[str, Any], seconds: dict[str, list[float]]) -> Row:
    return Row(info, {name: np.array(values) for name, values in seconds.items()})


def _peers_row(label: str, ours: list[float], theirs: list[float]) -> Row:
    info = {
        "group": "peers",
        "label": label,
        "elements": 1_000,
        "working_set": 16_000,
        "absent": {"thinc": "needs thinc"},
    }
    return _row(info | {"bytes_per_parameter": 28}, {"fastopt cython": ours, "torch fused": theirs, "traffic": ours})


def test_a_row_that_fastopt_loses_stays_and_reads_below_one() -> None:
    text = peers(Record(MACHINE, "", [_peers_row("1 x 1,000", [2e-6] * 3, [1e-6] * 3)]))
    assert "0.50 (0.50 to 0.50)" in text
    assert "16 KiB, L1" in text
    assert "thinc (needs thinc)" in text


def test_a_noisy_row_is_marked() -> None:
    info = {"group": "step", "rule": "adam", "backend": "numba", "dtype": "float32", "label": "10", "elements": 10}
    quiet = _row(info | {"bytes_per_parameter": 28}, {"numba": [1e-6, 1.01e-6, 1e-6]})
    noisy = _row(info | {"label": "20", "bytes_per_parameter": 28}, {"numba": [1e-6, 2e-6, 4e-6]})
    row = next(line for line in steps(Record(MACHINE, "", [quiet, noisy])).splitlines() if line.startswith("| adam"))
    first, second = row.split("|")[2:4]
    assert "~" not in first
    assert "~" in second
    assert "no ceiling" in first


def test_percent_is_of_the_slower_ceiling_and_says_which_one_that_is() -> None:
    info = {"group": "step", "rule": "adam", "backend": "numba", "dtype": "float32", "elements": 10, "bytes_per_parameter": 28}
    info |= {"working_set": 160, "threads": 1}
    small = _row(info | {"label": "10"}, {"numba": [4e-6] * 3, "traffic": [1e-6] * 3, "arithmetic": [3e-6] * 3})
    large = _row(info | {"label": "20"}, {"numba": [4e-6] * 3, "traffic": [2e-6] * 3, "arithmetic": [1e-6] * 3})
    record = Record(MACHINE, "", [small, large])
    assert "| adam | 4.0 us; 0.1; 75 % a | 4.0 us; 0.1; 50 % t |" in steps(record)
    lines = every_step(record).splitlines()[2:]
    assert [line.split(" | ")[-3:] for line in lines] == [["75", "arithmetic", "1 |"], ["50", "traffic", "1 |"]]


def test_a_backend_that_nobody_has_heard_of_has_its_place() -> None:
    info = {"group": "step", "rule": "adam", "dtype": "float32", "label": "10", "elements": 10, "bytes_per_parameter": 28}
    info |= {"working_set": 160, "threads": 1}
    rows = [_row(info | {"backend": name}, {name: [1e-6] * 3}) for name in ("numba", "made_up")]
    assert "| numba, float32 |" in steps(Record(MACHINE, "", rows))
    assert "| made_up, float32 |" in steps(Record(MACHINE, "", rows[1:]))
    assert "| adam | made_up |" in every_step(Record(MACHINE, "", rows))


def test_who_stands_beside_a_step_has_a_line_of_its_own() -> None:
    info = {
        "group": "step",
        "rule": "adam",
        "backend": "numpy",
        "dtype": "float32",
        "label": "10",
        "elements": 10,
        "bytes_per_parameter": 28,
    }
    info |= {"working_set": 160, "threads": 1}
    row = _row(info, {"numpy": [8e-6] * 3, "NumPy in place": [4e-6] * 3, "traffic": [1e-6] * 3})
    first, second = every_step(Record(MACHINE, "", [row])).splitlines()[2:]
    assert first.startswith("| adam | numpy | float32 | 10 | 160 B, L1 | 8.0 us | 8.0 us to 8.0 us |")
    assert first.endswith("| 12 | traffic | 1 |")
    assert second.startswith("| adam | NumPy in place | float32 | 10 | 160 B, L1 | 4.0 us | 4.0 us to 4.0 us |")
    assert second.endswith("| 25 | traffic | 1 |")


def test_durations_have_the_unit_that_suits_them() -> None:
    assert [time_of(x) for x in (1.5e-6, 2.5e-3, 3.0)] == ["1.5 us", "2.50 ms", "3.00 s"]


def test_a_step_between_other_work_stands_beside_the_loop() -> None:
    info = {"group": "between", "label": "1,000,000", "rest": 0.02, "side": 512}
    times = dict(zip(IN_BETWEEN, (1e-4, 1.2e-4, 1.1e-4, 3e-4), strict=True))
    ours = {f"fastopt: {when}": [seconds] * 3 for when, seconds in times.items()}
    theirs = {name.replace("fastopt", "torch fused"): [2 * value for value in values] for name, values in ours.items()}
    text = between(Record(MACHINE, "", [_row(info, ours | theirs)]))
    assert (
        "| 1,000,000 | fastopt | 100.0 us | 120.0 us; 1.20 (1.20 to 1.20) | 110.0 us; 1.10 (1.10 to 1.10) | 300.0 us; 3.00 (3.00 to 3.00) |"
        in text
    )
    behind = "220.0 us; 1.10 (1.10 to 1.10) | 600.0 us; 3.00 (3.00 to 3.00)"
    assert f"| 1,000,000 | torch fused | 200.0 us | 240.0 us; 1.20 (1.20 to 1.20) | {behind} |" in text
    assert "A rest is 20 ms, a product one of 512 x 512 matrices" in text


def test_calls_stand_beside_the_first_of_their_kind() -> None:
    row = _row({"group": "calls", "label": "build, 1 x 1,000"}, {"fastopt cython": [1e-4] * 3, "torch fused": [5e-5] * 3})
    text = calls(Record(MACHINE, "", [row]))
    assert "| build, 1 x 1,000 | fastopt cython | 100.0 us | 1 |" in text
    assert "| build, 1 x 1,000 | torch fused | 50.0 us | 0.50 (0.50 to 0.50) |" in text


def test_distances_are_quartiles() -> None:
    assert distance_of([60.2, 300.0, 60.4, None, 59.9]) == "60 to 120 ns"
    assert distance_of([60.2, 59.9]) == "60 ns"
    assert distance_of([None]) == distance_of([]) == "-"


def test_training_has_the_reference_first_and_epochs_of_all_steps() -> None:
    info = {"group": "training", "workload": "digits", "width": 512, "parameters": 300_000, "batch": 16, "steps_per_epoch": 113}
    info["round_trips"] = [345.2, 53.4, None, 55.0, 57.0, 345.2]
    own = {"update_share": 0.5, "losses": {"steps": [1], "values": [0.25]}}
    seconds = {"cython": np.full(3, 1e-3), "numpy": np.full(3, 6e-3)}
    lines = training(Record(MACHINE, "", [Row(info, seconds, dict.fromkeys(seconds, own))])).splitlines()
    assert "| numpy | 6.00 ms | 2,667 | 678.00 ms | 50 % | 1 (reference) | 0.250000 | 55 to 345 ns |" in lines[2]
    assert "| cython | 1.00 ms | 16,000 | 113.00 ms | 50 % | 6.00 (6.00 to 6.00) | 0.250000 | 55 to 345 ns |" in lines[3]
