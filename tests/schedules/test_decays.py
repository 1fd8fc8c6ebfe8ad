"""Decays beside values that were computed by hand; what the lectures write, as they write it."""

from __future__ import annotations

import math

import pytest

from fastopt.schedules import ByEpoch, Exponential, InverseSqrt, InverseTime, MultiStep, Schedule, Staircase, StepDecay, Warmup


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (InverseTime(1.0, 1.0), {0: 1.0, 1: 1 / 2, 3: 1 / 4, 9: 1 / 10}),
        (InverseTime(1.0, 1.0, 2), {0: 1.0, 1: 1 / 1.5, 2: 1 / 2, 3: 1 / 2.5}),
        (InverseTime(1.0, 1.0, 2, staircase=True), {0: 1.0, 1: 1.0, 2: 1 / 2, 3: 1 / 2, 4: 1 / 3}),
        (Exponential(2.0, 0.5), {0: 2.0, 1: 1.0, 3: 0.25}),
        (Exponential(2.0, 0.25, 2), {0: 2.0, 1: 1.0, 2: 0.5, 4: 0.125}),
        (Exponential(2.0, 0.5, 2, staircase=True), {1: 2.0, 2: 1.0, 3: 1.0, 4: 0.5}),
        (Exponential(2.0, 0.5, end=0.75), {0: 2.0, 1: 1.0, 2: 0.75, 99: 0.75}),
        (Exponential(2.0, 2.0, end=7.0), {0: 2.0, 1: 4.0, 2: 7.0, 5000: 7.0}),
        (InverseSqrt(1.0), {0: 1.0, 3: 1 / 2, 8: 1 / 3, 99: 1 / 10}),
        (InverseSqrt(1.0, 3.0, 9), {0: 1.0, 7: 3 / 4, 16: 3 / 5}),
        (Staircase(8.0, 3), {0: 8.0, 2: 8.0, 3: 4.0, 5: 4.0, 6: 2.0, 12: 0.5}),
        (StepDecay(8.0, 3), {2: 8.0, 3: 8.0 * 0.1}),
        (MultiStep(8.0, (2, 3, 7), 0.5), {0: 8.0, 1: 8.0, 2: 4.0, 3: 2.0, 6: 2.0, 7: 1.0, 99: 1.0}),
        (MultiStep(8.0, (2, 3, 7), (0.5, 4.0, 0.125)), {1: 8.0, 2: 4.0, 3: 16.0, 7: 2.0}),
        (MultiStep(8.0, (0, 5), 0.5), {0: 4.0, 5: 2.0}),
    ],
    ids=repr,
)
def test_values_by_hand(schedule: Schedule, expected: dict[int, float]) -> None:
    assert {step: schedule(step) for step in expected} == expected


def test_what_the_lectures_name() -> None:
    """alpha0 / (1 + decay epoch), 0.95^epoch alpha0, k alpha0 / sqrt(epoch) and / sqrt(batch number), x 0.1 at epochs 30, 60 and 90."""
    alpha0, batches, k = 0.2, 7, 1.5
    for step in range(7 * 95):
        epoch = step // batches
        assert ByEpoch(InverseTime(alpha0, 1.0), batches)(step) == alpha0 / (1.0 + 1.0 * epoch)
        assert ByEpoch(Exponential(alpha0, 0.95), batches)(step) == alpha0 * 0.95**epoch
        assert ByEpoch(InverseSqrt(alpha0, k), batches)(step) == k * alpha0 / math.sqrt(epoch + 1)
        assert InverseSqrt(alpha0, k)(step) == k * alpha0 / math.sqrt(step + 1)
        expected = alpha0 * 0.1 ** sum(epoch >= milestone for milestone in (30, 60, 90))
        assert ByEpoch(MultiStep(alpha0, (30, 60, 90)), batches)(step) == expected
        assert ByEpoch(StepDecay(alpha0, 30), batches)(step) == expected


def test_the_transformers_inverse_root() -> None:
    """It is a min(t / w, sqrt(w / t)): the line and the root meet at a."""
    schedule = Warmup(16, InverseSqrt(0.5, k=4.0, offset=16))
    assert [schedule(step) for step in (0, 8, 16, 64, 144)] == [0.0, 0.25, 0.5, 0.25, 0.5 * 4 / 12]
