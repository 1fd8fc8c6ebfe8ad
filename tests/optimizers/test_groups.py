"""Parameter groups: options of their own, one call a batch, and steps that count for each parameter by itself."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import fastopt
from tests.conftest import needed

Array = np.ndarray[Any, Any]
BACKENDS = ("numpy", "numba", "cython")
OPTIONS: list[dict[str, Any]] = [
    {"lr": 0.1, "weight_decay": 0.3},
    {"lr": 0.02, "betas": (0.5, 0.75), "eps": 1e-3, "maximize": True},
    {"lr": 0.3, "weight_decay": 0.7, "decoupled_weight_decay": True},
]


def arrays(seed: int, dtype: Any = np.float32) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(n).astype(dtype) for n in (5, 0, 300, 7, 1, 1030)]


def groups(params: list[Array]) -> list[dict[str, Any]]:
    return [{"params": params[2 * k : 2 * k + 2], **options} for k, options in enumerate(OPTIONS)]


def grouped(values: list[Any]) -> list[list[Any]]:
    return [values[0:2], values[2:4], values[4:6]]


def states(optimizer: fastopt.Optimizer) -> list[bytes]:
    return [state.tobytes() for own in optimizer._states for state in own]


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_group_steps_as_an_optimizer_of_its_own_would(backend: str) -> None:
    needed(backend)
    params, apart = arrays(0), arrays(0)
    opt = fastopt.Adam(groups(params), amsgrad=True, backend=backend)
    alone = [fastopt.Adam(apart[2 * k : 2 * k + 2], amsgrad=True, backend="numpy", **options) for k, options in enumerate(OPTIONS)]
    for step in range(5):
        gradients = arrays(10 + step)
        opt.groups[1].lr = alone[1].lr = 0.02 / (1 + step)
        opt.step(grouped(gradients))
        for k, own in enumerate(alone):
            own.step(gradients[2 * k : 2 * k + 2])
    assert all(a.tobytes() == b.tobytes() for a, b in zip(params, apart, strict=True))
    assert states(opt) == [state for own in alone for state in states(own)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_groups_of_one_kernel_are_one_batch(backend: str) -> None:
    needed(backend)
    params = arrays(1)
    shared = [{"params": params[:3], "lr": 0.1}, {"params": params[3:], "lr": 0.2, "weight_decay": 0.5}]
    opt = fastopt.AdamW(shared, backend=backend)
    (batch,) = opt._plan.batches
    assert len(batch.slots) == 2
    assert batch.work.slots.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_parameter_without_a_gradient_is_left_alone_and_counts_for_itself(backend: str) -> None:
    needed(backend)
    params, apart = arrays(2), arrays(2)
    opt = fastopt.Adam(params, 0.1, weight_decay=0.2, backend=backend)
    alone = [fastopt.Adam(p, 0.1, weight_decay=0.2, backend="numpy") for p in apart]
    rng = np.random.default_rng(5)
    for step in range(12):
        opt.lr = 0.1 / (1 + step)
        present = rng.random(len(params)) < (0.6 if step % 3 else 1.0)
        gradients = [g if there else None for g, there in zip(arrays(20 + step), present, strict=True)]
        assert opt.step(gradients)
        for own, g in zip(alone, gradients, strict=True):
            own.lr = opt.lr
            if g is not None:
                own.step(g)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(params, apart, strict=True))
    assert states(opt) == [state for own in alone for state in states(own)]
    counts = {i: slot["steps"] for slot in opt.state_dict()["slots"] for i in slot["params"]}
    assert [counts[i] for i in range(len(params))] == [own.steps for own in alone]
    assert opt.steps == 12


def test_no_gradient_at_all_is_a_step_of_nobody() -> None:
    params = arrays(3)
    before = [p.copy() for p in params]
    opt = fastopt.Adam(params)
    assert opt.step([None] * len(params))
    assert all((a == b).all() for a, b in zip(params, before, strict=True))
    assert [slot["steps"] for slot in opt.state_dict()["slots"]] == [0]


def test_parameters_that_counted_alike_come_together_again() -> None:
    """However often gradients come and go, there are no more slots than there are step counts."""
    opt = fastopt.Adam(arrays(4))
    for step in range(30):
        gradients: list[Any] = list(arrays(step))
        gradients[step % 6] = None
        opt.step(gradients)
    opt.step(arrays(1))
    assert len(opt._plan.active) == 1


def test_nonfinite_gradients_of_absent_parameters_do_not_exist() -> None:
    opt = fastopt.SGD([np.ones(3), np.ones(3)], lr=0.5, nonfinite="raise")
    opt.step([np.ones(3), None])
    with pytest.raises(FloatingPointError, match=r"^grads\[1\]: expected finite values"):
        opt.step([None, np.full(3, np.nan)])
    assert opt.params[0].tolist() == [0.5] * 3
    assert opt.params[1].tolist() == [1.0] * 3


def test_by_patterns_of_names() -> None:
    params = {"a": {"weight": np.ones(2), "bias": np.ones(2)}, "b": {"weight": np.ones(2), "bias": np.ones(2)}}
    opt = fastopt.SGD(params, lr=1.0, groups={"*.bias": {"lr": 0.5}, "b.*": {"lr": 0.25}})
    assert [group.lr for group in opt.groups] == [1.0, 0.5, 0.25]
    opt.step({name: {key: np.ones(2) for key in ("weight", "bias")} for name in "ab"})
    assert [float(params[name][key][0]) for name in "ab" for key in ("weight", "bias")] == [0.0, 0.5, 0.75, 0.5]
    with pytest.raises(ValueError, match=r"^groups: expected a pattern that names parameters, received '\*.gain'"):
        fastopt.SGD(params, groups={"*.gain": {"lr": 0.5}})
    with pytest.raises(ValueError, match=r"^groups: .* received 'a.bias', which has none left"):
        fastopt.SGD(params, groups={"*.bias": {"lr": 0.5}, "a.bias": {"lr": 0.1}})
    with pytest.raises(TypeError, match=r"^groups: expected params by name, as patterns look at names; received sequence$"):
        fastopt.SGD([np.ones(2)], groups={"*": {"lr": 0.5}})
    with pytest.raises(TypeError, match=r"^groups: expected a mapping from patterns"):
        fastopt.SGD(params, groups=["*"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^groups: expected None where params are groups already"):
        fastopt.SGD([{"params": [np.ones(2)]}], groups={"*": {}})


def test_a_group_is_added() -> None:
    first, second = np.ones(3), np.ones((2, 2))
    opt = fastopt.Adam([first], 0.1, backend="numpy")
    for _ in range(4):
        opt.step([np.ones(3)])
    opt.add_param_group({"params": {"w": second}, "lr": 0.5})
    opt.step([[np.ones(3)], {"w": np.ones((2, 2))}])
    assert [group.lr for group in opt.groups] == [0.1, 0.5]
    assert [slot["steps"] for slot in opt.state_dict()["slots"]] == [5, 1]
    fresh = np.ones((2, 2))
    alone = fastopt.Adam(fresh, 0.5, backend="numpy")
    alone.step(np.ones((2, 2)))
    assert (second == fresh).all()
    assert opt.params[0][0] is first
    assert opt.params[1]["w"] is second
    assert opt.groups[1].params[0] is second


@pytest.mark.parametrize(
    ("group", "error", "words"),
    [
        ([np.ones(2)], TypeError, r"^group: expected a mapping with 'params'"),
        ({"lr": 0.5}, TypeError, r"^group: expected a mapping with 'params'"),
        ({"params": []}, ValueError, r"^group\['params'\]: expected at least one array, received an empty sequence"),
        ({"params": np.ones(2), "lr": -1.0}, ValueError, r"^lr: expected a finite number >= 0, received -1.0"),
        ({"params": np.ones(2), "speed": 1.0}, TypeError, r"^speed: "),
        ({"params": np.ones(4)[::2]}, ValueError, r"^group\['params'\]: expected a dense array"),
        ({"params": "its own"}, ValueError, "overlap in memory"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_group_is_refused_with_nothing_changed(group: Any, error: type[Exception], words: str) -> None:
    p = np.ones(3)
    opt = fastopt.Adam([p], 0.1, backend="numpy")
    opt.step([np.ones(3)])
    before = pickle.dumps(opt.state_dict())
    if isinstance(group, dict) and isinstance(group.get("params"), str):
        group = {"params": p[1:]}
    with pytest.raises(error, match=words):
        opt.add_param_group(group)
    assert pickle.dumps(opt.state_dict()) == before
    opt.step([np.ones(3)])
    assert opt.steps == 2


def test_arguments_of_a_group_are_attributes() -> None:
    opt = fastopt.AdamW([{"params": [np.ones(2)]}, {"params": [np.ones(2)], "weight_decay": 0.5}], lr=0.1)
    assert (opt.groups[0].weight_decay, opt.groups[1].weight_decay) == (1e-2, 0.5)
    opt.groups[1].weight_decay = 0.25
    opt.groups[0].betas = (0.5, 0.5)
    assert opt.groups[1].weight_decay == 0.25
    assert opt.groups[0].betas == (0.5, 0.5)
    assert opt.groups[1].betas == (0.9, 0.999)
    with pytest.raises(AttributeError, match=r"^group 0 has no argument 'speed'; there are lr, "):
        opt.groups[0].speed = 1.0
    with pytest.raises(AttributeError, match="'speed'"):
        _ = opt.groups[0].speed
    with pytest.raises(ValueError, match=r"^betas\[1\]: "):
        opt.groups[0].betas = (0.5, 1.0)
    assert "weight_decay" in dir(opt.groups[0])
    assert repr(opt.groups[1]).startswith("<group 1 of 1 arrays: lr=0.1, ")


def test_lr_of_all_groups() -> None:
    opt = fastopt.SGD([{"params": [np.ones(2)]}, {"params": [np.ones(2)], "lr": 0.5}], lr=0.1)
    with pytest.raises(AttributeError, match="lr: the groups have different ones"):
        _ = opt.lr
    opt.lr = 0.25
    assert [group.lr for group in opt.groups] == [0.25, 0.25]
    assert opt.lr == 0.25
    opt.configure(weight_decay=0.5)
    assert [group.weight_decay for group in opt.groups] == [0.5, 0.5]


@pytest.mark.parametrize("how", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["deepcopy", "pickle"])
def test_copies_have_the_groups(how: Any) -> None:
    params = arrays(6)
    opt = fastopt.Adam(groups(params))
    opt.step(grouped([*arrays(7)[:5], None]))
    other = how(opt)
    for own in (opt, other):
        own.step(grouped(arrays(8)))
    assert states(other) == states(opt)
    assert [g.lr for g in other.groups] == [g.lr for g in opt.groups]
    mine, theirs = ([p for part in o.params for p in part] for o in (opt, other))
    assert all(a.tobytes() == b.tobytes() and a is not b for a, b in zip(mine, theirs, strict=True))


def test_a_group_that_needs_another_kernel_gets_one_and_keeps_its_state() -> None:
    params, apart = arrays(9), arrays(9)
    opt = fastopt.Adam([{"params": params[:3]}, {"params": params[3:]}], 0.1, backend="numpy")
    alone = [fastopt.Adam(apart[:3], 0.1, backend="numpy"), fastopt.Adam(apart[3:], 0.1, backend="numpy")]
    for step in range(4):
        gradients = arrays(30 + step)
        if step == 2:
            opt.groups[1].weight_decay = 0.5
            alone[1].configure(weight_decay=0.5)
            assert len(opt._plan.batches) == 2
        opt.step([gradients[:3], gradients[3:]])
        alone[0].step(gradients[:3])
        alone[1].step(gradients[3:])
    assert all(a.tobytes() == b.tobytes() for a, b in zip(params, apart, strict=True))
