"""The yardstick moves as many bytes as a step."""

from __future__ import annotations

import pytest

from bench.device.copying import LARGEST, memory_needed, pieces


@pytest.mark.parametrize("traffic", [2, 28_000, 2 * LARGEST, 2 * LARGEST + 2, 28 * 10**9])
def test_copies_move_what_a_step_moves(traffic: int) -> None:
    lengths = pieces(traffic)
    assert 2 * sum(lengths) == traffic  # a copy reads and writes
    assert max(lengths) == lengths[0] <= LARGEST
    assert memory_needed(traffic) == 2 * lengths[0]
