"""Schedules beside torch's and optax's over 1,000 steps, in float64: the installed framework is the judge."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.schedules import (
    Chain,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSqrt,
    InverseTime,
    Linear,
    MultiStep,
    OneCycle,
    Piecewise,
    Plateau,
    Polynomial,
    Schedule,
    Staircase,
    StepDecay,
    Warmup,
)

STEPS, LR = 1000, 0.37


def assert_equal(ours: Any, theirs: Any) -> None:
    """To 1e-12; where a sum of two cancels, to some units in the last place of what is summed."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape == (STEPS,)
    distance = np.abs(ours - theirs) - 1e-12 * np.abs(theirs) - 1e-15 * np.abs(theirs).max()
    assert distance.max() <= 0.0, f"step {distance.argmax()}: {ours[distance.argmax()]}, theirs is {theirs[distance.argmax()]}"


def values(schedule: Schedule) -> list[float]:
    return [schedule(step) for step in range(STEPS)]


# ----------------------------------------------------------------------------------------------------------------- torch

TORCH: list[tuple[str, Callable[[Any, Any], Any], Schedule]] = [
    ("StepLR", lambda s, o: s.StepLR(o, 70, gamma=0.7), Staircase(LR, 70, 0.7)),
    ("StepLR, by default x 0.1", lambda s, o: s.StepLR(o, 300), StepDecay(LR, 300)),
    ("MultiStepLR", lambda s, o: s.MultiStepLR(o, [30, 60, 90], gamma=0.1), MultiStep(LR, (30, 60, 90))),
    ("ConstantLR", lambda s, o: s.ConstantLR(o, factor=0.3, total_iters=50), Chain((0.3 * LR, LR), (50,))),
    ("LinearLR", lambda s, o: s.LinearLR(o, 0.2, 0.9, total_iters=600), Linear(0.2 * LR, 600, 0.9 * LR)),
    ("ExponentialLR", lambda s, o: s.ExponentialLR(o, 0.995), Exponential(LR, 0.995)),
    ("PolynomialLR", lambda s, o: s.PolynomialLR(o, total_iters=800, power=2.5), Polynomial(LR, 800, 2.5)),
    ("PolynomialLR, a line", lambda s, o: s.PolynomialLR(o, total_iters=800), Polynomial(LR, 800)),
    ("LambdaLR, inverse time", lambda s, o: s.LambdaLR(o, lambda t: 1 / (1 + 0.3 * t)), InverseTime(LR, 0.3)),
    ("LambdaLR, inverse root", lambda s, o: s.LambdaLR(o, lambda t: 0.7 / (t + 1) ** 0.5), InverseSqrt(LR, 0.7)),
    *(
        (f"CosineAnnealingWarmRestarts, {growth}", lambda s, o, g=growth: s.CosineAnnealingWarmRestarts(o, 37, g, 0.01), schedule)
        for growth, schedule in (
            (1, CosineRestarts(LR, 37, end=0.01)),
            (2, CosineRestarts(LR, 37, 2, end=0.01)),
            (3, CosineRestarts(LR, 37, 3, 0.01)),
        )
    ),
    *(
        (
            f"OneCycleLR, {anneal}, rises in {rise}, three_phase={three}",
            lambda s, o, a=anneal, r=rise, t=three: s.OneCycleLR(
                o, LR, total_steps=STEPS, pct_start=r, anneal_strategy=a, div_factor=20.0, final_div_factor=300.0, three_phase=t
            ),
            OneCycle(LR, STEPS, rise, LR / 20.0, LR / 20.0 / 300.0, shape, three),
        )
        for anneal, shape in (("cos", "cosine"), ("linear", "linear"))
        for rise, three in ((0.3, False), (0.2345, False), (0.0, False), (0.3, True), (0.5, True))
    ),
    ("OneCycleLR, as it is by default", lambda s, o: s.OneCycleLR(o, LR, total_steps=STEPS), OneCycle(LR, STEPS)),
    (
        "SequentialLR",
        lambda s, o: s.SequentialLR(o, [s.ExponentialLR(o, 0.99), s.StepLR(o, 100, 0.5), s.ConstantLR(o, 0.1, 2000)], [200, 650]),
        Chain((Exponential(LR, 0.99), Staircase(LR, 100), 0.1 * LR), (200, 650)),
    ),
    (
        "SequentialLR, warm-up",
        lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.25, 1.0, 100), s.PolynomialLR(o, 900, 1.5)], [100]),
        Warmup(100, Polynomial(LR, 900, 1.5), start=0.25 * LR),
    ),
]


def torch_path(make: Callable[[Any, Any], Any], closed: bool = False, momentum: bool = False) -> list[float]:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=LR, momentum=0.5 if momentum else 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no step was made before, and of what SequentialLR does inside
        scheduler, found = make(torch.optim.lr_scheduler, optimizer), []
        for step in range(STEPS):
            found.append(scheduler._get_closed_form_lr()[0] if closed else optimizer.param_groups[0]["momentum" if momentum else "lr"])
            if step < STEPS - 1:
                scheduler.step()
    return found


