"""The clocks time what they say: a block's steps and nothing before them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.device.clock import Timed


class _Counting:
    """A clock by which every step takes a second."""

    name = "counting"

    def measure(self, step: Callable[[], object], count: int) -> float:
        for _ in range(count):
            step()
        return float(count)


def test_a_block_counts_its_steps_and_not_the_one_before() -> None:
    made: list[str] = []
    timed = Timed(lambda: made.append("step"), clock=_Counting())
    assert timed.block(5) == 5.0
    assert made == ["step"] * 6


def test_fresh_gradients_come_before_every_step_of_a_device_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr("bench.device.clock.synchronize", lambda: made.append("rest"))
    timed = Timed(lambda: made.append("step"), lambda: made.append("new"), clock=_Counting(), takes=1.0)
    assert timed.block(2) == 2.0
    assert made == ["new", "rest", "step", "new", "rest", "step"]


def test_a_rehearsal_makes_blocks_of_one_step() -> None:
    assert Timed(lambda: None, clock=_Counting()).steps_for(4.0) >= 4
    assert Timed(lambda: None, clock=_Counting(), longest=0.0).steps_for(4.0) == 1
