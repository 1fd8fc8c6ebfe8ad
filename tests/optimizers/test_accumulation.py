"""Gradients of several calls, summed up for one step: the same bits as a step on the sum, and nothing half done."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import storage
from fastopt.backends import cython_backend
from fastopt.host.launched import launcher
from fastopt.plan import Plan
from fastopt.rules.sums import BEGIN, GO_ON
from fastopt.schedules import Linear
from tests.conftest import LAUNCHINGS, needed

EVERY_WAY = pytest.mark.parametrize("launching", ["numpy", *LAUNCHINGS], indirect=True)
SHAPES = ((7, 5), (3000,), ())


def some(rng: np.random.Generator, dtype: Any = np.float32) -> list[Any]:
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]


def summed(gradients: list[list[Any]], dtype: Any = np.float32) -> list[Any]:
    total = [np.array(g, dtype) for g in gradients[0]]
    for more in gradients[1:]:
        total = [np.asarray(t + np.asarray(g, dtype)) for t, g in zip(total, more, strict=True)]
    return total


def same(a: Any, b: Any) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("kinds", ["float32 float32", "float64 float64", "float32 bfloat16", "bfloat16 bfloat16"])
@EVERY_WAY
@pytest.mark.usefixtures("threads_for_all_sizes")
def test_a_step_on_the_mean(launching: str, kinds: str) -> None:
    own, given = kinds.split()
    dtype, gradient = (storage.find(name, "dtype") for name in (own, given))
    compute, rng = np.dtype(dtype.compute), np.random.default_rng(0)
    p = some(rng, dtype.dtype)
    q = copy.deepcopy(p)
    options: dict[str, Any] = {"weight_decay": 0.01, "clip_value": 0.5, "backend": launching}
    ours = fastopt.Adam(p, 0.1, grad_dtype=given, accumulate=3, **options)
    theirs = fastopt.Adam(q, 0.1, grad_dtype=compute.name, **options)
    for step in range(3):
        gradients = [some(rng, gradient.dtype) for _ in range(3)]
        before = copy.deepcopy(p)
        for k, g in enumerate(gradients):
            assert (ours.accumulated, ours.steps) == (k, step)
            assert same(p, before)
            assert ours.step(g, grad_scale=2.0) is (k == 2)
        assert ours.accumulated == 0
        theirs.step(summed(gradients, compute), grad_scale=6.0)
        assert same(p, q)
    assert ours.steps == theirs.steps == 3


def test_one_is_as_if_nobody_had_asked() -> None:
    opt = fastopt.Adam(np.ones(3), accumulate=1)
    assert opt._accumulation is None
    assert (opt._turn.at_once is not None) == (opt.backend != "numpy" and launcher() is not None)


@EVERY_WAY
def test_a_tensor_without_a_gradient_in_some_calls(launching: str) -> None:
    a, b, c = (np.zeros(3, np.float32) for _ in range(3))
    opt = fastopt.SGD([a, b, c], 1.0, accumulate=2, backend=launching)
    one = np.ones(3, np.float32)
    opt.step([one, None, None])
    opt.step([one, one, None])
    assert (a[0], b[0], c[0]) == (-1.0, -0.5, 0.0)
    opt.step([None, None, None])
    opt.step([None, one, None])
    assert (a[0], b[0], c[0], opt.steps) == (-1.0, -1.0, 0.0, 2)
    assert [slot.steps for slot in opt._plan.slot_of] == [1, 2, 0]


@EVERY_WAY
def test_norms_are_of_the_mean(launching: str) -> None:
    p = np.zeros(2)
    opt = fastopt.SGD(p, 1.0, accumulate=2, max_norm=2.5, backend=launching)
    opt.step(np.array([6.0, 0.0]))
    assert opt.grad_norm is None
    opt.step(np.array([0.0, 8.0]))
    assert (opt.grad_norm, p.tolist()) == (5.0, [-1.5, -2.0])
    opt.step(np.array([6.0, 0.0]), max_norm=1.0)
    opt.step(np.array([0.0, 8.0]), max_norm=np.inf)  # the call that steps says to which
    assert (opt.grad_norm, p.tolist()) == (5.0, [-4.5, -6.0])


@pytest.mark.parametrize("nonfinite", ["skip", "raise"])
@EVERY_WAY
def test_what_is_not_finite_is_not_added(launching: str, nonfinite: str) -> None:
    p = np.zeros(2, np.float32)
    opt = fastopt.SGD(p, 1.0, accumulate=2, nonfinite=nonfinite, zero_grads=True, backend=launching)
    bad, large = np.array([np.nan, 1.0], np.float32), np.full(2, 3e38, np.float32)

    def refused(g: Any) -> None:
        if nonfinite == "skip":
            assert opt.step(g) is False
            assert not g.any()
        else:
            with pytest.raises(FloatingPointError, match=r"^grads: expected finite values"):
                opt.step(g)

    opt.step(np.ones(2, np.float32))
    refused(bad)
    assert opt.accumulated == 1
    opt.step(np.ones(2, np.float32))
    assert (p.tolist(), opt.steps, opt.accumulated) == ([-1.0, -1.0], 1, 0)
    opt.step(large.copy())
    refused(large)  # finite, and their sum is not
    assert (p.tolist(), opt.steps, opt.accumulated) == ([-1.0, -1.0], 1, 0)


@EVERY_WAY
def test_errors_come_before_anything_is_added(launching: str) -> None:
    p = [np.zeros(3), np.zeros(2)]
    opt = fastopt.SGD(p, 1.0, accumulate=2, backend=launching)
    good = [np.ones(3), np.ones(2)]
    opt.step(good, grad_scale=2.0)
    with pytest.raises(ValueError, match=r"^grads\[1\] has shape \(3,\), its parameter params\[1\] has shape \(2,\)$"):
        opt.step([np.ones(3), np.ones(3)], grad_scale=2.0)
    with pytest.raises(ValueError, match=r"^grad_scale: expected 2.0, as for the 1 gradient\(s\) .*, received 1.0$"):
        opt.step(good)
    with pytest.raises(ValueError, match=r"^max_norm: expected a number > 0"):
        opt.step(good, grad_scale=2.0, max_norm=0.0)
    with pytest.raises(ValueError, match=r"overlap in memory"):
        opt.step([p[0], good[1]], grad_scale=2.0)
    assert opt.accumulated == 1
    opt.step(good, grad_scale=2.0)
    assert (p[0][0], p[1][0], opt.steps) == (-0.5, -0.5, 1)
    opt.step(good, grad_scale=4.0)  # the next sum may have another


@EVERY_WAY
def test_gradients_may_be_left_as_zero_in_each_call(launching: str) -> None:
    p, g, other = [np.zeros(3, np.float32) for _ in range(2)], np.ones(3, np.float32), np.ones(3, np.float32)
    opt = fastopt.SGD([{"params": p[0], "zero_grads": True}, {"params": p[1]}], 1.0, accumulate=2, backend=launching)
    for _ in range(2):
        g[:] = 1.0
        opt.step([g, other])
        assert (g.tolist(), other.tolist()) == ([0.0] * 3, [1.0] * 3)
    assert (p[0][0], p[1][0]) == (-1.0, -1.0)
    opt.step([None, other])
    with pytest.raises(ValueError, match=r"^grads\[\d\] and grads\[\d\] overlap in memory"):
        opt.step([other, other])  # one begins a sum, and one goes on with its own
    opt.step([g, other])


def test_an_interrupt_before_the_step_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    p = np.zeros(2)
    opt = fastopt.SGD(p, 1.0, accumulate=2)
    run = Plan.run

    def interrupted(*given: Any) -> None:
        monkeypatch.setattr(Plan, "run", run)
        raise KeyboardInterrupt

    opt.step(np.ones(2))
    monkeypatch.setattr(Plan, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opt.step(np.ones(2))
    assert (opt.accumulated, p.tolist()) == (2, [0.0, 0.0])
    opt.step(np.ones(2))
    assert (opt.accumulated, p.tolist(), opt.steps) == (1, [-1.0, -1.0], 1)


@pytest.mark.parametrize("where", ["dictionary", "file", "copy", "pickle"])
def test_a_run_that_is_stopped_in_the_middle_goes_on(where: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    gradients = [some(rng) for _ in range(5)]
    gradients[1][0] = gradients[0][0] = gradients[2][0] = None
    p = some(rng)
    opt = fastopt.Adam(p, 0.1, accumulate=4)
    for g in gradients[:2]:
        opt.step(g, grad_scale=3.0)
    if where in ("copy", "pickle"):
        other: Any = copy.deepcopy(opt) if where == "copy" else pickle.loads(pickle.dumps(opt))
        q = other.params
    else:
        q = copy.deepcopy(p)
        other = fastopt.Adam(q, 0.5, accumulate=4)
        other.step(some(rng))
        if where == "file":
            opt.save(tmp_path / "state")
            other.load(tmp_path / "state")
        else:
            other.load_state_dict(opt.state_dict())
    assert other.accumulated == 2
    for g in gradients[2:]:
        assert opt.step(g, grad_scale=3.0) == other.step(g, grad_scale=3.0)
    assert (opt.accumulated, opt.steps) == (other.accumulated, other.steps) == (1, 1)
    assert same(p, q)


def test_what_cannot_be_taken_over() -> None:
    opt = fastopt.SGD(np.zeros(2), 1.0, accumulate=4)
    empty = opt.state_dict()
    for _ in range(3):
        opt.step(np.ones(2))
    saved = opt.state_dict()
    for every, most in ((1, 1), (3, 3)):
        other = fastopt.SGD(np.zeros(2), 1.0, accumulate=every)
        with pytest.raises(ValueError, match=rf"^state_dict\['accumulated'\]\['gradients'\]: expected fewer than {most}, .*, received 3$"):
            other.load_state_dict(saved)
    other = fastopt.SGD(np.zeros(2), 1.0, accumulate=4)
    other.step(np.ones(2))
    altered = {**saved, "state": {"grad_sum": np.ones(2, np.float32)}}
    with pytest.raises(TypeError, match=r"^state_dict\['state'\]\['grad_sum'\]: expected dtype float64"):
        other.load_state_dict(altered)
    with pytest.raises(ValueError, match=r"^state_dict\['accumulated'\]: expected a mapping with gradients, grad_scale"):
        other.load_state_dict({**saved, "accumulated": 3})
    assert other.accumulated == 1
    other.load_state_dict(empty)
    assert other.accumulated == 0
    fastopt.SGD(np.zeros(2), 1.0).load_state_dict(empty)


def test_parameters_and_arguments_change_in_between() -> None:
    p, q = np.zeros(2), np.zeros(3)
    opt = fastopt.SGD([{"params": p}], 1.0, accumulate=2)
    opt.step([np.ones(2)])
    opt.add_param_group({"params": q})
    opt.configure(weight_decay=0.5, lr=2.0)
    assert opt.accumulated == 1
    opt.step([np.ones(2), np.ones(3)])
    assert (p.tolist(), q.tolist()) == ([-2.0] * 2, [-1.0] * 3)


def test_schedules_go_on_with_steps() -> None:
    p = np.zeros(1)
    opt = fastopt.SGD(p, Linear(1.0, 4, 0.0), accumulate=2)
    for _ in range(4):
        opt.step(np.ones(1))
    assert (opt.lr, p.tolist()) == (0.5, [-1.75])


@pytest.mark.parametrize("kinds", ["float32 float32", "float64 float64", "float32 bfloat16", "float32 float16"])
def test_what_is_compiled_ahead_sums_where_there_is_no_compiler(kinds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needed("cython")

    def compiling(*of: Any) -> Any:
        raise RuntimeError("there is no compiler")

    own, given = (storage.find(name, "dtype").dtype for name in kinds.split())
    monkeypatch.setattr(cython_backend, "_compiled_now", compiling)
    opt = fastopt.Adam(np.ones(5, own), 0.1, grad_dtype=given.name, accumulate=2, backend="cython")
    assert [opt.step(np.ones(5, given)) for _ in range(2)] == [False, True]


def test_what_a_pass_is() -> None:
    assert BEGIN(5.0, 2.0) == (2.0,)
    assert GO_ON(5.0, 2.0) == (7.0,)


@pytest.mark.parametrize(("every", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError), ("2", TypeError)])
def test_how_many_is_a_whole_number(every: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^accumulate: expected "):
        fastopt.SGD(np.zeros(2), accumulate=every)
    with pytest.raises(TypeError, match=r"did you mean `accumulate`\?"):
        fastopt.SGD(np.zeros(2), gradient_accumulation_steps=2)
