"""NAdam's scalars remember the product of all momenta."""

from __future__ import annotations

import numpy as np
import pytest

import fastopt


def test_the_product_of_momenta_is_in_the_state() -> None:
    optimizer = fastopt.NAdam(np.ones(3), momentum_decay=1.0)
    for _ in range(2):
        optimizer.step(np.ones(3))
    (slot,) = optimizer.state_dict()["slots"]
    assert list(slot["memory"].values()) == pytest.approx([0.9 * (1 - 0.48) * 0.9 * (1 - 0.4608)], rel=1e-15)
