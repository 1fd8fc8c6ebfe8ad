"""Stages of a kernel as arguments: each is there where it is asked for, in every way to ask, and nowhere else."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.backends import cython_backend
from fastopt.crosscheck import STAGES
from fastopt.host.launched import launcher
from fastopt.rules.entry import RULES
from fastopt.schedules import Linear, Schedule
from fastopt.settings import Settings
from fastopt.slots import Slot
from fastopt.stages import COUPLED, PLAIN, Stages
from tests.conftest import needed
from tests.kernels import kernel
from tests.rules.hand_computed import BACKENDS

# ruff: noqa: ANN202  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"

TINY = float(np.finfo(np.float32).tiny)
EVERY = dict.fromkeys(Stages._fields[1:], True)


def test_names_tell_them_apart_and_what_is_compiled_ahead_has_none() -> None:
    every = [Stages(*(bool(n >> k & 1) for k in range(len(Stages._fields)))) for n in range(2 ** len(Stages._fields))]
    assert len({stages.suffix for stages in every}) == len(every)
    assert (PLAIN.suffix, COUPLED.suffix) == ("", "_l2")
    assert {own.stages for rule in RULES.values() for own in cython_backend.ahead(rule)} == {PLAIN, COUPLED}
    assert [stage for stage in every if stage == Settings(0.1, {}).stages] == [PLAIN]


def test_a_kernel_with_stages_is_compiled_with_the_decay_in_the_gradient_and_without() -> None:
    own = kernel("adam", False, **EVERY)
    assert own is not kernel("adam")
    assert cython_backend._at_once(own) == (own, kernel("adam", True, **EVERY))
    assert kernel("adam", True) in cython_backend._at_once(kernel("adam"))


def test_a_rule_that_keeps_no_state_has_none_to_flush() -> None:
    opt = fastopt.SGD(np.ones(3), 0.1, flush_denormals=True)
    assert opt.flush_denormals is True
    assert opt._kernels[0].stages == PLAIN
    opt.ema_decay = 0.5
    assert opt._kernels[0].stages == Stages(averaged=True, flushed=True)
    opt.ema_decay = None
    opt.momentum = 0.9
    assert opt._kernels[0].stages == Stages(flushed=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_they_come_and_go_between_steps(backend: str) -> None:
    """As by functions that are asked for the same at each step; states and counts go on."""
    needed(backend)
    p, own = np.array([1.0, -2.0], np.float32), [np.array([1.0, -2.0], np.float32), *np.zeros((2, 2), np.float32)]
    opt = fastopt.Adam(p, 0.1, backend=backend)
    changes: list[dict[str, Any]] = [
        {},
        {"flush_denormals": True},
        {"weight_decay": 0.1},
        {"flush_denormals": False, "clip_value": 2.5 * TINY},
        {"clip_value": TINY},
        {"weight_decay": 0.0, "clip_value": None},
    ]
    current: dict[str, Any] = {"lr": 0.1}
    for step, change in enumerate(changes, start=1):
        opt.configure(**change)
        current |= change
        g = np.array([step * TINY, 0.0], np.float32)
        opt.step(g)
        fastopt.functional.adam(own[0], g, *own[1:], step=step, backend=backend, **current)
        state = opt.state_dict()["state"]
        for a, b in zip((p, state["m"], state["v"]), own, strict=True):
            assert a.tobytes() == b.tobytes(), change
        if current.get("flush_denormals") and not current.get("weight_decay"):
            assert state["m"].tolist() == [0.0, 0.0]
    assert opt.steps == len(changes)


@pytest.mark.parametrize("backend", BACKENDS)
def test_groups_have_their_own(backend: str) -> None:
    needed(backend)
    a, b = np.zeros(2, np.float32), np.zeros(2, np.float32)
    opt = fastopt.Momentum([{"params": a}, {"params": b, "flush_denormals": True}], 0.1, backend=backend)
    g = np.full(2, TINY / 2, np.float32)
    for _ in range(2):
        opt.step([g, g])
    first, second = opt.state_dict()["state"]["b"]
    assert first.all()
    assert not second.any()
    assert [group.flush_denormals for group in opt.groups] == [False, True]
    opt.groups[0].flush_denormals = True
    opt.step([np.zeros(2, np.float32), g])
    assert not opt.state_dict()["state"]["b"][0].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_are_limited_as_by_torch(backend: str, dtype: Any) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    needed(backend)
    g = np.array([0.3, -0.3, 0.25, 7.0, -0.0, 0.0, -1e30, np.inf, -np.inf, np.nan, 0.1], dtype)
    p, own = (np.linspace(-1.0, 1.0, len(g)).astype(dtype) for _ in range(2))
    options: dict[str, Any] = {"weight_decay": 0.1, "backend": backend}
    limited, plain = fastopt.Adam(p, 0.1, clip_value=0.25, **options), fastopt.Adam(own, 0.1, **options)
    for step in range(3):
        tensor = torch.nn.Parameter(torch.zeros(len(g), dtype=torch.from_numpy(g).dtype))
        tensor.grad = torch.from_numpy(g * dtype(0.5 + step))
        limited.step(4 * tensor.grad.numpy(), grad_scale=4.0)  # what is scaled is limited after it was divided
        torch.nn.utils.clip_grad_value_([tensor], 0.25)
        plain.step(tensor.grad.numpy())
        assert p.tobytes() == own.tobytes()


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_rule_with_a_state_of_that_name_has_no_average(backend: str) -> None:
    needed(backend)

    @fastopt.rule(states=("ema",))
    def own_average(p, g, ema, lr):
        return p - lr * g, ema

    fastopt.Optimizer(np.ones(2), own_average, 0.1, backend=backend)
    with pytest.raises(ValueError, match=r"^rule 'own_average': the name 'ema' belongs to what stands around every rule; rename it$"):
        fastopt.Optimizer(np.ones(2), own_average, 0.1, ema_decay=0.5, backend=backend)


@pytest.mark.parametrize("backend", ["numpy", "numba"])  # compiled ahead or now, a kernel is called in one way
def test_functions_take_the_average_behind_the_states(backend: str) -> None:
    needed(backend)
    p, ema = np.ones(2, np.float32), np.full(2, 3.0, np.float32)
    fastopt.functional.momentum(p, np.ones(2, np.float32), np.zeros(2, np.float32), ema, step=1, lr=0.5, ema_decay=0.25, backend=backend)
    assert (p.tolist(), ema.tolist()) == ([0.5, 0.5], [0.25 * 3.0 + 0.75 * 0.5] * 2)
    b = np.zeros(2, np.float16)
    fastopt.functional.momentum(p, np.ones(2, np.float32), b, ema, step=2, lr=0.5, ema_decay=0.25, backend=backend)
    assert b.tolist() == [1.0, 1.0]
    with pytest.raises(TypeError, match=r"^ema: expected dtype float32 like p, received float16$"):
        fastopt.functional.sgd(p, np.ones(2, np.float32), b, step=1, lr=0.5, ema_decay=0.25, backend=backend)
    with pytest.raises(TypeError, match=r"^sgd: expected 3 arrays \(p, g, ema\), received 2$"):
        fastopt.functional.sgd(p, np.ones(2, np.float32), step=1, lr=0.5, ema_decay=0.25, backend=backend)
    with pytest.raises(TypeError, match=r"^sgd: expected 2 arrays \(p, g\), received 3$"):
        fastopt.functional.sgd(p, np.ones(2, np.float32), ema, step=1, lr=0.5, backend=backend)
    assert b.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_functions_take_each_alone(backend: str) -> None:
    needed(backend)
    p = np.zeros(2)
    fastopt.functional.sgd(p, np.array([3.0, -0.25]), step=1, lr=1.0, clip_value=0.5, backend=backend)
    assert p.tolist() == [-0.5, 0.25]
    b = np.zeros(2, np.float32)
    fastopt.functional.momentum(*np.zeros((2, 2), np.float32), b, step=1, lr=1.0, backend=backend)
    g = np.array([TINY / 2, TINY], np.float32)
    fastopt.functional.momentum(np.zeros(2, np.float32), g, b, step=1, lr=1.0, flush_denormals=True, backend=backend)
    assert b.tolist() == [0.0, TINY]


@pytest.mark.parametrize("backend", BACKENDS)
def test_elements_are_limited_after_what_the_norm_comes_to(backend: str) -> None:
    """The norm of (3, 4) is 5, and to clip it to 2.5 leaves (1.5, 2), of which 1.75 limits the second."""
    needed(backend)
    p = np.zeros(2)
    opt = fastopt.SGD(p, 1.0, max_norm=2.5, clip_value=1.75, backend=backend)
    opt.step(np.array([3.0, 4.0]))
    assert opt.grad_norm == 5.0
    assert p.tolist() == [-1.5, -1.75]


@pytest.mark.parametrize("backend", BACKENDS)
def test_numbers_follow_schedules(backend: str) -> None:
    needed(backend)
    p, own = np.zeros(3), np.zeros(3)
    scheduled = fastopt.Adam(p, 0.1, clip_value=Linear(2.0, 4, 0.5), backend=backend)
    by_hand = fastopt.Adam(own, 0.1, clip_value=1.0, backend=backend)
    for step in range(5):
        by_hand.clip_value = Linear(2.0, 4, 0.5).at(step)
        assert scheduled.clip_value == by_hand.clip_value
        for opt in (scheduled, by_hand):
            opt.step(np.array([0.25, 1.0, -3.0]))
        assert p.tobytes() == own.tobytes()
    scheduled.clip_value = None
    assert not scheduled.schedules
    assert scheduled._kernels[0].stages == PLAIN


def test_a_schedule_never_comes_to_none() -> None:
    @dataclass(frozen=True)
    class Ending(Schedule):
        """Nothing from the second step on."""

        def at(self, step: int) -> Any:
            return None if step else 1.0

    p = np.zeros(2)
    opt = fastopt.SGD(p, 0.5, clip_value=Ending())
    opt.step(np.ones(2))
    with pytest.raises(ValueError, match=r"^clip_value: expected None or a finite number >= 0 of its schedule .* \(received None\)$"):
        opt.step(np.ones(2))
    assert p.tolist() == [-0.5, -0.5]


@pytest.mark.parametrize("where", ["dictionary", "file", "copy", "pickle"])
def test_checkpoints_have_them(where: str, tmp_path: Path) -> None:
    p = np.ones(3, np.float32)
    opt = fastopt.Adam(p, 0.1, **STAGES, backend="numpy")
    opt.step(np.ones(3, np.float32))
    if where in ("copy", "pickle"):
        other: Any = copy.deepcopy(opt) if where == "copy" else pickle.loads(pickle.dumps(opt))
    else:
        # on from one that has the same states, and other arguments
        other = fastopt.Adam(p.copy(), 0.5, **{**STAGES, "flush_denormals": False, "clip_value": None, "ema_decay": 0.5}, backend="numpy")
        if where == "file":
            opt.save(tmp_path / "state")
            other.load(tmp_path / "state")
        else:
            other.load_state_dict(opt.state_dict())
    assert {name: getattr(other, name) for name in STAGES} == STAGES
    assert other._kernels == opt._kernels
    own, others = opt.state_dict()["state"], other.state_dict()["state"]
    assert all(own[name].tobytes() == others[name].tobytes() for name in own)


def test_what_was_saved_before_there_were_any_has_none() -> None:
    p = np.ones(3)
    saved = fastopt.Adam(p, 0.25).state_dict()
    for name in STAGES:
        del saved["groups"][0][name]
    opt = fastopt.Adam(p, 0.5, flush_denormals=True)
    opt.load_state_dict(saved)
    assert (opt.lr, opt.flush_denormals) == (0.25, False)
    del saved["groups"][0]["maximize"]
    with pytest.raises(ValueError, match=r"^state_dict\['groups'\]\[0\]: expected a mapping with "):
        opt.load_state_dict(saved)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rule", ["adam", "nadam"])
def test_one_call_still_makes_a_step(rule: str, backend: str) -> None:
    needed(backend)
    opt = fastopt.Optimizer(np.ones(3), rule, 0.1, **STAGES, backend=backend)
    assert (opt._turn.at_once is not None) == (backend != "numpy" and launcher() is not None)
    opt.step(np.ones(3))
    assert opt.steps == 1


def test_scalars_of_stages_do_not_stand_in_for_those_of_a_rule() -> None:
    """What comes behind the rule's would be taken for one that is missing."""
    entry = RULES["adam"]
    slot = Slot(entry, Settings(0.1, dict(entry.defaults), flush_denormals=True))
    assert len(slot.scalars()) == len(entry.scalar_names) + 3
    assert slot.scalars() == slot.scalars_once() == slot.ahead()[0] == slot.ahead_at(0.1)[0]
    assert slot.all_scalars(1.0, 1.0, False) == slot.settings.scalars(entry, 1, 1.0)

    @fastopt.rule(states=("m",), scalars=lambda step, lr: (lr,) if step < 3 else ())
    def shrinking(p, g, m, lr):
        return p - lr * g, m

    @fastopt.rule(states=("m",), memory={"seen": 0.0}, scalars=lambda step, lr, seen: ((lr,) if step < 3 else (), (seen + 1.0,)))
    def remembering(p, g, m, lr):
        return p - lr * g, m

    for rule in (shrinking, remembering):
        late = Slot(rule, Settings(0.1, {}, flush_denormals=True), steps=2)
        for asked in (late.scalars, late.scalars_once, late.ahead, lambda late=late: late.ahead_at(0.1)):
            with pytest.raises(ValueError, match=r"^scalars: expected 1 of the rule, received 0$"):
                asked()


def test_names_that_stages_take_are_refused_where_there_are_stages() -> None:
    @fastopt.rule(states=("m",))
    def with_a_taken_name(p, g, m, lr):
        smallest_normal = lr * g
        return p - smallest_normal, m

    fastopt.Optimizer(np.ones(2), with_a_taken_name, 0.1, backend="numba").step(np.ones(2))
    with pytest.raises(ValueError, match=r"^rule 'with_a_taken_name': the name 'smallest_normal' belongs to what stands around every rule"):
        fastopt.Optimizer(np.ones(2), with_a_taken_name, 0.1, flush_denormals=True, backend="numba")
