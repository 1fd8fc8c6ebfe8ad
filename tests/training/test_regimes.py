"""The regimes: in made-up losses of which it is known what they are, and in real runs over rates from far too low to far too high."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.training import REGIMES, regime_of, regimes_of
from tests.training.models import descend, train_softmax

T = np.arange(60) / 60.0
NOISE = np.random.default_rng(0).normal(size=60)
STEPS = np.arange(60)

MADE_UP: list[tuple[str, Any, dict[str, Any], str, str]] = [
    ("exponential growth", 1.1**STEPS, {}, "diverges", "the loss ends at 1"),
    ("fell and rose", np.abs(STEPS - 20.0) + 5.0, {}, "diverges", "the loss ends at"),
    (
        "fell and rose by half",
        np.where(STEPS < 30, 60.0 - STEPS, STEPS / 3.0 + 21.0),
        {},
        "diverges",
        "the loss fell to 31 at step 29",
    ),
    ("growing zigzag", 3.0 + 0.1 * (-1.1) ** STEPS, {}, "diverges", "the loss goes up and down in turns, by "),
    ("zigzag", 3.0 + np.exp(-T) + 0.5 * (-0.99) ** STEPS, {}, "overshoots", "the loss goes up (19.9 in all) and down (20.6) in turns"),
    ("waves", 1.0 + np.exp(-3 * T) * (1.0 + np.cos(T * 40)), {}, "overshoots", "the loss goes up"),
    ("leap", np.where(STEPS == 1, 9.0, 1.0 - T), {}, "overshoots", "the loss leaps from 1 to 9 at step 1 before it falls"),
    ("updates go back", np.exp(-3 * T), {"cosines": [-0.9] * 58}, "overshoots", "100% of the updates point against the one before"),
    ("updates go on", np.exp(-3 * T), {"cosines": [0.9, math.nan] * 29}, "good", "the loss fell from 1 to "),
    (
        "level above the floor",
        1.0 + np.exp(-20 * T),
        {"floor": 0.0},
        "plateaus",
        "the loss moved and stands at 1, with 50% of the way",
    ),
    ("level, scattering", 1.0 + np.exp(-20 * T) + 0.1 * NOISE, {}, "plateaus", "the loss moved and stands at"),
    (
        "level, gradient",
        1.0 + np.exp(-20 * T),
        {"grad_norms": 2 - T},
        "plateaus",
        "the loss moved and stands at 1, with gradients of 1.02 and more (2 at first)",
    ),
    (
        "level, gradients of mini-batches",
        1.0 + np.exp(-20 * T),
        {"grad_norms": np.abs(NOISE)},
        "good",
        "the loss fell from 2 to 1 and stands",
    ),
    ("up and down over the whole way", 1.0 + 0.4 * NOISE, {"floor": -1.5}, "plateaus", "the loss moved and stands at"),
    ("level, no gradient", 1.0 + np.exp(-20 * T), {"grad_norms": np.exp(-20 * T)}, "good", "the loss fell from 2 to 1 and stands"),
    ("level", 1.0 + np.exp(-20 * T), {}, "good", "the loss fell from 2 to 1 and stands (near the minimum, if no other rate goes lower)"),
    ("level at the floor", 1.0 + np.exp(-20 * T), {"floor": 1.0}, "good", "the loss fell from 2 to 1, 100% of the way to 1"),
    ("steadily", np.exp(-3 * T), {}, "good", "the loss fell from 1 to 0.0689"),
    ("with little scatter", 1.0 + np.exp(-10 * T) + 0.01 * NOISE, {}, "good", "the loss fell from"),
    ("straight", 3.0 - T, {}, "slow", "the loss still falls, at 2.108, and has come 45% of its way in the second half"),
    (
        "half of the way",
        np.exp(-0.8 * T),
        {"floor": 0.0},
        "slow",
        "the loss still falls, at 0.49, and has come 51% of the way to 0",
    ),
    ("as it was", np.full(60, 2.5), {}, "slow", "the loss hardly leaves 2.5, where it began: the learning rate is far too low"),
    ("hardly moving", 2.5 - 1e-4 * T, {"floor": 0.0}, "slow", "the loss hardly leaves 2.5"),
    ("only scatter", 1.0 + 0.01 * NOISE, {}, "slow", "the loss hardly leaves"),
]


@pytest.mark.parametrize(("losses", "arguments", "regime", "words"), [row[1:] for row in MADE_UP], ids=[row[0] for row in MADE_UP])
@pytest.mark.parametrize(
    ("scale", "shift"), [(1.0, 0.0), (1000.0, 0.0), (1e-6, 0.0), (1.0, -7.0)], ids=["as is", "large", "small", "negative"]
)
def test_made_up(losses: Any, arguments: dict[str, Any], regime: str, words: str, scale: float, shift: float) -> None:
    """A regime does not depend on the unit of the loss, nor on where its zero is."""
    moved = dict(arguments)
    if "floor" in moved:
        moved["floor"] = moved["floor"] * scale + shift
    verdict = regime_of(losses * scale + shift, **moved)
    assert verdict.regime == regime, str(verdict)
    if (scale, shift) == (1.0, 0.0):
        assert verdict.cause.startswith(words)
        assert all(isinstance(value, float) for value in verdict.evidence.values())


def test_evidence_hand_computed() -> None:
    """10 losses from 10 down to 1: the end is the median of the last 3, the middle that of the 4th to the 6th."""
    evidence = regime_of(list(range(10, 0, -1)), floor=0.0).evidence
    assert evidence == {
        "first": 10.0, "end": 2.0, "best": 1.0, "floor": 0.0, "noise": 0.0, "progress": 0.8, "later": 4.0, "share": 0.5
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"losses": [1.0, 2.0, math.nan]}, "the loss is nan at step 2, after 2 (the first was 1): the learning rate is too high"),
        ({"losses": [math.inf]}, "the loss is inf from the first: of the data or the initial parameters, not of the learning rate"),
        (
            {"losses": [1.0, 1.0], "grad_norms": [3.0, math.inf]},
            "the norm of the gradient is inf at step 1, after 3 (the first was 3): the learning rate is too high",
        ),
        (
            {"losses": [1.0, 1.0], "param_norms": [3.0, 4.0, math.nan]},
            "the norm of the parameters is nan at step 2, after 4 (the first was 3): the learning rate is too high",
        ),
    ],
)
def test_what_is_not_finite(arguments: dict[str, Any], words: str) -> None:
    verdict = regime_of(**arguments)
    assert (verdict.regime, verdict.cause) == ("diverges", words)


def test_norms_that_grew_are_part_of_the_cause() -> None:
    verdict = regime_of(1.1**STEPS, grad_norms=[2.0, 30.0], param_norms=[4.0, 3.0])
    assert "; the norm of the gradient went from 2 to 30: the learning rate is far too high" in verdict.cause
    assert "parameters" not in verdict.cause
    assert verdict.evidence["last norm of the parameters"] == 3.0


@pytest.mark.parametrize("count", [8, 10, 15, 30, 100])
def test_noise_seldom_looks_like_more_than_it_is(count: int) -> None:
    """Of losses that only scatter hardly any are called an overshooting, however few there are; of such that descend and scatter none."""
    generator = np.random.default_rng(1)
    noise = generator.normal(size=(200, count))
    alone = [regime_of(1.0 + 0.1 * own).regime for own in noise]
    assert alone.count("slow") > 160
    assert alone.count("overshoots") < 20
    descending = [regime_of(np.exp(-10 * np.arange(count) / count) + 0.01 * own, floor=0.0).regime for own in noise]
    assert descending.count("good") > 195


@pytest.mark.parametrize(
    ("lr", "regime"),
    [(1e-4, "slow"), (0.01, "slow"), (0.3, "good"), (0.7, "good"), (1.01, "diverges"), (1.1, "diverges"), (50.0, "diverges")],
)
def test_gradient_descent_on_the_quadratic(lr: float, regime: str) -> None:
    assert regime_of(descend(fastopt.SGD, lr).losses, floor=0.0).regime == regime


@pytest.mark.parametrize(
    ("lr", "regime"), [(1e-3, "slow"), (0.05, "good"), (0.1, "overshoots"), (0.3, "overshoots"), (0.9, "overshoots"), (2.0, "diverges")]
)
def test_momentum_on_the_quadratic(lr: float, regime: str) -> None:
    """It runs past the minimum and back in waves, and in turns where its period is two steps."""
    verdict = regime_of(descend(fastopt.Momentum, lr).losses, floor=0.0)
    assert verdict.regime == regime
    if regime == "overshoots":
        assert (" in turns" if lr == 0.9 else " in waves") in verdict.cause


@pytest.mark.parametrize(("lr", "regime"), [(1e-3, "slow"), (0.05, "slow"), (0.3, "good"), (0.9, "good"), (10.0, "overshoots")])
def test_adam_on_the_quadratic(lr: float, regime: str) -> None:
    assert regime_of(descend(fastopt.Adam, lr).losses, floor=0.0).regime == regime


def test_the_four_regimes_of_a_softmax_on_digits() -> None:
    """The lectures' picture, with mini-batches of 16 and 10 epochs: very high, high, good and low."""
    rates = {1e-3: "slow", 0.5: "good", 2.0: "plateaus", 50.0: "diverges"}
    found = regimes_of({lr: train_softmax(lr, 16, 10) for lr in reversed(rates)})
    assert list(found) == sorted(rates)
    assert {lr: verdict.regime for lr, verdict in found.items()} == rates
    assert {*rates.values(), "overshoots"} == {*REGIMES}


