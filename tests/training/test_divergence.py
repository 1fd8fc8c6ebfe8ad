"""The watch over a run: each sign alone, none in runs that go well, and each in runs that really diverge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.training import Diverged, DivergenceDetector, Verdict
from fastopt.training.divergence import limit
from tests.training.models import digits, quadratic, softmax


def first_sign(losses: Sequence[float], **arguments: Any) -> tuple[int, Verdict] | None:
    detector = DivergenceDetector(**arguments)
    for step, loss in enumerate(losses):
        found = detector.check(loss)
        if found is not None:
            return step, found
    return None


def test_limit() -> None:
    assert limit(2.0, 1.0, 10.0) == 11.0
    assert limit(2.0, 0.0, 10.0) == 2.0
    assert limit(-1.0, -3.0, 2.0) == 3.0


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite(loss: float) -> None:
    found = first_sign([2.0, 1.5, 3.0, loss])
    assert found is not None
    step, verdict = found
    assert step == 3
    assert verdict.regime == "diverges"
    grown = "grown from 2: the learning rate is too high"
    assert verdict.cause == f"non-finite loss: {loss} at step 3, after 3, {grown} (the first was 2, the best 1.5)"
    assert verdict.evidence["last"] == 3.0


def test_a_loss_that_is_not_finite_from_the_first() -> None:
    found = first_sign([math.nan])
    assert found is not None
    assert (
        found[1].cause == "non-finite loss: nan at step 0, the first one: of the data or the initial parameters, not of the learning rate"
    )


@pytest.mark.parametrize(
    ("value", "dtype", "rest"), [(np.nan, np.float64, ""), (-np.inf, np.float16, "; float16 ends at 65504: scale the loss down")]
)
def test_a_gradient_that_is_not_finite(value: float, dtype: Any, rest: str) -> None:
    detector = DivergenceDetector()
    bad = np.array([[1.0, value]], dtype)
    assert detector.check(1.0, {"w": [np.ones(2), None], "b": np.ones(1)}) is None
    found = detector.check(1.0, {"w": [np.ones(2), bad], "b": np.ones(1)})
    assert found is not None
    assert found.cause == f"non-finite gradient: grads['w'][1] has {value} at step 1, where the loss is 1{rest}"


@pytest.mark.parametrize(
    ("losses", "factor", "step"),
    [
        ((2.0, 1.0, 10.9), 10.0, None),
        ((2.0, 1.0, 11.1), 10.0, 2),
        ((2.0, 21.9), 10.0, None),
        ((2.0, 22.1), 10.0, 1),
        # a best near 0: a tenth of the first counts
        ((2.0, 1e-9, 1.9), 10.0, None),
        ((2.0, 1e-9, 2.1), 10.0, 2),
        ((2.0, 1.0, 1.4), 0.5, None),
        ((2.0, 1.0, 1.6), 0.5, 2),
        ((-1.0, -3.0, 2.9), 2.0, None),
        ((-1.0, -3.0, 3.1), 2.0, 2),
    ],
)
def test_a_loss_beyond_the_best(losses: Sequence[float], factor: float, step: int | None) -> None:
    found = first_sign(losses, factor=factor)
    assert (found if found is None else found[0]) == step
    if found is not None:
        assert found[1].cause.startswith(f"loss beyond the best: {losses[-1]:g} at step {step}, where ")
        assert found[1].evidence["limit"] == limit(losses[0], min(losses), factor)


def test_growing_oscillation() -> None:
    losses = [1.0 + 0.1 * (-1.2) ** n for n in range(12)]
    found = first_sign(losses, window=6)
    assert found is not None
    step, verdict = found
    assert step == 6
    assert verdict.cause == (
        "growing oscillation: for 6 steps up and down in turns, each time by 1.2 times as much; the learning rate is too high"
    )
    assert verdict.evidence["growth"] == pytest.approx(1.2)
    assert first_sign(losses, window=None) is None
    assert first_sign([1.0 + 0.1 * (-0.99) ** n for n in range(50)]) is None


def test_growing_loss() -> None:
    losses = [1.0 + 0.001 * 1.5**n for n in range(9)]
    found = first_sign(losses, window=4)
    assert found is not None
    assert found[0] == 4
    assert found[1].cause == "growing loss: for 4 steps, each time by 1.5 times as much, and above the first; the learning rate is too high"
    # a straight line, and a rise below the first loss, as waves have, are no signs
    assert first_sign([1.0 + 0.25 * n for n in range(30)], window=4) is None
    assert first_sign([5.0, *losses], window=4) is None


@pytest.mark.parametrize(("sign", "crosses"), [(-1.0, True), (1.0, False)])
def test_growing_loss_with_gradients(sign: float, crosses: bool) -> None:
    """Only gradients that point against the last ones say that the minimum is crossed."""
    detector = DivergenceDetector(window=4)
    found = [detector.check(1.0 + 0.001 * 1.5**n, [np.array([2.0 * sign**n, 0.0]), None]) for n in range(5)]
    assert found[:4] == [None] * 4
    assert found[4] is not None
    assert ("overshooting" in found[4].cause) == crosses
    assert found[4].evidence.get("cosine") == (-1.0 if crosses else None)


def run_on_the_quadratic(lr: float, steps: int = 200, rule: Any = fastopt.SGD, **arguments: Any) -> Verdict | None:
    w = np.array([-7.0, 2.0])
    opt = rule(w, lr=lr, **arguments)
    detector = DivergenceDetector()
    for _ in range(steps):
        loss, gradient = quadratic(w)
        found = detector.check(loss, gradient)
        if found is not None:
            return found
        opt.step(gradient)
    return None


@pytest.mark.parametrize("lr", [0.01, 0.5, 0.99])
def test_descent_below_2_over_the_curvature_goes_well(lr: float) -> None:
    assert run_on_the_quadratic(lr) is None


def test_descent_above_it_overshoots_and_that_is_named() -> None:
    """1.02 is 2 % above 2 / 2: the loss grows slowly, long before it is beyond any factor; 1.3 leaves the limit at once."""
    found = run_on_the_quadratic(1.02)
    assert found is not None
    assert found.cause.startswith("growing loss: for 8 steps, each time by 1.35 times as much, and above the first; gradients")
    assert "it crosses the minimum and lands beyond (overshooting); the learning rate is too high" in found.cause
    assert found.evidence["cosine"] < -0.5
    assert found.evidence["loss"] < 20.0
    beyond = run_on_the_quadratic(1.3)
    assert beyond is not None
    assert beyond.cause.startswith("loss beyond the best: ")


@pytest.mark.parametrize(("rule", "lr"), [(fastopt.Momentum, 0.001), (fastopt.Momentum, 0.5), (fastopt.Adam, 0.3), (fastopt.Adam, 2.0)])
def test_waves_are_no_divergence(rule: Any, lr: float) -> None:
    """A momentum runs past the minimum and the loss rises for many steps, but comes back."""
    assert run_on_the_quadratic(lr, rule=rule) is None
    if rule is fastopt.Momentum:
        assert run_on_the_quadratic(lr, steps=1000, rule=rule, momentum=0.99) is None


def test_mini_batches_are_no_divergence() -> None:
    """Losses of single mini-batches of 16 digits, which scatter, at a good rate."""
    x, labels = digits()
    w = np.zeros((x.shape[1], 10))
    opt = fastopt.SGD(w, lr=0.5)
    detector = DivergenceDetector(raises=True)
    for start in range(0, 1600, 16):
        loss, gradient = softmax(w, x[start : start + 16], labels[start : start + 16])
        detector.check(loss, gradient)
        opt.step(gradient)


def test_noise_is_no_divergence() -> None:
    assert first_sign(np.random.default_rng(0).normal(5.0, 1.0, 3_000).tolist()) is None


def test_raising() -> None:
    detector = DivergenceDetector(raises=True)
    detector.check(1.0)
    with pytest.raises(Diverged, match=r"^diverges: non-finite loss: nan at step 1") as caught:
        detector.check(math.nan)
    assert caught.value.verdict.evidence["step"] == 1.0


def test_going_on() -> None:
    """One that takes over the state finds what the other one finds, at the same step."""
    losses = [5.0, *(1.0 + 0.1 * (-1.2) ** n for n in range(12))]
    whole = first_sign(losses)
    first, second = DivergenceDetector(), DivergenceDetector()
    assert [first.check(loss) for loss in losses[:7]] == [None] * 7
    second.load_state_dict(first.state_dict())
    found = [second.check(loss) for loss in losses[7:]]
    assert whole is not None
    assert found[whole[0] - 7] == whole[1]
    assert found[: whole[0] - 7] == [None] * (whole[0] - 7)
    assert first.state_dict()["observed"] == 7


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"more": 1}, ValueError, r"^state_dict: expected a mapping with observed, first, best, recent, cosines; received \["),
        ({"observed": -1}, ValueError, r"^state_dict\['observed'\]: expected an integer >= 0"),
        ({"best": None}, TypeError, r"^state_dict\['best'\]: expected a number, received None$"),
        ({"recent": 3}, TypeError, r"^state_dict\['recent'\]: expected a series of numbers, received 3 \(int\)$"),
    ],
)
def test_states_that_do_not_fit(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    detector = DivergenceDetector()
    detector.check(1.0)
    before = detector.state_dict()
    with pytest.raises(error, match=words):
        detector.load_state_dict({**before, **changes})
    assert detector.state_dict() == before


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"factor": 0.0}, ValueError, r"^factor: expected a finite number > 0, received 0\.0$"),
        ({"factor": "x"}, TypeError, r"^factor: expected a finite number > 0, received 'x' \(str\)$"),
        ({"window": 2}, ValueError, r"^window: expected an integer >= 3, received 2$"),
        ({"raises": 1}, TypeError, r"^raises: expected True or False"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        DivergenceDetector(**arguments)


def test_bad_calls() -> None:
    detector = DivergenceDetector()
    with pytest.raises(TypeError, match=r"^loss: expected a number, received None$"):
        detector.check(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^grads\[1\]: expected a NumPy array of .*, or None; received an array of int64"):
        detector.check(1.0, [np.ones(1), np.ones(1, int)])
    assert detector.state_dict()["observed"] == 0
