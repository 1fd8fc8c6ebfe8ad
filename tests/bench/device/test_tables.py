"""A GPU's tables show what is in the record: rows that were lost, missed targets, and what is not there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.device import tables
from bench.records import Record, Row

H200: dict[str, Any] = {
    "device": {"name": "NVIDIA H200", "simulated": False, "l2_bytes": 60 << 20},
    "absent": {"CuPy kernel": "needs cupy"},
    "profile": "quick",
}


def _row(label: str, elements: int, **seconds: float) -> Row:
    info = {"group": "peers", "label": label, "elements": elements, "bytes_per_parameter": 28, "working_set": 16 * elements}
    times = {name.replace("_", " "): [value] * 3 for name, value in seconds.items()}
    clocks = dict.fromkeys(times, "device, CUDA events")
    arrays = {name: np.array(values) for name, values in times.items()}
    return Row(info | {"clocks": clocks, "left_out": {"torch foreach": "does not fit"}}, arrays)


def test_a_row_that_fastopt_loses_stays_and_reads_below_one() -> None:
    text = tables.peers(Record(H200, "", [_row("1 x 1,000", 1_000, fastopt=2e-6, torch_fused=1e-6, copy=1e-6)]))
    assert "| 2.0 us | 0.50 (0.50 to 0.50) | 0.50 (0.50 to 0.50) |" in text
    assert "16 KiB, L2" in text


def test_a_target_is_held_or_missed_or_not_known() -> None:
    held = _row("1 x 100,000,000", 10**8, fastopt=1.0e-3, torch_fused=0.99e-3, copy=0.93e-3)
    lost = _row("1,000 x 1,000", 10**6, fastopt=1.0e-4, torch_fused=1.2e-4, copy=1e-5)
    lines = tables.targets(Record(H200, "", [held, lost])).splitlines()
    assert [line.rsplit("|", 2)[1].strip() for line in lines[2:]] == ["yes", "yes", "**no**", "**not known**"]
    slow = _row("1 x 100,000,000", 10**8, fastopt=1.0e-3, torch_fused=0.97e-3, copy=0.91e-3)
    lines = tables.targets(Record(H200, "", [slow])).splitlines()
    assert [line.rsplit("|", 2)[1].strip() for line in lines[2:4]] == ["**no**", "**no**"]


def test_the_cost_of_a_call_counts_at_a_thousand_parameters_only() -> None:
    def launch(elements: int) -> Row:
        row = _row("a call of step()", elements, fastopt=4e-6, torch_fused=6e-6)
        return Row(row.info | {"group": "launch"}, row.seconds)

    assert tables.targets(Record(H200, "", [launch(1_000)])).splitlines()[-1].endswith("| 1.50 (1.50 to 1.50) | yes |")
    assert tables.targets(Record(H200, "", [launch(100)])).splitlines()[-1].endswith("| **not known** |")


def test_percent_of_the_copy_is_its_time_over_the_steps() -> None:
    row = _row("1 x 100,000,000", 10**8, fastopt=1.0e-3, copy=0.9e-3)
    assert tables.percent_of_copy(row) == pytest.approx(90)
    assert tables.where(row, 60 << 20) == "1.5 GiB, memory"
    assert tables.where(row, 0) == "1.5 GiB"


def test_what_was_not_measured_is_named_with_its_reason() -> None:
    skipped = {"group": "step", "label": "amsgrad, float32, 1,000,000,000", "reason": "needs 20 GiB"}
    text = tables.left_out(Record(H200 | {"skipped": [skipped]}, "", [_row("1 x 10", 10, fastopt=1.0, copy=1.0)]))
    assert text.splitlines() == [
        "- CuPy kernel: needs cupy",
        "- torch foreach at 1 x 10: does not fit",
        "- amsgrad, float32, 1,000,000,000: needs 20 GiB",
    ]
