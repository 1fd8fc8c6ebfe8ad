"""Ramps beside values that were computed by hand."""

from __future__ import annotations

import math

import pytest

from fastopt.schedules import Cosine, CosineRestarts, Linear, Polynomial, Schedule


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Linear(8.0, 4), {0: 8.0, 1: 6.0, 3: 2.0, 4: 0.0, 99: 0.0}),
        (Linear(1.0, 4, 3.0), {0: 1.0, 1: 1.5, 4: 3.0, 99: 3.0}),
        (Polynomial(16.0, 4, 2.0), {0: 16.0, 1: 9.0, 2: 4.0, 3: 1.0, 4: 0.0, 9: 0.0}),
        (Polynomial(17.0, 4, 2.0, 1.0), {0: 17.0, 1: 10.0, 4: 1.0}),
        (Polynomial(8.0, 4), {1: 6.0}),
        (Cosine(1.0, 6), {0: 1.0, 2: 0.75, 3: 0.5, 4: 0.25, 6: 0.0, 7: 0.0}),
        (Cosine(3.0, 6, 1.0), {0: 3.0, 2: 2.5, 3: 2.0, 6: 1.0, 99: 1.0}),
        (Cosine(3.0, 6, 1.0, 2.0), {0: 3.0, 2: 2.125, 3: 1.5, 6: 1.0}),
        (Cosine(1.0, 6, swinging=True), {0: 1.0, 3: 0.5, 6: 0.0, 9: 0.5, 12: 1.0, 15: 0.5, 600_003: 0.5}),
        (CosineRestarts(1.0, 4), {0: 1.0, 2: 0.5, 4: 1.0, 6: 0.5, 4_000_002: 0.5}),
        (CosineRestarts(1.0, 4, 2), {0: 1.0, 2: 0.5, 4: 1.0, 8: 0.5, 12: 1.0, 20: 0.5, 28: 1.0}),
        (CosineRestarts(3.0, 4, 2, 1.0, 0.5), {0: 3.0, 2: 2.0, 4: 1.5, 8: 1.25, 12: 0.75, 20: 0.875}),
    ],
    ids=repr,
)
def test_values_by_hand(schedule: Schedule, expected: dict[int, float]) -> None:
    assert {step: schedule(step) for step in expected} == pytest.approx(expected, rel=1e-15, abs=1e-16)


def test_ends_are_exact() -> None:
    """Where a ramp is at its beginning, its end or its restart there is nothing to round."""
    for initial, end in ((0.1, 0.03), (1 / 3, 1e-9), (0.7, 0.0)):
        for schedule in (Linear(initial, 7, end), Polynomial(initial, 7, 1.3, end), Cosine(initial, 7, end)):
            assert schedule(7) == schedule(8) == end
        assert CosineRestarts(initial, 7, 3)(7 + 21 + 63) == CosineRestarts(initial, 7, 3)(0) == initial


def test_restarts_count_with_integers() -> None:
    """A logarithm is off by one at some of them: log(1000, 10) is below 3."""
    schedule, begin, length = CosineRestarts(1.0, 9, 10), 0, 9
    assert math.floor(math.log(1000, 10)) == 2
    for _ in range(12):
        assert schedule(begin) == 1.0
        assert schedule(begin + length - 1) < 0.05
        begin, length = begin + length, length * 10