def test_other_rates_tell_high_from_low() -> None:
    """Of three runs that end above the best one: below its rate they are slow, above it they plateau, whatever they look like alone."""
    falling, level, best = np.exp(-0.8 * T) + 0.5, 1.0 + np.exp(-20 * T), np.exp(-9 * T)
    found = regimes_of({1.0: best, 0.01: level, 0.1: falling, 10.0: falling, 100.0: level, 1000.0: [1.0, math.nan]})
    assert [verdict.regime for verdict in found.values()] == ["slow", "slow", "good", "plateaus", "plateaus", "diverges"]
    assert found[10.0].cause.endswith(", and lower at a lower rate, 1: the learning rate is too high to come nearer")
    assert found[0.01].cause == "the loss comes to 1, and lower at a higher rate, 1: the learning rate is too low"
    assert {verdict.regime for verdict in regimes_of({1.0: [math.nan], 2.0: [math.inf]}).values()} == {"diverges"}
    assert regimes_of({1.0: best}, floor=-5.0)[1.0].regime == "plateaus"


@pytest.mark.parametrize(
    ("losses", "arguments", "error", "words"),
    [
        ([1.0] * 7, {}, ValueError, r"^losses: expected at least 8 finite numbers, received 7$"),
        ([], {}, ValueError, r"^losses: expected at least 1 number, received 0$"),
        (3.0, {}, TypeError, r"^losses: expected a series of numbers, received 3\.0 \(float\)$"),
        (["a"] * 9, {}, TypeError, r"^losses: expected a series of numbers, received \['a', "),
        (
            [[1.0, 2.0]] * 9,
            {},
            ValueError,
            r"^losses: expected a series of one dimension, received an array of float64",
        ),
        ([1.0] * 9, {"floor": math.nan}, ValueError, r"^floor: expected .*, received nan$"),
        ([1.0] * 9, {"cosines": "x"}, TypeError, r"^cosines: expected a series of numbers, received 'x' \(str\)$"),
        ([1.0] * 9, {"grad_norms": []}, ValueError, r"^grad_norms: expected at least 1 number, received 0$"),
        ([1.0] * 9, {"param_norms": None, "grad_norms": {}}, ValueError, r"^grad_norms: expected at least 1 number, received 0$"),
    ],
)
def test_bad_arguments(losses: Any, arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        regime_of(losses, **arguments)


def test_bad_histories() -> None:
    for given in ({}, [1.0, 2.0]):
        with pytest.raises(TypeError, match=r"^histories: expected a mapping of learning rates to losses, received"):
            regimes_of(given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^histories: expected a finite number > 0, received 0\.0$"):
        regimes_of({0.0: [1.0] * 9})
    with pytest.raises(TypeError, match=r"^histories\[0\.5\]: expected a series of numbers, received 3 \(int\)$"):
        regimes_of({0.5: 3})
