"""What the source lectures name, computed by the calls of docs/lectures.md, beside the lectures' own numbers or small ones by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.schedules import ByEpoch, Cosine, Exponential, InverseSqrt, InverseTime, Linear, MultiStep, Schedule, Staircase, Warmup
from fastopt.training import Batches, ExponentialAverage, LogUniform, OneMinusLogUniform

Array = np.ndarray[Any, Any]
X = np.array([1.0, 2.0, 3.0, 4.0])


def walk(opt: fastopt.Optimizer, w: Array, *gradients: float) -> list[float]:
    """Where a single parameter stands after each step."""
    path = []
    for g in gradients:
        opt.step(np.array([g]))
        path.append(float(w[0]))
    return path


@pytest.mark.parametrize(("size", "steps", "left"), [(4, 1, 17 / 32), (2, 2, 27 / 32 * 7 / 32), (1, 4, 0.0)], ids=["batch", "mini", "one"])
def test_batch_mini_batch_and_stochastic_gradient_descent(size: int, steps: int, left: float) -> None:
    """J = mean((w x - y)^2) / 2 with y = 2 x: each step at 1/16 leaves 1 - mean(x^2) / 16 of the error, which is 2 at first."""
    w, y = np.zeros(1), 2.0 * X
    opt = fastopt.SGD(w, lr=1 / 16)
    for some, theirs in Batches(X, y, batch_size=size, shuffle=False).epoch(0):
        opt.step(np.array([np.mean((w * some - theirs) * some)]))
    assert (opt.steps, 2.0 - w[0]) == (steps, 2.0 * left)


def test_five_million_samples_are_five_thousand_mini_batches_of_a_thousand() -> None:
    assert len(Batches(np.zeros(5_000_000, np.int8), batch_size=1_000)) == 5_000


@pytest.mark.parametrize(
    ("beta", "plain", "corrected"),
    [
        (0.5, (20.0, 34.5), (40.0, 34.5 / 0.75)),
        (0.9, (4.0, 0.09 * 40 + 0.1 * 49), (40.0, 8.5 / 0.19)),
        (0.98, (0.8, 0.0196 * 40 + 0.02 * 49), (40.0, 1.764 / 0.0396)),
    ],
)
def test_exponentially_weighted_averages(beta: float, plain: tuple[float, ...], corrected: tuple[float, ...]) -> None:
    """Temperatures of 40 and 49: v = beta v + (1 - beta) theta from 0 on, and v / (1 - beta^t)."""
    for correction, expected in ((False, plain), (True, corrected)):
        average = ExponentialAverage(beta, bias_correction=correction)
        assert [average.update(theta).value for theta in (40.0, 49.0)] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # v = 1, W = 1 - 1/4 * 1;        v = 1/2 - 2, W = 3/4 + 1/4 * 3/2
        ({"form": "averaged"}, [0.75, 1.125]),
        # v = -1/2, W = 1 - 1/2;         v = -1/4 + 1, W = 1/2 + 3/4
        ({"form": "velocity"}, [0.5, 1.25]),
        # W = 1 + 1/2 (-1/2) - 1/2;      W = 1/4 + 1/2 * 3/4 + 1
        ({"form": "velocity", "nesterov": True}, [0.25, 1.625]),
    ],
    ids=["averaged", "velocity", "nesterov"],
)
def test_momentum_in_its_forms(options: dict[str, Any], expected: list[float]) -> None:
    w = np.ones(1)
    assert walk(fastopt.Momentum(w, lr=0.25, momentum=0.5, **options), w, 2.0, -4.0) == expected


def test_adagrad() -> None:
    """Sums of squares of 9 and 25, from 0 on, and 1e-7 beside the root."""
    w = np.ones(1)
    first = 1.0 - 0.5 * 3.0 / (3.0 + 1e-7)
    expected = [first, first - 0.5 * 4.0 / (5.0 + 1e-7)]
    assert walk(fastopt.AdaGrad(w, lr=0.5, convention="textbook"), w, 3.0, 4.0) == pytest.approx(expected, rel=1e-15)


def test_rmsprop_has_eps_inside_the_root() -> None:
    """Of a gradient of 1e-5, 0.1 g^2 = 1e-11 is little beside 1e-8: the step is 0.1 lr. Outside, where torch has eps, it is 3.2 lr."""
    w = np.ones(1)
    opt = fastopt.RMSProp(w, lr=0.5, convention="textbook")
    assert (opt.alpha, opt.eps) == (0.9, 1e-8)
    assert walk(opt, w, 1e-5) == pytest.approx([1.0 - 0.5 * 1e-5 / math.sqrt(1e-11 + 1e-8)], rel=1e-15)
    outside = np.ones(1)
    assert walk(fastopt.RMSProp(outside, lr=0.5, alpha=0.9), outside, 1e-5)[0] < 1.0 - 0.5 * 3.1


def test_adam_with_its_defaults() -> None:
    """With g = 1e-4, v / c2 = 1e-8 is as large as eps; then -g: m = (0.09 - 0.1) g, c1 = 0.19, and v / c2 is what it was."""
    w = np.ones(1)
    opt = fastopt.Adam(w, lr=0.5, convention="textbook")
    first = 1.0 - 0.5 / math.sqrt(2.0)
    assert walk(opt, w, 1e-4, -1e-4) == pytest.approx([first, first + 0.5 * (0.01 / 0.19) / math.sqrt(2.0)], rel=1e-13)
    assert (opt.betas, fastopt.Adam(np.ones(1)).betas) == ((0.9, 0.999),) * 2
    beside = np.ones(1)
    torchs = fastopt.Adam(beside, lr=0.5)
    assert (torchs.eps, torchs.eps_root) == (1e-8, 0.0)
    assert walk(torchs, beside, 1e-4) == pytest.approx([1.0 - 0.5 / (1.0 + 1e-4)], rel=1e-13)


def test_nadam() -> None:
    """First the momentum that does not grow: m = 3, 1/2 m / (1 - 1/4) + 1/2 g / (1/2) = 8, root of v / c2 = 6. Then Dozat's, which does."""
    w = np.array([10.0])
    assert walk(fastopt.NAdam(w, lr=0.5, betas=(0.5, 0.75), eps=2.0, momentum_decay=math.inf), w, 6.0) == [10.0 - 0.5 * 8.0 / 8.0]
    w = np.zeros(1)
    mu = [0.9 * (1.0 - 0.5 * 0.96 ** (0.004 * t)) for t in (1, 2)]
    expected = -0.5 * (1.0 + 0.1 * mu[1] / (1.0 - mu[0] * mu[1])) / (1.0 + 1e-8)
    assert walk(fastopt.NAdam(w, lr=0.5), w, 1.0) == pytest.approx([expected], rel=1e-14)


