"""Slots: the scalars of a coming step, and what a rule remembers from step to step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.rules.entry import RULES, Rule
from fastopt.rules.family import Family
from fastopt.slots import Slot
from fastopt.uninterrupted import uninterrupted
from tests.conftest import needed

# ruff: noqa: ANN202  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"


def enter_accumulating() -> Rule:
    """Divides by the sum of all learning rates so far, which its scalars remember."""

    def scalars(step: int, lr: float, total: float, floor: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return (lr / (total + lr + floor),), (total + lr,)

    def reference(p: Any, g: Any, *, step: int, lr: float, floor: float, total: float) -> tuple[Any, ...]:
        return (p - lr / (total + lr + floor) * g,)

    @fastopt.rule(hyperparameters={"floor": 0.5}, scalars=scalars, memory={"total": 0.25}, reference=reference)
    def accumulating(p, g, rate):
        return (p - rate * g,)

    return accumulating


def settings(rule: Rule, **given: Any) -> Any:
    return Family.of(rule).settle(given).settings


def test_the_coming_step_is_the_next_one() -> None:
    rule = RULES["adam"]
    slot = Slot(rule, settings(rule, lr=0.1), steps=4)
    assert slot.scalars() == rule.scalars(5, 0.1, **rule.defaults)
    uninterrupted(slot.advancing())
    assert slot.scalars() == rule.scalars(6, 0.1, **rule.defaults)
    uninterrupted(slot.settings.learning_at(0.2))
    assert slot.scalars() == rule.scalars(6, 0.2, **rule.defaults)
    slot.settings = settings(rule, lr=0.2, eps=0.5)
    assert slot.scalars() == rule.scalars(6, 0.2, **{**rule.defaults, "eps": 0.5})


def test_memory_is_kept_when_a_step_is_counted_and_not_before() -> None:
    slot = Slot(enter_accumulating(), settings(enter_accumulating(), lr=0.5))
    for _ in range(3):
        assert slot.scalars() == (0.5 / 1.25,)
    assert slot.memory == (0.25,)
    uninterrupted(slot.advancing())
    assert slot.memory == (0.75,)
    apart = slot.apart()
    apart.scalars()
    uninterrupted(apart.advancing())
    assert (slot.memory, apart.memory) == ((0.75,), (1.25,))


def test_ahead_at_another_rate_than_the_settings() -> None:
    rule = RULES["adam"]
    slot = Slot(rule, settings(rule, lr=0.1), steps=4)
    assert slot.ahead_at(0.3) == (rule.scalars(5, 0.3, **rule.defaults), ())
    assert slot.scalars() == rule.scalars(5, 0.1, **rule.defaults)
    remembering = Slot(enter_accumulating(), settings(enter_accumulating(), lr=0.5))
    assert remembering.ahead_at(0.25) == ((0.25 / 1.0,), (0.5,))
    assert (remembering.memory, remembering.coming) == ((0.25,), (0.25,))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_optimizers_carry_it_for_each_parameter_and_checkpoints_keep_it(backend: str) -> None:
    needed(backend)
    rule = enter_accumulating()
    params = [np.zeros(3), np.zeros(2)]
    opt = fastopt.Optimizer(params, rule, 0.5, backend=backend)
    opt.step([np.ones(3), np.ones(2)])
    opt.step([np.ones(3), None])
    assert params[0].tolist() == [-(0.5 / 1.25) - 0.5 / 1.75] * 3
    assert params[1].tolist() == [-(0.5 / 1.25)] * 2
    saved = opt.state_dict()
    assert [slot["memory"] for slot in saved["slots"]] == [{"total": 1.25}, {"total": 0.75}]
    others = [p.copy() for p in params]
    other = fastopt.Optimizer(others, rule, 0.5, backend=backend)
    other.load_state_dict(saved)
    for own in (opt, other):
        own.step([np.ones(3), np.ones(2)])
    assert all((a == b).all() for a, b in zip(params, others, strict=True))


def test_a_function_answers_with_what_the_next_call_takes() -> None:
    rule = enter_accumulating()
    p, twin = np.zeros(3), np.zeros(3)
    opt = fastopt.Optimizer(twin, rule, 0.5, backend="numpy")
    memory: dict[str, float] = {}
    for step in (1, 2, 3):
        memory = fastopt.functional.accumulating(p, np.ones(3), step=step, lr=0.5, backend="numpy", **memory)
        opt.step(np.ones(3))
        assert p.tolist() == twin.tolist()
    assert memory == {"total": 1.75}
    assert fastopt.functional.sgd(p, np.ones(3), step=1, lr=0.5) is None


def test_looking_ahead_leaves_no_trace() -> None:
    """Of several threads that step, each asks for the coming scalars; only one makes the step, and counts what they remembered."""
    rule = enter_accumulating()
    slot = Slot(rule, settings(rule, lr=0.5))
    assert slot.ahead() == slot.ahead() == ((0.5 / 1.25,), (0.75,))
    assert slot.coming == slot.memory == (0.25,)
    opt = fastopt.NAdam([np.ones(3, np.float32)], backend=fastopt.backends.on_host()[-1])
    begun = opt._plan.active[0].memory
    opt.step([np.ones(3, np.float32)])
    after = opt._plan.active[0]
    assert after.memory != begun
    if opt._turn.at_once is not None:
        assert after.coming == begun
