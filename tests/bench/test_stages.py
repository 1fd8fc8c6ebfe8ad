"""Stages side by side: each row asks for what it says, and its bytes are those that it moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from bench import stages, tables
from bench.records import Record, Row


@pytest.mark.parametrize("name", stages.OPTIONS)
def test_a_contender_makes_a_step_of_its_stages(name: str) -> None:
    p, g = np.ones(1_000, np.float32), np.full(1_000, 2.0, np.float32)
    opt = fastopt.Adam(p, 0.1, backend="numpy", **stages.OPTIONS[name])
    stages.stepping(name, opt, g)()
    assert (opt.steps, opt.accumulated) == (1, 0)
    assert (opt.grad_norm is not None) == (name in ("max_norm", stages.EVERY))
    assert g.any() == (name not in ("zero_grads", stages.EVERY))
    assert (p != 1.0).all()


def test_bytes() -> None:
    p = np.ones(10, np.float32)
    found = {
        name: stages.bytes_of(name, fastopt.Adam(p, backend="numpy", **options)._kernels[0]) for name, options in stages.OPTIONS.items()
    }
    assert found[stages.PLAIN] == found["grad_scale"] == found["decoupled weight decay"] == found["clip_value"] == 28
    assert (found["ema_decay"], found["zero_grads"], found["max_norm"], found["nonfinite='skip'"]) == (36, 32, 32, 32)
    assert found[stages.EVERY] == 28 + 8 + 4 + 4
    assert found[stages.SUMMED] == 28 + 8 + 3 * 12


def test_torch_does_the_same_in_its_own_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    assert stages.verify() < 2e-6
    monkeypatch.setitem(stages.OPTIONS, stages.EVERY, {**stages.OPTIONS[stages.EVERY], "ema_decay": 0.5})
    with pytest.raises(AssertionError, match="differ by"):
        stages.verify()


def test_the_table_says_what_is_left_when_bytes_are_taken_out() -> None:
    seconds: dict[str, Any] = {"no stage": np.full(3, 0.5), "ema_decay": np.full(3, 0.75), "torch": np.full(3, 2.0)}
    info = {"group": "stages", "label": "16,000,000", "moved": {"no stage": 28.0, "ema_decay": 36.0}}
    text = tables.stages(Record({}, "", [Row(info, seconds)]))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| 16")]
    assert [row[1:3] for row in cells] == [["no stage", "28"], ["ema_decay", "36"], ["torch", "-"]]
    assert [row[-1] for row in cells] == ["1.00", "1.17", "-"]
