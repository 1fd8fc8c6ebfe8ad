"""Calls outside of the kernel: each contender makes the call that its row is named for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from bench import test_calls as calls
from bench.ours import here

KINDS = {"float32 and float64": ["float32", "float64"] * 2, "all float32": ["float32"] * 4, "all float64": ["float64"] * 4}


@pytest.mark.parametrize("name", calls.MIXED)
def test_a_step_of_two_dtypes_steps_every_tensor_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[fastopt.Adam] = []

    class Kept(fastopt.Adam):
        def __init__(self, params: list[Any], *arguments: Any, **options: Any) -> None:
            super().__init__(params, *arguments, **options)
            self.before = [p.copy() for p in params]
            self.given = params
            made.append(self)

    monkeypatch.setattr(fastopt, "Adam", Kept)
    calls._mixed(name, [10] * 4, 1)()
    kinds = [[p.dtype.name for p in opt.given] for opt in made]  # type: ignore[attr-defined]
    assert kinds == ([["float32"] * 2, ["float64"] * 2] if name == "two optimizers" else [KINDS[name]])
    assert [opt.steps for opt in made] == [1] * len(made)
    for opt in made:
        assert all((p != q).all() for p, q in zip(opt.given, opt.before, strict=True))  # type: ignore[attr-defined]


def test_the_formula_and_the_functional_step_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = {}
    adam = calls.reference.FORMULAS["adam"]

    def kept(*arrays: Any, **options: Any) -> Any:
        found["formula"] = adam(*arrays, **options)
        return found["formula"]

    def in_place(p: Any, g: Any, m: Any, v: Any, **options: Any) -> None:
        functional(p, g, m, v, **options)
        found["functional"] = (p, m, v)

    functional = fastopt.functional.adam
    monkeypatch.setitem(calls.reference.FORMULAS, "adam", kept)
    monkeypatch.setattr(fastopt.functional, "adam", in_place)
    for name in (here()[0], calls.FORMULA):
        calls._functional(name, [100], 1)()
    for ours, formula in zip(found["functional"], found["formula"][:3], strict=True):
        np.testing.assert_array_equal(ours, formula)


@pytest.mark.parametrize("name", [*here(), *calls.BESIDE])
def test_building_makes_an_optimizer_of_all_tensors_each_time(name: str) -> None:
    build = calls._build(name, [10] * 3, 1)
    first, second = build(), build()
    assert first is not second
    if name == calls.PEER:
        assert [len(group["params"]) for group in first.param_groups] == [3]  # type: ignore[attr-defined]
        assert first.defaults["fused"]  # type: ignore[attr-defined]
    else:
        assert isinstance(first, fastopt.Adam)
        assert f"fastopt {first.backend}" == name
        assert len(first.params) == 3


@pytest.mark.parametrize("name", calls.OPTIONS)
def test_a_step_with_an_option_has_that_option_and_steps_every_tensor(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[fastopt.Adam, dict[str, Any], float]] = []
    step = fastopt.Adam.step

    def kept(self: fastopt.Adam, grads: Any, **options: Any) -> bool:
        made.append((self, options, self.groups[0].lr))
        return step(self, grads, **options)

    monkeypatch.setattr(fastopt.Adam, "step", kept)
    call = calls._with_option(name, [10] * 3, 1)
    call()
    call()
    (opt, options, first), (_, _, second) = made
    steps = 1 if name == calls.ACCUMULATE else 2
    assert opt.steps == steps
    assert sum(len(group.params) for group in opt.groups) == 3
    assert options == ({"grad_scale": 2.0} if name == "grad_scale" else {})
    assert (first != second) == (name == "a new lr each step")
    counts = [slot["steps"] for slot in opt.state_dict()["slots"]]
    assert counts == ([2, 0] if name == "half without" else [steps])
    assert (opt.grad_norm is not None) == (name == "max_norm")
    assert [len(group.params) for group in opt.groups] == ([1, 2] if name == "two groups" else [3])
    narrow = {"bfloat16 states": {"bfloat16"}, "int8 states": {"int8", "uint8", "float32"}, calls.BFLOAT16[1]: {"float32", "int16"}}
    assert {state.dtype.name for state in opt._states[0]} == narrow.get(name, {"float32"})
    grads: Any = [np.full(10, np.nan, opt._views[0].dtype) for _ in range(3)]
    grads = [grads[:1], grads[1:]] if name == "two groups" else grads
    assert step(opt, grads) == (name not in ("nonfinite='skip'", calls.ACCUMULATE))
    assert all(g.any() for g in opt._structure.flatten(grads, "grads")) == (name != "zero_grads")


@pytest.mark.parametrize("name", calls.FADED)
def test_states_that_faded_stay_denormal_unless_they_are_flushed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[fastopt.Adam] = []

    class Kept(fastopt.Adam):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(fastopt, "Adam", Kept)
    call = calls._faded(name, [10], 1)
    assert made[0].backend != "cython"  # which compiles this kernel when it is first used, with what the benchmark does not install
    for _ in range(2_000):
        call()
    for (state,) in made[0].state_dict()["state"].values():
        magnitudes = np.abs(state)
        if name.startswith("normal"):
            assert (magnitudes >= np.finfo(np.float32).tiny).all()
        else:
            assert (magnitudes < np.finfo(np.float32).tiny).all()
            assert magnitudes.any() != name.endswith(calls.FLUSHED)


@pytest.mark.parametrize("name", calls.SCHEDULES)
def test_a_step_with_a_schedule_takes_the_rate_of_the_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opts: list[Any] = []
    build = fastopt.Adam.__init__

    def kept(self: Any, *arguments: Any, **options: Any) -> None:
        build(self, *arguments, **options)
        opts.append(self)

    monkeypatch.setattr(fastopt.Adam, "__init__", kept)
    if name.startswith(calls.PEER):
        handed = calls.Handed
        monkeypatch.setattr(calls, "Handed", lambda *arguments, **options: opts.append(handed(*arguments, **options)) or opts[0])
    call = calls._with_schedule(name, [10], 1)
    seen = []
    for _ in range(4):
        call()
        group = opts[0].peer.optimizer.param_groups[0] if name.startswith(calls.PEER) else None
        seen.append((group["lr"], group["betas"]) if group else (opts[0].lr, opts[0].betas))
    # who sets it before the step has that of the last one afterwards, who follows a schedule is asked for the next one's
    first = {"a fixed lr": None, "a new lr each step": 0}.get(name, 1)
    rates = [calls.LR if first is None else calls.Cosine(calls.LR, calls.HALF)(first + step) for step in range(4)]
    assert [lr for lr, _ in seen] == pytest.approx(rates, rel=1e-12)
    assert len(set(rates)) == (1 if first is None else 4)
    assert (len({betas for _, betas in seen}) > 1) == (name == "lr and a beta")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", calls.CHECKPOINTS)
def test_a_checkpoint_holds_the_state_and_comes_back(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opts: list[Any] = []
    stepped = calls._stepped

    def kept(*arguments: Any) -> Any:
        opts.append(stepped(*arguments))
        return opts[-1]

    def moments(opt: Any) -> list[Any]:
        if name.startswith(calls.PEER):
            return [state["exp_avg"].numpy().copy() for state in opt.state.values()]
        return list(opt.state_dict()["state"]["m"])

    monkeypatch.setattr(calls, "_stepped", kept)
    saved: Any = calls._save(tmp_path, name, [10] * 3, 1)()
    if name == "fastopt, in memory":
        assert len(saved["state"]["m"]) == 3
    else:
        assert (tmp_path / name).stat().st_size > 3 * 10 * 4 * 2
    load = calls._load(tmp_path, name, [10] * 3, 1)
    opt = opts[-1]
    before = moments(opt)
    opt.step(*([] if name.startswith(calls.PEER) else [[np.ones(10, np.float32)] * 3]))
    assert not any(np.array_equal(a, b) for a, b in zip(moments(opt), before, strict=True))
    load()
    for now, then in zip(moments(opt), before, strict=True):
        np.testing.assert_array_equal(now, then)