DECAYS: list[tuple[Schedule, Callable[[int], float]]] = [
    (InverseTime(0.2, decay=1.0), lambda t: 0.2 / (1.0 + t)),
    (Exponential(0.2, 0.95), lambda t: 0.95**t * 0.2),
    (InverseSqrt(0.2, k=1.5), lambda t: 1.5 / math.sqrt(t + 1) * 0.2),
    (Staircase(0.2, every=10), lambda t: 0.2 * 0.5 ** (t // 10)),
    (MultiStep(0.2, (30, 60, 90)), lambda t: 0.2 * (1.0, 0.1, 0.01, 0.001)[min(t // 30, 3)]),
    (Cosine(0.2, steps=100), lambda t: 0.5 * 0.2 * (1.0 + math.cos(math.pi * t / 100))),
    (Linear(0.2, steps=100), lambda t: 0.2 * (1.0 - t / 100)),
    (InverseSqrt(0.2), lambda t: 0.2 / math.sqrt(t + 1)),
]


@pytest.mark.parametrize(("schedule", "formula"), DECAYS, ids=lambda value: repr(value) if isinstance(value, Schedule) else "")
def test_each_decay_by_the_batch_by_the_epoch_and_after_a_warm_up(schedule: Schedule, formula: Callable[[int], float]) -> None:
    by_epoch, warm = ByEpoch(schedule, 3), Warmup(50, schedule)
    for t in range(101):
        assert schedule(t) == pytest.approx(formula(t), rel=1e-14, abs=1e-17)
        assert [by_epoch(3 * t + batch) for batch in range(3)] == [schedule(t)] * 3
        assert warm(50 + t) == schedule(t)
    assert [warm(t) for t in (0, 10, 25)] == pytest.approx([0.0, 0.2 * formula(0), 0.5 * formula(0)], rel=1e-14)


@pytest.mark.parametrize(
    ("schedule", "table"),
    [
        (ByEpoch(InverseTime(0.2, decay=1.0), 3, first=1), {1: 0.1, 2: 0.067, 3: 0.05, 4: 0.04}),
        (ByEpoch(Exponential(0.2, 0.95), 3, first=1), {1: 0.19, 2: 0.1805, 3: 0.171475}),
        (ByEpoch(InverseSqrt(0.2, k=1.0), 3), {1: 0.2, 2: 0.141, 4: 0.1, 16: 0.05}),
        (ByEpoch(Staircase(0.2, every=10), 3), {1: 0.2, 10: 0.2, 11: 0.1, 21: 0.05}),
        (ByEpoch(MultiStep(0.2, (30, 60, 90)), 3), {30: 0.2, 31: 0.02, 61: 0.002}),
    ],
    ids=repr,
)
def test_the_rate_in_epochs_counted_from_one(schedule: Schedule, table: dict[int, float]) -> None:
    """As an optimizer uses it: w falls by the rate where the gradient is 1."""
    w = np.zeros(1)
    opt = fastopt.SGD(w, lr=schedule)
    falls = -np.diff([0.0, *walk(opt, w, *[1.0] * (3 * max(table)))])
    for epoch, rate in table.items():
        assert falls[3 * (epoch - 1) : 3 * epoch] == pytest.approx([rate] * 3, abs=5e-4 if rate > 0.01 else 1e-12)


def test_weight_decay() -> None:
    """W = 2, rate 1/2, decay 1/4, gradient 1: W - 1/2 (1 + 1/2); decoupled (1 - 1/8) W first. Adam's two differ in more than the order."""
    for options in ({}, {"decoupled_weight_decay": True}):
        w = np.array([2.0])
        assert walk(fastopt.SGD(w, lr=0.5, weight_decay=0.25, **options), w, 1.0) == [1.25]
    coupled, decoupled = np.array([2.0]), np.array([2.0])
    assert walk(fastopt.Adam(coupled, lr=0.5, weight_decay=0.25), coupled, 1.0) == pytest.approx([1.5], abs=1e-7)
    assert walk(fastopt.AdamW(decoupled, lr=0.5, weight_decay=0.25), decoupled, 1.0) == pytest.approx([1.25], abs=1e-7)


def test_learning_rates_and_betas_are_drawn_on_their_log_scales() -> None:
    """Of alpha = 10^(-4 u) a quarter of the draws lie in each power of ten; of 1 - beta = 10^(-1 - 2 u) half of them from 0.9 to 0.99."""
    generator = np.random.default_rng(0)
    rates = [LogUniform(1e-4, 1.0).rvs(random_state=generator) for _ in range(4_000)]
    counts = np.histogram(np.log10(rates), bins=4, range=(-4, 0))[0]
    assert counts.sum() == 4_000
    assert counts == pytest.approx([1_000] * 4, abs=100)
    betas = np.array([OneMinusLogUniform(0.9, 0.999).rvs(random_state=generator) for _ in range(4_000)])
    assert np.mean(betas < 0.99) == pytest.approx(0.5, abs=0.03)


def trajectory(make: Callable[[Array], fastopt.Optimizer]) -> Array:
    """Thirty steps on f(x, y) = x^2/20 + y^2, whose gradient is (x/10, 2 y), from (-7, 2)."""
    w = np.array([-7.0, 2.0])
    opt, path = make(w), [w.copy()]
    for _ in range(30):
        opt.step(w * (0.1, 2.0))
        path.append(w.copy())
    return np.array(path)


def test_trajectories_on_the_lectures_valley() -> None:
    sgd = trajectory(lambda w: fastopt.SGD(w, lr=0.95))
    momentum = trajectory(lambda w: fastopt.Momentum(w, lr=0.1, momentum=0.9, form="velocity"))
    adagrad = trajectory(lambda w: fastopt.AdaGrad(w, lr=1.5, convention="textbook"))
    adam = trajectory(lambda w: fastopt.Adam(w, lr=0.3))
    # each coordinate is multiplied by 1 - 0.95 times its curvature: y changes its sign at every step
    t = np.arange(31)
    np.testing.assert_allclose(sgd, np.stack([-7.0 * 0.905**t, 2.0 * (-0.9) ** t], axis=1), rtol=1e-12)
    # v = 0.1 (0.7, -4); then v = 0.9 v - 0.1 (-0.693, 3.2)
    np.testing.assert_allclose(momentum[1:3], [[-6.93, 1.6], [-6.7977, 0.92]], rtol=1e-14)
    # the first step is the rate in both coordinates, whatever the slopes
    np.testing.assert_allclose(adagrad[1], [-5.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(adam[1], [-6.7, 1.7], rtol=1e-6)
    # h = (0.7^2 + 0.55^2, 4^2 + 1^2)
    np.testing.assert_allclose(adagrad[2], [-5.5 + 1.5 * 0.55 / math.hypot(0.7, 0.55), 0.5 - 1.5 / math.hypot(4, 1)], rtol=1e-6)

    def turns(path: Array) -> int:
        """How often y goes over to the other side of the valley."""
        return int((path[1:, 1] * path[:-1, 1] < 0).sum())

    assert [turns(path) for path in (sgd, momentum, adagrad, adam)] == [30, 4, 0, 2]
    # momentum alone runs far past the minimum along the valley
    assert [path[:, 0].max() > 0.5 for path in (sgd, momentum, adagrad, adam)] == [False, True, False, False]
    assert all(path[-1] @ (path[-1] * (0.05, 1.0)) < 0.12 for path in (sgd, momentum, adagrad, adam))