@pytest.mark.parametrize(("make", "schedule"), [pytest.param(*rest, id=label) for label, *rest in TORCH])
def test_torch(make: Callable[[Any, Any], Any], schedule: Schedule) -> None:
    assert_equal(values(schedule), torch_path(make))


@pytest.mark.parametrize("steps", [130, 1000])
def test_torch_cosine_goes_up_again(steps: int) -> None:
    """Its closed form: the recursive one that it runs divides by what is nearly 0 at the turning points."""
    theirs = torch_path(lambda s, o: s.CosineAnnealingLR(o, steps, eta_min=0.002), closed=True)
    assert_equal(values(Cosine(LR, steps, end=0.002, swinging=True)), theirs)
    assert_equal(values(Cosine(LR, steps, end=0.002))[:steps] + theirs[steps:], theirs)


@pytest.mark.parametrize("anneal", ["cos", "linear"])
@pytest.mark.parametrize("three", [False, True])
def test_torch_one_cycle_of_the_momentum(anneal: str, three: bool) -> None:
    theirs = torch_path(
        lambda s, o: s.OneCycleLR(
            o, LR, total_steps=STEPS, anneal_strategy=anneal, base_momentum=0.81, max_momentum=0.93, three_phase=three
        ),
        momentum=True,
    )
    shape = {"cos": "cosine", "linear": "linear"}[anneal]
    assert_equal(values(OneCycle(0.81, STEPS, initial=0.93, end=0.93, shape=shape, three_phases=three)), theirs)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"factor": 0.7, "patience": 3, "threshold": 0.05, "cooldown": 4},
        {"factor": 0.5, "patience": 0, "threshold": 0.0, "cooldown": 1, "end": 0.02},
        {"factor": 0.5, "patience": 1, "threshold": 0.01, "end": 0.001, "eps": 0.004},
    ],
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_torch_plateau(mode: str, threshold_mode: str, options: dict[str, Any], sign: float) -> None:
    """Losses that wander, rest and are no numbers at times, of either sign."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rng = np.random.default_rng(len(options))
    losses = sign * (3.0 + np.cumsum(rng.standard_normal(STEPS)).round(1) * 0.1)
    losses[::97] = np.nan
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=LR)
    theirs = {"min_lr" if name == "end" else name: value for name, value in options.items()}
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, threshold_mode=threshold_mode, **theirs)
    schedule, ours, judged = Plateau(LR, mode=mode, threshold_mode=threshold_mode, **options), [], []
    for step, loss in enumerate(losses):
        ours.append(schedule(step))
        judged.append(optimizer.param_groups[0]["lr"])
        schedule = schedule.observe(loss)
        scheduler.step(loss)
    assert ours == judged
    assert len(set(ours)) > 1, "it was never reduced"


# ----------------------------------------------------------------------------------------------------------------- optax

OPTAX: list[tuple[str, Callable[[Any], Any], Schedule]] = [
    ("constant_schedule", lambda o: o.constant_schedule(LR), Constant(LR)),
    ("linear_schedule", lambda o: o.linear_schedule(LR, 0.01, 700), Linear(LR, 700, 0.01)),
    ("linear_schedule, begun later", lambda o: o.linear_schedule(LR, 0.9, 700, 50), Chain((LR, Linear(LR, 700, 0.9)), (50,))),
    ("polynomial_schedule", lambda o: o.polynomial_schedule(LR, 0.01, 2.5, 700), Polynomial(LR, 700, 2.5, 0.01)),
    ("exponential_decay", lambda o: o.exponential_decay(LR, 60, 0.7), Exponential(LR, 0.7, 60)),
    ("exponential_decay, staircase", lambda o: o.exponential_decay(LR, 60, 0.7, staircase=True), Exponential(LR, 0.7, 60, staircase=True)),
    ("exponential_decay, to an end", lambda o: o.exponential_decay(LR, 60, 0.7, end_value=0.1), Exponential(LR, 0.7, 60, end=0.1)),
    ("exponential_decay, upwards to an end", lambda o: o.exponential_decay(LR, 60, 1.1, end_value=1.0), Exponential(LR, 1.1, 60, end=1.0)),
    (
        "exponential_decay, begun later",
        lambda o: o.exponential_decay(LR, 60, 0.7, transition_begin=33),
        Chain((LR, Exponential(LR, 0.7, 60)), (33,)),
    ),
    ("cosine_decay_schedule", lambda o: o.cosine_decay_schedule(LR, 900), Cosine(LR, 900)),
    ("cosine_decay_schedule, alpha, exponent", lambda o: o.cosine_decay_schedule(LR, 900, 0.1, 1.7), Cosine(LR, 900, 0.1 * LR, 1.7)),
    (
        "warmup_cosine_decay_schedule",
        lambda o: o.warmup_cosine_decay_schedule(0.05, LR, 100, 900, 0.01, 1.3),
        Warmup(100, Cosine(LR, 800, 0.01, 1.3), start=0.05),
    ),
    (
        "warmup_exponential_decay_schedule",
        lambda o: o.warmup_exponential_decay_schedule(0.0, LR, 100, 60, 0.7),
        Warmup(100, Exponential(LR, 0.7, 60)),
    ),
    (
        "piecewise_constant_schedule",
        lambda o: o.piecewise_constant_schedule(LR, {30: 0.1, 60: 3.0, 500: 0.5}),
        MultiStep(LR, (30, 60, 500), (0.1, 3.0, 0.5)),
    ),
    *(
        (
            f"piecewise_interpolate_schedule, {shape}",
            lambda o, s=shape: o.piecewise_interpolate_schedule(s, LR, {200: 0.3, 450: 2.0, 900: 0.1}),
            Piecewise(((0, LR), (200, LR * 0.3), (450, LR * 0.6), (900, LR * 0.06)), shape),
        )
        for shape in ("linear", "cosine")
    ),
    (
        "cosine_onecycle_schedule",
        lambda o: o.cosine_onecycle_schedule(900, LR, 0.234, 20.0, 300.0),
        Piecewise(((0, LR / 20.0), (210, LR), (900, LR / 6000.0)), "cosine"),
    ),
    (
        "linear_onecycle_schedule",
        lambda o: o.linear_onecycle_schedule(900, LR, 0.3, 0.85, 20.0, 300.0),
        Piecewise(((0, LR / 20.0), (270, LR), (765, LR / 20.0), (900, LR / 6000.0))),
    ),
    (
        "sgdr_schedule",
        lambda o: o.sgdr_schedule(
            [
                {"init_value": 0.01, "peak_value": LR, "warmup_steps": 30, "decay_steps": 300, "end_value": 0.02},
                {"init_value": 0.02, "peak_value": LR / 2, "warmup_steps": 40, "decay_steps": 600, "end_value": 0.0},
            ]
        ),
        Chain((Warmup(30, Cosine(LR, 270, 0.02), 0.01), Warmup(40, Cosine(LR / 2, 560), 0.02)), (300,)),
    ),
    (
        "join_schedules",
        lambda o: o.join_schedules(
            [o.exponential_decay(LR, 60, 0.7), o.constant_schedule(0.1), o.linear_schedule(0.2, 0.1, 90)], [250, 400]
        ),
        Chain((Exponential(LR, 0.7, 60), 0.1, Linear(0.2, 90, 0.1)), (250, 400)),
    ),
]


@pytest.mark.parametrize(("make", "schedule"), [pytest.param(*rest, id=label) for label, *rest in OPTAX])
def test_optax(make: Callable[[Any], Any], schedule: Schedule) -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    optax = pytest.importorskip("optax", reason="optax is not installed")
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        theirs = np.asarray(jax.vmap(lambda count: jax.numpy.asarray(make(optax)(count), "float64"))(jax.numpy.arange(STEPS)))
        assert theirs.dtype == np.float64
    assert_equal(values(schedule), theirs)


# ----------------------------------------------------------------------------------------------------------------- Keras


@pytest.mark.parametrize("staircase", [False, True])
def test_inverse_time_as_keras_writes_it(staircase: bool) -> None:
    """It computes in float32, so its formula is what can be compared: initial / (1 + decay_rate * step / decay_steps)."""
    ours = values(InverseTime(LR, 0.7, 60, staircase))
    steps = np.arange(STEPS) / 60
    assert_equal(ours, LR / (1.0 + 0.7 * (np.floor(steps) if staircase else steps)))


def test_an_optimizer_follows_as_torch_does() -> None:
    """Both run: a one-cycle of learning rate and momentum, with Nesterov's momentum and a weight decay."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(33) + 3.0, rng.standard_normal((200, 33))
    p = torch.tensor(start)
    theirs = torch.optim.SGD([p], lr=LR, momentum=0.9, nesterov=True, weight_decay=0.03)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(theirs, 0.1, total_steps=200)
    own = start.copy()
    lr, momentum = OneCycle(0.1, 200), OneCycle(0.85, 200, initial=0.95, end=0.95)
    ours = fastopt.SGD(own, lr=lr, momentum=momentum, nesterov=True, weight_decay=0.03)
    for step, g in enumerate(gradients):
        p.grad = torch.tensor(g)
        theirs.step()
        ours.step(g)
        if step < 199:
            scheduler.step()
        distance = np.abs(own - p.numpy()) / np.maximum(np.abs(p.numpy()), 1e-2)
        assert distance.max() < 1e-12, step
