"""Parameters by themselves and a few together, on the arrays of their optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fastopt.interop.torch as dropins
from fastopt.interop.torch import looks, step_in_backward
from fastopt.interop.torch.bunch import Bunch, Bunches
from fastopt.interop.torch.tensors import MovedError
from tests.conftest import needed


def bunches(laid: Any, *parts: list[int]) -> list[Bunch]:
    """Of these parameters; each by itself if nothing is said."""
    source, found = Bunches(laid), []
    for part in parts or [[i] for i in range(len(laid.params))]:
        bunch, calls = source.form(part)
        for call in calls:
            call()
        found.append(bunch)
    return found


def laid_out(*parts: list[int], name: str = "Adam", **options: Any) -> tuple[Any, list[Any], list[Bunch]]:
    params = [torch.nn.Parameter(torch.ones(3 + k, dtype=torch.float64 if k == 2 else torch.float32)) for k in range(4)]
    optimizer = getattr(dropins, name)(params, lr=0.1, **options)
    return optimizer, params, bunches(optimizer._lay_out(), *parts)


def test_states_are_the_optimizers_own_and_appear_with_the_first_step() -> None:
    optimizer, params, alone = laid_out()
    laid = optimizer._laid
    for i in (2, 0, 2):
        params[i].grad = torch.full_like(params[i], 0.5)
        alone[i].step([params[i].grad], 1.0, None, None)
        assert params[i].grad is None
    assert [float(optimizer.state[p]["step"]) for p in (params[0], params[2])] == [1, 2]
    assert list(optimizer.state) == [params[2], params[0]]
    assert (optimizer.state[params[0]]["exp_avg"].numpy() == laid.states.arrays[0][0]).all()
    laid.states.sum = laid.states.counts.tobytes(), laid.states.remembered.tobytes()
    assert laid.stands(optimizer.param_groups, optimizer.state)


@pytest.mark.parametrize("entry", [{}, {"note": 1}])
def test_an_entry_that_somebody_made_is_kept(entry: dict[str, Any]) -> None:
    optimizer, params, alone = laid_out()
    optimizer.state[params[0]] = entry
    optimizer.state[params[1]] = {}
    for i in (0, 1):
        params[i].grad = torch.ones_like(params[i])
        alone[i].step([params[i].grad], 1.0, None, None)
    assert optimizer.state[params[0]] is entry
    assert set(entry) >= {"step", "exp_avg", "exp_avg_sq"}
    assert not optimizer._laid.stands(optimizer.param_groups, optimizer.state)
    (again, *_) = bunches(optimizer._lay_out())
    assert again.active[0].steps == 1


def test_the_classic_step_has_the_same_bits() -> None:
    optimizer, params, alone = laid_out()
    other, theirs, _ = laid_out()
    for k in range(3):
        for i in (3, 1, 0, 2):
            params[i].grad, theirs[i].grad = (torch.full_like(params[i], 0.1 * (k + i)) for _ in range(2))
            alone[i].step([params[i].grad], 1.0, None, None)
        other.step()
    for p, q in zip(params, theirs, strict=True):
        assert torch.equal(p, q)
        assert all(torch.equal(optimizer.state[p][name], other.state[q][name]) for name in ("step", "exp_avg", "exp_avg_sq"))


def test_a_gradient_of_no_use_changes_nothing() -> None:
    optimizer, params, alone = laid_out()
    params[0].grad = torch.ones(3)
    overlapping = params[1].detach()
    for i, gradient, error, match in [
        (0, torch.ones(4), ValueError, "grads.*shape"),
        (0, torch.ones(3, dtype=torch.float64), TypeError, "expected a gradient of"),
        (0, torch.ones(3).to_sparse(), RuntimeError, "sparse"),
    ]:
        with pytest.raises(error, match=match):
            alone[i].step([gradient], 1.0, None, None)
    assert (params[0] == 1).all()
    assert not optimizer.state
    assert params[0].grad is not None
    alone[0].step([overlapping[:3]], 1.0, None, None)  # in another parameter, which is read as it is now
    assert (overlapping == 1).all()
    alone[1].step([overlapping], 1.0, None, None)  # in what its own step writes: a copy is taken
    assert torch.equal(overlapping, torch.full((4,), float(params[0][0].detach())))
    params[3].data = params[3].data.clone()
    with pytest.raises(MovedError):
        alone[3].step([torch.ones(6)], 1.0, None, None)


def test_versions_are_counted() -> None:
    _, params, alone = laid_out()
    before = [p._version for p in params]
    alone[0].step([torch.ones(3)], 1.0, None, None)
    assert [p._version for p in params] == [before[0] + 1, *before[1:]]


def test_what_a_compiled_hook_takes() -> None:
    for name, can in (("Adam", True), ("NAdam", False)):  # whose scalars have a memory
        _, _, alone = laid_out(name=name)
        assert alone[0].quick is None
        alone[0].step([torch.ones(3)], 1.0, None, None)
        quick = alone[0].quick
        assert (quick is not None) == (can and looks.HostGatherer is not None)
        assert quick is None or quick[2] is alone[0].active[0]


@pytest.mark.parametrize("backend", ["numpy", "cython", "numba"])
@pytest.mark.parametrize("name", ["Adam", "NAdam", "SGD"])
def test_some_are_stepped_in_one_call_and_others_left_alone(name: str, backend: str) -> None:
    needed(backend)
    options = {"momentum": 0.9} if name == "SGD" else {}
    optimizer, params, (few, rest) = laid_out([3, 0, 2], [1], name=name, backend=backend, **options)
    other, theirs, _ = laid_out(name=name, backend=backend, **options)
    assert few.indices == [3, 0, 2]
    there: tuple[int, ...]
    for k, there in enumerate([(3, 0, 2), (0,), (3, 0, 2), (3, 2), (3, 0, 2)]):
        for i in (*there, 1):
            params[i].grad, theirs[i].grad = (torch.full_like(params[i], 0.1 * (k + i)) for _ in range(2))
        few.step([params[i].grad if i in there else None for i in (3, 0, 2)], 1.0, None, None)
        rest.step([params[1].grad], 1.0, None, None)
        assert all(p.grad is None for p in params)
        assert not any(batch.work.taken for batch in (*few.batches, *rest.batches))  # nobody keeps gradients
        other.step()
        other.zero_grad()
    for p, q in zip(params, theirs, strict=True):
        assert torch.equal(p, q)
        assert all(torch.equal(optimizer.state[p][key], other.state[q][key]) for key in other.state[q])
    if name == "Adam":
        assert [float(optimizer.state[p]["step"]) for p in params] == [4, 5, 4, 4]


def test_one_of_no_use_keeps_all_of_its_bunch_as_they_were() -> None:
    optimizer, params, (bunch,) = laid_out([0, 1, 3])
    gradients = [torch.ones(3), torch.ones(5), torch.ones(6)]
    for _ in range(2):
        with pytest.raises(ValueError, match=r"grads\[0\]\[1\] has shape"):
            bunch.step(gradients, 1.0, None, None)
    assert not optimizer.state
    assert all((p == 1).all() for p in params)
    assert all(slot.steps == 0 for slot in bunch.slot_of)
    bunch.step([None, None, None], 1.0, None, None)
    assert not optimizer.state
    bunch.step([gradients[0], None, gradients[2]], 1.0, None, None)
    assert list(optimizer.state) == [params[0], params[3]]


def test_sums_of_squares_are_written_for_those_that_are_there() -> None:
    _, params, (bunch,) = laid_out([3, 2, 0])
    sums = np.full(4, 7.0)
    bunch.step([torch.full((6,), 2.0), None, None], 0.5, None, sums)
    assert sums.tolist() == [7.0, 7.0, 7.0, 24.0]
    bunch.step([None, torch.full((5,), 3.0, dtype=torch.float64), torch.ones(3)], 0.5, 2.0, sums)
    assert sums.tolist() == [3.0, 7.0, 20.0, 24.0]
    assert all(p.grad is None for p in params)


def test_what_a_bunch_is_stepped_with_in_compiled_code() -> None:
    _, params, (mixed, same) = laid_out([1, 2], [0, 3])
    ones = [torch.ones_like(p) for p in params]
    for bunch in (mixed, same):
        bunch.step([ones[i] for i in bunch.indices], 1.0, None, None)
    assert mixed.quick is None  # two kernels
    if looks.HostGatherer is None:
        return
    assert same.quick is not None
    same.step([ones[0], None], 1.0, None, None)
    assert same.quick is None  # one has no gradient
    same.step([ones[0], ones[3]], 1.0, None, None)
    assert same.quick is None  # two counts, and so two slots


@pytest.mark.parametrize("limit", [None, 1e9])
def test_states_that_are_rounded_stochastically_are_rounded_as_in_the_classic_step(limit: float | None) -> None:
    """By the noise of the element's place among all parameters, in whatever bunch it is."""
    pytest.importorskip("ml_dtypes")
    ended = []
    for in_backward in (False, True):
        torch.manual_seed(0)
        model = torch.nn.Sequential(*(torch.nn.Linear(40, 40) for _ in range(4)))
        x, options = torch.randn(8, 40), {"lr": 1e-2, "state_dtype": torch.bfloat16}
        classic = None if in_backward else dropins.Adam(model.parameters(), **options)
        stepper = step_in_backward(model, dropins.Adam, max_norm_of_last_step=limit, **options) if in_backward else None
        for _ in range(4):
            model(x).square().sum().backward()
            if classic is not None:
                classic.step()
                classic.zero_grad()
        optimizer = classic if stepper is None else stepper.optimizer
        ended.append([*model.parameters(), *(optimizer.state[p]["exp_avg_sq"] for p in model.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*ended, strict=True))
