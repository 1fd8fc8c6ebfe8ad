"""A parameter by itself, on the arrays of its optimizer."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

import fastopt.interop.torch as dropins
from fastopt.interop.torch import looks
from fastopt.interop.torch.single import singles
from fastopt.interop.torch.tensors import MovedError


def laid_out(*options: dict[str, Any], name: str = "Adam") -> tuple[Any, list[Any], list[Any]]:
    params = [torch.nn.Parameter(torch.ones(3 + k, dtype=torch.float64 if k == 2 else torch.float32)) for k in range(4)]
    optimizer = getattr(dropins, name)(params, lr=0.1)
    return optimizer, params, singles(optimizer._lay_out())


def test_states_are_the_optimizers_own_and_appear_with_the_first_step() -> None:
    optimizer, params, alone = laid_out()
    laid = optimizer._laid
    for i in (2, 0, 2):
        params[i].grad = torch.full_like(params[i], 0.5)
        alone[i].step(params[i].grad, 1.0, None, None)
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
        alone[i].step(params[i].grad, 1.0, None, None)
    assert optimizer.state[params[0]] is entry
    assert set(entry) >= {"step", "exp_avg", "exp_avg_sq"}
    assert not optimizer._laid.stands(optimizer.param_groups, optimizer.state)
    (again, *_) = singles(optimizer._lay_out())
    assert again.slot.steps == 1


def test_the_classic_step_has_the_same_bits() -> None:
    optimizer, params, alone = laid_out()
    other, theirs, _ = laid_out()
    for k in range(3):
        for i in (3, 1, 0, 2):
            params[i].grad, theirs[i].grad = (torch.full_like(params[i], 0.1 * (k + i)) for _ in range(2))
            alone[i].step(params[i].grad, 1.0, None, None)
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
            alone[i].step(gradient, 1.0, None, None)
    assert (params[0] == 1).all()
    assert not optimizer.state
    assert params[0].grad is not None
    alone[0].step(overlapping[:3], 1.0, None, None)  # in another parameter, which is read as it is now
    assert (overlapping == 1).all()
    alone[1].step(overlapping, 1.0, None, None)  # in what its own step writes: a copy is taken
    assert torch.equal(overlapping, torch.full((4,), float(params[0][0].detach())))
    params[3].data = params[3].data.clone()
    with pytest.raises(MovedError):
        alone[3].step(torch.ones(6), 1.0, None, None)


def test_versions_are_counted() -> None:
    _, params, alone = laid_out()
    before = [p._version for p in params]
    alone[0].step(torch.ones(3), 1.0, None, None)
    assert [p._version for p in params] == [before[0] + 1, *before[1:]]


def test_what_a_compiled_hook_takes() -> None:
    for name, can in (("Adam", True), ("NAdam", False)):  # whose scalars have a memory
        _, _, alone = laid_out(name=name)
        assert alone[0].quick is None
        alone[0].step(torch.ones(3), 1.0, None, None)
        quick = alone[0].quick
        assert (quick is not None) == (can and looks.HostGatherer is not None)
        assert quick is None or quick[2] is alone[0].slot
