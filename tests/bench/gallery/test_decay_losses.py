"""What decays do to a loss."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import fastopt
from bench.gallery import decay_losses, decays
from bench.workloads import digits

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_a_rate_by_hand_changes_a_run_from_its_epoch_on() -> None:
    constant, by_hand = (decay_losses.losses(decay, 3) for decay in (fastopt.schedules.Constant(2.0), {0: 2.0, 2: 0.1}))
    assert constant[:3].tolist() == by_hand[:3].tolist()
    assert constant[3] != by_hand[3]


@pytest.mark.parametrize(("steps", "below"), [(100, 1e-1), (400, 1e-8)])
def test_the_minimum_is_one(steps: int, below: float) -> None:
    """The loss is strongly convex: it is at most |its gradient|^2 / (2 l2) above the lowest one."""
    workload, l2 = digits(), decay_losses.L2
    params = decay_losses.minimum(steps)
    _, gradients = workload.network(()).loss_and_gradients(params, workload.x, workload.y)
    assert sum(float(np.sum((g + l2 * p) ** 2)) for g, p in zip(gradients, params, strict=True)) / (2.0 * l2) < below


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.svg"
    caption = decay_losses.draw(path, 2, 100)
    drawn = path.read_text()
    for name in decays.DECAYS:
        assert f"<!-- {name} -->" in drawn
        assert re.search(rf"[:;] {re.escape(name)} [0-9]", caption)
