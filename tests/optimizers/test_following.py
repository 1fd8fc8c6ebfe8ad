"""An optimizer with schedules is one whose arguments are set by hand before each step: the same bits, also of a run that was resumed."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.schedules import (
    ByEpoch,
    Chain,
    Cosine,
    Exponential,
    InverseTime,
    Linear,
    OneCycle,
    Plateau,
    Schedule,
    Staircase,
    Warmup,
)
from tests.conftest import needed
from tests.schedules.test_schedule import EVERY

Array = np.ndarray[Any, Any]
BACKENDS = ("numpy", "numba", "cython")


def arrays(seed: int, dtype: Any = np.float32) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(n).astype(dtype) for n in (5, 0, 70)]


def everything(opt: fastopt.Optimizer) -> list[Any]:
    """Parameters, states and counts."""
    return [[p.tobytes() for p in opt._params], [state.tobytes() for own in opt._states for state in own], opt.steps]


# each argument that follows a schedule, and the class and options beside it
FOLLOWING: list[tuple[Callable[..., fastopt.Optimizer], dict[str, Any], dict[str, Any]]] = [
    (fastopt.SGD, {"lr": Cosine(0.1, 20)}, {}),
    (fastopt.Adam, {"lr": Warmup(3, InverseTime(0.1, 0.5))}, {"weight_decay": 0.1}),
    (fastopt.AdamW, {"lr": Cosine(0.1, 20)}, {}),
    (fastopt.Adam, {"lr": Cosine(0.1, 20)}, {"max_norm": 0.5}),
    (fastopt.Adam, {"lr": Cosine(0.1, 20)}, {"maximize": True}),
    (fastopt.NAdam, {"lr": Exponential(0.1, 0.9)}, {}),
    (
        fastopt.SGD,
        {"lr": OneCycle(0.1, 20), "momentum": OneCycle(0.85, 20, initial=0.95, end=0.95)},
        {"nesterov": True, "weight_decay": 0.1},
    ),
    (fastopt.Adam, {"betas": (Linear(0.5, 20, 0.9), 0.99), "eps": Staircase(1e-3, 5)}, {"lr": 0.05, "amsgrad": True}),
    (fastopt.Adam, {"betas": (Linear(0.5, 20, 0.9), Linear(0.8, 20, 0.99)), "lr": Cosine(0.1, 20)}, {"maximize": True}),
    (fastopt.Adam, {"weight_decay": Linear(0.1, 20)}, {"lr": 0.05}),
    (fastopt.Adam, {"weight_decay": Chain((0.0, 0.3, 0.0, Cosine(0.1, 20)), (3, 7, 12))}, {"lr": 0.05}),
    (fastopt.AdamW, {"weight_decay": Chain((0.0, 0.3, 0.0), (3, 7)), "lr": Cosine(0.1, 20)}, {"max_norm": 1.0}),
    (fastopt.NAdam, {"betas": (Linear(0.5, 20, 0.9), 0.99), "lr": ByEpoch(Staircase(0.1, 2), 4)}, {"nonfinite": "skip"}),
    (fastopt.RMSProp, {"alpha": Linear(0.9, 20, 0.99), "momentum": Linear(0.5, 20, 0.9)}, {"centered": True, "max_norm": 2.0}),
    (fastopt.AdaGrad, {"lr_decay": Linear(0.1, 20)}, {"initial_accumulator_value": 0.1}),
]


def now(scheduled: dict[str, Any], step: int) -> dict[str, Any]:
    return {
        name: tuple(part(step) if isinstance(part, Schedule) else part for part in given) if isinstance(given, tuple) else given(step)
        for name, given in scheduled.items()
    }


@pytest.mark.parametrize(("backend", "dtypes"), [*((backend, [np.float32]) for backend in BACKENDS), ("cython", [np.float32, np.float64])])
@pytest.mark.parametrize(("make", "scheduled", "options"), FOLLOWING)
def test_following_is_setting_by_hand(backend: str, dtypes: Any, make: Any, scheduled: dict[str, Any], options: dict[str, Any]) -> None:
    needed(backend)
    follows, by_hand = ([a for dtype in dtypes for a in arrays(0, dtype)] for _ in range(2))
    opt = make(follows, backend=backend, **scheduled, **options)
    hand = make(by_hand, backend=backend, **now(scheduled, 0), **options)
    for step in range(22):
        values = now(scheduled, step)
        hand.configure(**values)
        for name, value in values.items():
            assert getattr(opt, name) == value, "it reads as the next step will use it"
            assert getattr(opt.groups[0], name) == value
            assert name == "lr" or opt.hyperparameters[name] == value
        gradients = [a for dtype in dtypes for a in arrays(10 + step, dtype)]
        if step % 5 == 4:
            gradients[0] = None  # its own count stays behind; schedules go by the optimizer's
        scale = 2.0 if step % 3 == 1 else 1.0
        assert opt.step(gradients, grad_scale=scale) == hand.step(gradients, grad_scale=scale) is True
        assert everything(opt) == everything(hand)
    assert set(opt.schedules) == set(scheduled)


@pytest.mark.parametrize("backend", ["numpy", "cython"])
@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_a_run_that_was_resumed_in_the_middle_has_the_same_bits(backend: str, schedule: Schedule, tmp_path: Path) -> None:
    """Into an optimizer that knows of no schedule, out of a file; one goes for the learning rate, the weight decay and a beta."""
    needed(backend)
    pytest.importorskip("safetensors", reason="fastopt[checkpoints] is not installed")
    params, names = arrays(0), {"lr": schedule, "weight_decay": schedule, "betas": (schedule, 0.99)}
    opt = fastopt.Adam(params, backend=backend, **names)
    for step in range(9):
        opt.step(arrays(step))
        opt.observe(1.0 + step % 3)
    opt.save(tmp_path / "run")
    resumed = fastopt.Adam([p.copy() for p in params], backend=backend)
    resumed.load(tmp_path / "run")
    assert resumed.schedules == opt.schedules
    assert resumed.state_dict()["groups"] == opt.state_dict()["groups"]
    for step in range(9, 20):
        assert resumed.lr == opt.lr
        for each in (opt, resumed):
            each.step(arrays(step))
            each.observe(1.0 + step % 3)
    assert everything(resumed) == everything(opt)
    assert resumed.schedules == opt.schedules


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt))], ids=["copy", "deepcopy", "pickle"]
)
def test_copies_follow_too(copied: Callable[[Any], Any]) -> None:
    opt = fastopt.SGD(arrays(0), lr=Plateau(0.1, factor=0.5, patience=0), momentum=OneCycle(0.85, 20, initial=0.95, end=0.95))
    for step in range(4):
        opt.step(arrays(step))
        opt.observe(1.0)
    other = copied(opt)
    assert (other.lr, other.momentum, other.steps, other.schedules) == (opt.lr, opt.momentum, 4, opt.schedules)
    other.observe(1.0)
    assert (opt.lr, other.lr) == (0.1 / 8, 0.1 / 16)


def test_groups_follow_schedules_of_their_own() -> None:
    params, by_hand = arrays(0), arrays(0)
    first, second = Cosine(0.1, 20), Exponential(0.2, 0.9)
    opt = fastopt.Adam([{"params": params[:1]}, {"params": params[1:], "lr": second, "weight_decay": Linear(0.1, 20)}], lr=first)
    hand = fastopt.Adam([{"params": by_hand[:1]}, {"params": by_hand[1:]}])
    for step in range(10):
        hand.groups[0].lr = first(step)
        hand.groups[1].configure(lr=second(step), weight_decay=Linear(0.1, 20)(step))
        gradients = arrays(10 + step)
        for each in (opt, hand):
            each.step([gradients[:1], gradients[1:]])
    assert everything(opt) == everything(hand)
    assert [group.lr for group in opt.groups] == [first(10), second(10)]
    assert [set(group.schedules) for group in opt.groups] == [{"lr"}, {"lr", "weight_decay"}]
    with pytest.raises(AttributeError, match=r"^lr: the groups have different ones; see groups\[i\]\.lr$"):
        _ = opt.lr
    with pytest.raises(AttributeError, match=r"^weight_decay: the groups have different ones"):
        _ = opt.weight_decay
    assert "Cosine(0.1, 20)" in repr(opt.groups[0])
    named = fastopt.Adam({"w": params[0], "b": params[2]}, lr=first, groups={"b": {"lr": second}})
    assert [group.lr for group in named.groups] == [0.1, 0.2]


def test_a_group_that_is_added_goes_by_the_optimizers_count() -> None:
    opt = fastopt.Adam(arrays(0), lr=Linear(0.8, 8))
    for step in range(4):
        opt.step(arrays(step))
    opt.add_param_group({"params": [np.zeros(3, np.float32)]})
    opt.add_param_group({"params": [np.zeros(3, np.float32)], "lr": Linear(1.6, 8), "weight_decay": Linear(0.4, 8)})
    assert [group.lr for group in opt.groups] == [0.4, 0.4, 0.8]
    assert opt.groups[2].weight_decay == 0.2
    opt.step([arrays(9), [np.ones(3, np.float32)], [np.ones(3, np.float32)]])
    assert [group.lr for group in opt.groups] == pytest.approx([0.3, 0.3, 0.6])


def test_by_hand() -> None:
    """A number takes a schedule's place, and a schedule a number's, whichever way it is set."""
    opt = fastopt.SGD(arrays(0), lr=Cosine(0.1, 20), momentum=Linear(0.5, 20, 0.9), weight_decay=0.1)
    assert "lr=Cosine(0.1, 20)" in repr(opt)
    opt.step(arrays(1))
    opt.lr = 0.03
    assert (opt.lr, set(opt.schedules)) == (0.03, {"momentum"})
    opt.momentum = 0.7
    assert (opt.momentum, opt.schedules) == (0.7, {})
    opt.step(arrays(2))
    opt.lr = Linear(0.2, 4)
    assert (opt.lr, opt.schedules) == (0.1, {"lr": Linear(0.2, 4)})
    opt.configure(lr=0.25, weight_decay=Linear(0.4, 4))
    assert (opt.lr, opt.weight_decay, opt.schedules) == (0.25, 0.2, {"weight_decay": Linear(0.4, 4)})
    opt.groups[0].momentum = Linear(0.4, 4, 0.8)
    assert opt.momentum == pytest.approx(0.6)
    beside = fastopt.SGD([p.copy() for p in opt._params], lr=0.25, momentum=opt.momentum, weight_decay=opt.weight_decay)
    beside.load_state_dict({**opt.state_dict(), "groups": beside.state_dict()["groups"]})
    assert beside.schedules == {}
    for each in (opt, beside):
        each.step(arrays(3))
    assert everything(opt) == everything(beside)


def test_by_hand_in_the_midst_of_training() -> None:
    """The same bits as an optimizer that never had a schedule."""
    opt, never = fastopt.Adam(arrays(0), lr=Cosine(0.1, 20)), fastopt.Adam(arrays(0))
    for step in range(8):
        if step < 4:
            never.lr = Cosine(0.1, 20)(step)
        else:
            opt.lr = never.lr = 0.01 * step
        opt.step(arrays(step))
        never.step(arrays(step))
    assert everything(opt) == everything(never)
    assert opt.state_dict()["groups"] == never.state_dict()["groups"]


def test_what_is_saved_is_plain_and_what_was_saved_before_loads() -> None:
    opt = fastopt.Adam(arrays(0), lr=Cosine(0.1, 20), betas=(Linear(0.5, 20, 0.9), 0.99))
    (group,) = opt.state_dict()["groups"]
    assert group["lr"] == {"class": "Cosine", "initial": 0.1, "steps": 20, "end": 0.0, "power": 1.0, "swinging": False}
    assert group["betas"] == ({"class": "Linear", "initial": 0.5, "steps": 20, "end": 0.9}, 0.99)
    before = fastopt.Adam(arrays(0), lr=0.3).state_dict()
    opt.load_state_dict(before)
    assert (opt.lr, opt.betas, opt.schedules) == (0.3, (0.9, 0.999), {})
    for lr, error, message in (
        ({"class": "Sine"}, ValueError, r"^state_dict\['groups'\]\[0\]\['lr'\]: expected one of .*, received 'Sine'"),
        ({"class": "Cosine", "initial": 0.1, "steps": 0}, ValueError, r"^Cosine\.steps: expected an integer >= 1, received 0$"),
        ({"no": 1}, TypeError, r"^state_dict\['groups'\]\[0\]\['lr'\]: expected a mapping with the 'class'"),
    ):
        with pytest.raises(error, match=message):
            opt.load_state_dict({**before, "groups": [{**before["groups"][0], "lr": lr}]})
        assert opt.lr == 0.3


def test_momentum_from_0_keeps_its_buffer() -> None:
    """The form is chosen as for a momentum that is not 0, so b <- momentum b + g all the way."""
    w, g = np.zeros(3), np.array([1.0, 2.0, -4.0])
    opt = fastopt.SGD(w, lr=0.5, momentum=Chain((0.0, 0.5, 0.0, 0.25), (2, 3, 4)))
    assert (opt.rule.name, opt.momentum) == ("momentum", 0.0)
    b = np.zeros(3)
    expected = np.zeros(3)
    for momentum in (0.0, 0.0, 0.5, 0.0, 0.25, 0.25):
        assert opt.momentum == momentum
        opt.step(g)
        b = momentum * b + g
        expected -= 0.5 * b
        np.testing.assert_array_equal(w, expected)
    again = fastopt.SGD(w.copy(), momentum=0.5)
    again.load_state_dict(opt.state_dict())
    assert again.schedules == opt.schedules


def test_plateau() -> None:
    opt = fastopt.Adam([{"params": arrays(0)}, {"params": arrays(1), "lr": 0.3}], lr=Warmup(2, Plateau(0.8, factor=0.5, patience=0)))
    assert opt.observe(1.0) is True
    assert opt.observe(np.float32(1.0)) is True
    for step in range(3):
        assert opt.groups[0].lr == min(step, 2) * 0.2
        opt.step([arrays(step), arrays(step)])
    with pytest.raises(TypeError, match=r"^loss: expected a number, received None$"):
        opt.observe(None)
    kept = opt.state_dict()
    other = fastopt.Adam([{"params": arrays(0)}, {"params": arrays(1)}])
    other.load_state_dict(kept)
    other.observe(1.0)
    assert (opt.groups[0].lr, other.groups[0].lr, other.groups[1].lr) == (0.4, 0.2, 0.3)
    opt.lr = 0.1
    assert opt.observe(1.0) is False


@pytest.mark.parametrize("scheduled", [{"lr": Cosine(0.1, 4000)}, {"lr": Cosine(0.1, 4000), "weight_decay": Linear(0.1, 4000)}])
def test_threads_take_the_rate_of_the_step_they_make(scheduled: dict[str, Any]) -> None:
    """With one gradient for all steps the order of the threads' steps does not matter, but the rates do."""
    w, alone, g = np.zeros(3), np.zeros(3), np.ones(3)
    opt, one = fastopt.SGD(w, **scheduled), fastopt.SGD(alone, **scheduled)

    def work() -> None:
        for _ in range(400):
            opt.step(g)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(1600):
        one.step(g)
    assert opt.steps == 1600
    assert w.tobytes() == alone.tobytes()
