"""The range test: which rates, when it ends, what it suggests, and that everything is as it was afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.training import Batches, RangeTest, learning_rate_range_test, smoothed
from tests.training.models import digits, quadratic, softmax, train_softmax


def valley(lr: float) -> float:
    """Falls from 3 to 1 around a rate of 1e-2, and rises steeply from 1 on."""
    x = math.log10(lr)
    return 2.0 - math.tanh(2.0 * (x + 2.0)) + 10.0 ** (2.0 * x - 1.0)


def test_rates_and_losses() -> None:
    asked: list[float] = []

    def step(lr: float) -> float:
        asked.append(lr)
        return 5.0 - len(asked) / 10

    found = learning_rate_range_test(step, 1e-3, 1e3, 7)
    assert asked == pytest.approx([1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3], rel=1e-12)
    assert found.rates.tolist() == asked
    assert found.losses == pytest.approx([4.9, 4.8, 4.7, 4.6, 4.5, 4.4, 4.3])
    assert found.smoothed.tolist() == smoothed(found.losses, 0.9).tolist()
    assert found.beta == 0.9
    assert found.stopped is None
    assert found.minimum == pytest.approx(1e3)


def test_suggestions_on_a_known_valley() -> None:
    """The steepest place is at 1e-2; the minimum, where the rise begins to outweigh the fall, is near 0.15."""
    found = learning_rate_range_test(valley, 1e-6, 100.0, 161, beta=0.5)
    assert found.steepest == pytest.approx(1e-2, rel=0.15)
    assert found.minimum is not None
    assert 0.05 < found.minimum < 0.3
    assert found.tenth_of_minimum == found.minimum / 10.0
    assert found.suggestion == min(found.steepest or 1.0, found.minimum / 10.0)
    assert found.stopped is not None
    assert found.stopped.cause.startswith("loss beyond the best: ")
    assert found.rates[-1] < 100.0


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.8, 0.9])
def test_the_average_does_not_shift_the_suggestion(beta: float) -> None:
    """Of 0.9 it lags by nine steps, in each of which the rate grows by 12 %: by a factor of 2.8 that is not there."""
    found = learning_rate_range_test(valley, 1e-6, 100.0, 161, beta=beta)
    assert found.steepest == pytest.approx(1e-2, rel=0.3)


def test_noise_moves_the_suggestion_little() -> None:
    generator = np.random.default_rng(0)
    found = learning_rate_range_test(lambda lr: valley(lr) + 0.05 * generator.normal(), 1e-6, 100.0, 161)
    assert found.steepest is not None
    assert 4e-3 < found.steepest < 2.5e-2


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_it_ends_where_a_loss_is_not_finite(loss: float) -> None:
    losses = iter([3.0, 2.5, 2.0, 1.5, 1.0, loss])
    found = learning_rate_range_test(lambda lr: next(losses), steps=20)
    assert found.losses.tolist() == [3.0, 2.5, 2.0, 1.5, 1.0]
    assert len(found.rates) == len(found.smoothed) == 5
    assert found.stopped is not None
    assert found.stopped.cause.startswith(f"non-finite loss: {loss} at step 5")


def test_the_stop_factor() -> None:
    losses = [1.0] * 10 + [2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
    for factor, made in ((4.0, 13), (40.0, 16)):
        rest = iter(losses)
        assert len(learning_rate_range_test(lambda lr, rest=rest: next(rest), steps=16, beta=0.0, stop_factor=factor).losses) == made


def test_nothing_is_suggested_where_nothing_fell() -> None:
    for losses in ([math.nan], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3.0, 2.0, math.nan]):
        rest = iter(losses)
        found = learning_rate_range_test(lambda lr, rest=rest: next(rest), steps=6)
        assert (found.minimum, found.tenth_of_minimum, found.steepest, found.suggestion) == (None, None, None, None)


def steps_on_digits(opt: Any, w: Any, batch_size: int = 64) -> Callable[[float], float]:
    x, labels = digits()
    drawn = (batch for epoch in range(100) for batch in Batches(x, labels, batch_size=batch_size).epoch(epoch))

    def step(lr: float) -> float:
        opt.lr = lr
        loss, gradient = softmax(w, *next(drawn))
        opt.step(gradient)
        return loss

    return step


@pytest.mark.parametrize(("make", "low", "high"), [(fastopt.SGD, 0.02, 5.0), (fastopt.Adam, 5e-4, 0.5)])
def test_on_digits(make: Any, low: float, high: float) -> None:
    """What it suggests lies among the rates that train well, and everything is as it was before: parameters, states, count and rate."""
    w = np.zeros((65, 10))
    opt = make(w, lr=0.125)
    opt.step(np.ones_like(w))
    before, state = w.copy(), opt.state_dict()
    found = learning_rate_range_test(steps_on_digits(opt, w), 1e-5, 1e3, optimizer=opt)
    assert found.suggestion is not None
    assert low < found.suggestion < high
    assert np.array_equal(w, before)
    assert (opt.lr, opt.steps) == (0.125, 1)
    again = opt.state_dict()
    assert all(np.array_equal(again["state"][name], state["state"][name]) for name in state["state"])


def test_the_suggestion_trains() -> None:
    w = np.zeros((65, 10))
    opt = fastopt.SGD(w, lr=1.0)
    found = learning_rate_range_test(steps_on_digits(opt, w), 1e-5, 1e3, optimizer=opt)
    assert found.suggestion is not None
    losses = [train_softmax(lr, 64, 2)[-1] for lr in (found.suggestion, found.suggestion / 100.0)]
    assert losses[0] < 1.7
    assert losses[0] < losses[1] - 0.3


def test_without_an_optimizer_nothing_is_put_back() -> None:
    w = np.array([-7.0, 2.0])
    opt = fastopt.SGD(w, lr=1.0)

    def step(lr: float) -> float:
        opt.lr = lr
        loss, gradient = quadratic(w)
        opt.step(gradient)
        return loss

    learning_rate_range_test(step, 1e-3, 1.0, 10)
    assert opt.steps == 10
    assert opt.lr == pytest.approx(1.0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_everything_is_put_back_after_an_error_too(error: type[BaseException]) -> None:
    w = np.array([-7.0, 2.0])
    opt = fastopt.Momentum(w, lr=0.5)

    def step(lr: float) -> float:
        opt.lr = lr
        opt.step(quadratic(w)[1])
        if opt.steps == 3:
            raise error
        return 1.0

    with pytest.raises(error):
        learning_rate_range_test(step, optimizer=opt)
    assert w.tolist() == [-7.0, 2.0]
    assert (opt.lr, opt.steps) == (0.5, 0)


def test_plot() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    found = learning_rate_range_test(valley, 1e-6, 100.0, 41)
    ax = found.plot()
    assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "learning rate", "loss")
    labels = [line.get_label() for line in ax.get_lines()]
    assert labels == ["loss", "smoothed", f"steepest: {found.steepest:.2g}", f"minimum / 10: {found.tenth_of_minimum:.2g}"]
    assert found.plot(ax) is ax
    flat = RangeTest(np.array([1.0]), np.array([1.0]), np.array([1.0]), 0.9, None).plot()
    assert len(flat.get_lines()) == 2


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"step": 3}, TypeError, r"^step: expected a function of a learning rate, received 3 \(int\)$"),
        ({"low": 0.0}, ValueError, r"^low: expected a finite number > 0, received 0\.0$"),
        ({"low": 1.0, "high": 1.0}, ValueError, r"^high: expected a finite number > 1, received 1\.0$"),
        ({"high": math.inf}, ValueError, r"^high: expected .*, received inf$"),
        ({"steps": 4}, ValueError, r"^steps: expected an integer >= 5, received 4$"),
        ({"beta": 1.0}, ValueError, r"^beta: expected a number in \[0, 1\), received 1\.0$"),
        ({"stop_factor": 0}, ValueError, r"^stop_factor: expected a finite number > 0, received 0\.0$"),
        ({"optimizer": "adam"}, TypeError, r"^optimizer: expected an optimizer, or arrays in a structure; received 'adam' \(str\)$"),
        ({"progress": 1}, TypeError, r"^show: expected True or False, received 1 \(int\)$"),
        ({"step": lambda lr: None}, TypeError, r"^step: expected a number, received None$"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    arguments: dict[str, Any] = {"step": lambda lr: lr, **changes}
    with pytest.raises(error, match=words):
        learning_rate_range_test(arguments.pop("step"), **arguments)
