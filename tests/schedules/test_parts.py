"""Schedules made of others."""

from __future__ import annotations

import pytest

from fastopt.schedules import ByEpoch, Chain, Constant, Cosine, Linear, Plateau, Schedule, Warmup
from tests.schedules.test_schedule import EVERY


def test_values_by_hand() -> None:
    warm = Warmup(4, Linear(8.0, 8), 4.0)
    assert [warm(step) for step in (0, 1, 3, 4, 5, 12, 99)] == [4.0, 5.0, 7.0, 8.0, 7.0, 0.0, 0.0]
    chain = Chain((3.0, Linear(8.0, 8), 1.0), (2, 6))
    assert [chain(step) for step in (0, 1, 2, 3, 5, 6, 99)] == [3.0, 3.0, 8.0, 7.0, 5.0, 1.0, 1.0]
    epochs = ByEpoch(Linear(8.0, 8), 3)
    assert [epochs(step) for step in (0, 2, 3, 5, 6, 24, 99)] == [8.0, 8.0, 7.0, 7.0, 6.0, 0.0, 0.0]
    counted = ByEpoch(Linear(8.0, 8), 3, first=1)
    assert [counted(step) for step in (0, 2, 3, 5, 6, 21)] == [7.0, 7.0, 6.0, 6.0, 5.0, 0.0]
    assert [Constant(3)(step) for step in (0, 99)] == [3.0, 3.0]


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_a_warm_up_before_any_of_them(schedule: Schedule) -> None:
    """A line to where it begins, and then it, as it is."""
    warm = Warmup(8, schedule, 0.0)
    for step in range(8):
        assert warm(step) == pytest.approx(schedule(0) * step / 8, rel=1e-15)
    assert [warm(8 + step) for step in range(30)] == [schedule(step) for step in range(30)]


def test_who_goes_by_the_loss_is_found_wherever_it_stands() -> None:
    inner = Plateau(0.4, factor=0.5, patience=0)
    for schedule in (Warmup(4, inner), Chain((Cosine(0.1, 3), Warmup(2, inner)), (4,)), ByEpoch(inner, 3)):
        assert schedule.observes
        told = schedule.observe(1.0).observe(1.0)
        assert (schedule(99), told(99)) == (0.4, 0.2)
        assert told != schedule
        assert type(told) is type(schedule)
    plain = Chain((Cosine(0.1, 3), Warmup(2, 0.1)), (4,))
    assert plain.observe(1.0) is plain
    assert not plain.observes
