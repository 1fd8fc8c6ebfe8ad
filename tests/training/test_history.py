"""What is recorded along a run, against hand-computed values, and the verdict from it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.training import History, regime_of
from tests.training.models import descend


def test_hand_computed() -> None:
    """Parameters (0, 0), (3, 0), (3, 4), (0, 4), (0, 4): updates at right angles, then one of 0."""
    w = np.zeros(2, np.float32)
    history = History({"w": w})
    for point in ((0, 0), (3, 0), (3, 4), (0, 4), (0, 4)):
        w[...] = point
        history.observe(1.5, [np.array([3.0, 0.0], np.float32), None, np.array([4.0], np.float16)])
    w[...] = (3, 4)
    history.observe(2, [np.ones(1)])
    assert history.losses == [1.5] * 5 + [2.0]
    assert history.grad_norms == [5.0] * 5 + [1.0]
    assert history.param_norms == [0.0, 3.0, 5.0, 4.0, 4.0, 5.0]
    assert history.cosines[:2] == [0.0, 0.0]
    assert [math.isnan(cosine) for cosine in history.cosines] == [False, False, True, True]


def test_straight_back_and_straight_on() -> None:
    w = [np.zeros(1), np.zeros((1, 1))]
    history = History(w)
    for point in (0.0, 1.0, 3.0, 2.0):
        for array in w:
            array[...] = point
        history.observe(1.0)
    assert history.cosines == pytest.approx([1.0, -1.0])
    assert history.grad_norms == []


@pytest.mark.parametrize(("lr", "regime"), [(0.01, "slow"), (0.5, "good"), (0.95, "overshoots"), (1.1, "diverges")])
def test_verdicts_of_real_runs(lr: float, regime: str) -> None:
    """The lectures' quadratic, whose steps cross the minimum from 1 / 2 on: losses alone do not show it, cosines do."""
    history = descend(fastopt.SGD, lr)
    assert history.verdict(floor=0.0).regime == regime
    if regime == "overshoots":
        assert regime_of(history.losses, floor=0.0).regime == "good"
        verdict = history.verdict(floor=0.0)
        assert verdict.cause.startswith("100% of the updates point against the one before (mean cosine -0.9")
        assert verdict.evidence["back"] == 1.0


def test_of_losses_alone() -> None:
    history = History()
    for n in range(10):
        history.observe(10.0 - n)
    assert history.verdict().regime == "slow"
    assert (history.cosines, history.param_norms) == ([], [])


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (3, r"^params: expected an array, a sequence of arrays or a mapping of them, received int$"),
        ({"w": [1.0]}, r"^params\['w'\]\[0\]: expected a NumPy array, received float$"),
    ],
)
def test_bad_parameters(params: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        History(params)


def test_bad_observations_are_not_recorded() -> None:
    history = History(np.zeros(2))
    with pytest.raises(TypeError, match=r"^loss: expected a number, received 'x' \(str\)$"):
        history.observe("x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^grads: expected a NumPy array of .*, or None; received an array of int64"):
        history.observe(1.0, np.ones(2, int))
    assert (history.losses, history.grad_norms, history.param_norms) == ([], [], [])
