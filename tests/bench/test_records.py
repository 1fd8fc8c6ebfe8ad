"""Figures out of a record: medians, ratios by round with their interval, and the marks of noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.interleave import Rounds
from bench.records import Record, Row, entries, load, ratio, row_of, save


def test_a_ratio_is_the_median_of_the_rounds_and_not_of_the_medians() -> None:
    ours = np.array([1.0, 10.0, 2.0])
    theirs = np.array([3.0, 20.0, 8.0])
    found = ratio(theirs, ours)  # 3, 2, 4
    assert found.median == 3.0
    assert (found.low, found.high) == (2.0, 4.0)  # too few for a bootstrap: all there was


def test_the_interval_holds_the_median_and_narrows_with_agreement() -> None:
    rng = np.random.default_rng(0)
    ours = rng.uniform(1, 2, 30)
    close, wide = ours * rng.normal(2.0, 0.01, 30), ours * rng.normal(2.0, 0.4, 30)
    narrow, broad = ratio(close, ours), ratio(wide, ours)
    for found in (narrow, broad):
        assert found.low <= found.median <= found.high
    assert narrow.high - narrow.low < (broad.high - broad.low) / 5
    assert str(narrow).startswith("2.0")


def _row(**seconds: list[float]) -> Row:
    times = {name: np.array(values) for name, values in seconds.items()}
    return Row({"group": "x", "elements": 1_000_000, "bytes_per_parameter": 28}, times)


def test_throughput_and_percent_of_the_ceiling() -> None:
    row = _row(a=[1e-3, 1e-3, 1e-3], traffic=[9e-4, 8e-4, 9.5e-4])
    assert row.gigabytes_per_second() == pytest.approx(28.0)
    assert row.percent_of_ceiling() == pytest.approx(90.0)
    assert _row(a=[1e-3]).percent_of_ceiling() is None


def test_the_ceiling_is_the_slower_one_round_by_round_and_no_step() -> None:
    row = _row(a=[4.0, 4.0, 4.0], traffic=[1.0, 2.0, 1.0], arithmetic=[3.0, 1.0, 2.0])
    assert row.times("ceiling").tolist() == [3.0, 2.0, 2.0]
    assert row.percent_of_ceiling() == 50.0
    assert row.limit() == "arithmetic"
    assert row.steps == ["a"]
    assert "ceiling" in row
    alone = _row(a=[4.0], b=[1.0])
    assert ("ceiling" in alone, "b" in alone, alone.limit()) == (False, True, None)


def test_a_wide_spread_is_marked() -> None:
    assert not _row(a=[1.0, 1.01, 0.99, 1.0]).noisy()
    assert _row(a=[1.0, 1.5, 0.7, 2.0]).noisy()


def _written(path: Path, benchmarks: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"machine_info": {"fastopt": {"cores": 2}}, "datetime": "now", "benchmarks": benchmarks}))
    return path


def test_a_row_comes_back_as_it_was_written(tmp_path: Path) -> None:
    rounds = Rounds({"b": [0.1, 0.3, 1e-9], "a": [0.2, 0.7, 1 / 3]}, {"b": 7, "a": 5})
    written = entries("x: one", row_of(rounds, group="x", label="one")) + entries("x: two", row_of(rounds, group="x", label="two"))
    assert [entry["extra_info"]["contender"] for entry in written] == ["b", "a", "b", "a"]
    record = load(_written(tmp_path / "record.json", written[::-1]))
    assert [row["label"] for row in record.group("x")] == ["two", "one"]
    for row in record.rows:
        assert list(row.seconds) == ["b", "a"]  # the subject first, whatever the order in the file
        assert row.subject == "b"
        assert {name: values.tolist() for name, values in row.seconds.items()} == rounds.seconds
        assert row.own == {"b": {"steps_per_round": 7}, "a": {"steps_per_round": 5}}
        assert set(row.info) == {"group", "label"}


def test_a_cell_that_lacks_a_contender_is_no_row(tmp_path: Path) -> None:
    written = entries("x: one", _row(a=[1.0], b=[2.0])) + entries("x: two", _row(a=[1.0], b=[2.0]))
    assert len(load(_written(tmp_path / "record.json", written)).rows) == 2
    assert len(load(_written(tmp_path / "record.json", written[1:])).rows) == 1


def test_an_entry_that_names_no_contender_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected an entry for each contender, and test_old names none"):
        load(_written(tmp_path / "record.json", [{"name": "test_old", "extra_info": {"seconds": {}}}]))


def test_a_foreign_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps({"machine_info": {}, "benchmarks": []}))
    with pytest.raises(ValueError, match="machine_info has no entry `fastopt`"):
        load(tmp_path / "other.json")


def test_what_is_committed_has_a_row_a_line_and_all_that_a_report_shows(tmp_path: Path) -> None:
    rows = [
        Row(
            {"group": "training", "label": "one", "round_trips": [60.681481481481484, None], "batch": 16},
            {"numpy": np.array([1.23456789e-5, 2.0]), "cython": np.array([1 / 3, 1.0])},
            {"numpy": {"steps_per_round": 7, "update_seconds": [0.1, 0.2], "update_share": 0.123456789}, "cython": {}},
        ),
        Row({"group": "x", "label": "two"}, {"a": np.array([1.0])}, {"a": {"steps_per_round": 3}}),
    ]
    save(Record({"cpu": "made up", "cores": 2}, "now", rows), tmp_path / "record.json")
    lines = (tmp_path / "record.json").read_text().splitlines()
    assert len(lines) == len(rows) + 2  # a head and a closing bracket
    record = load(tmp_path / "record.json")
    assert (record.machine, record.date) == ({"cpu": "made up", "cores": 2}, "now")
    first, second = record.rows
    assert first.info == {"group": "training", "label": "one", "round_trips": [60.6815, None], "batch": 16}
    assert {name: values.tolist() for name, values in first.seconds.items()} == {"numpy": [1.23457e-5, 2.0], "cython": [0.333333, 1.0]}
    assert first.own == {"numpy": {"update_share": 0.123457}}
    assert (second.subject, second.own) == ("a", {})
    save(record, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "record.json").read_text()
