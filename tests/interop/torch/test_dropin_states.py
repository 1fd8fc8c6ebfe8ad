"""What stands in a drop-in's `state`: checkpoints there and back, copies, and what is written into it."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import fastopt.interop.torch as dropins
from tests.interop.torch.beside import NAMES, both, close, fresh, in_float64, stepped

__all__ = ["in_float64"]  # a fixture


def through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_goes_on_here_and_back(name: str) -> None:
    """Three steps there, three here, three there, beside nine there."""
    _, alone, _, end = both(name)
    ours, theirs, p, q = both(name)
    stepped(alone, 9)
    made = torch.Generator().manual_seed(1)

    def some(optimizer: Any, params: list[Any]) -> None:
        for _ in range(3):
            for x in params:
                x.grad = torch.randn(x.shape, generator=made)
            optimizer.step()

    def over(source: list[Any], target: list[Any]) -> None:
        with torch.no_grad():
            for x, y in zip(source, target, strict=True):
                y.copy_(x)

    some(theirs, q)
    over(q, p)
    ours.load_state_dict(through_a_file(theirs.state_dict()))
    some(ours, p)
    over(p, q)
    theirs.load_state_dict(through_a_file(ours.state_dict()))
    some(theirs, q)
    close(q, end)
    saved, others = ours.state_dict(), alone.state_dict()
    assert saved["param_groups"] == others["param_groups"]
    assert {k: set(v) for k, v in saved["state"].items()} == {k: set(v) for k, v in others["state"].items()}


def test_what_is_loaded_is_copied() -> None:
    ours, theirs, _, q = both("Adam")
    stepped(theirs, 2)
    before = theirs.state[q[0]]["exp_avg"].clone()
    ours.load_state_dict(theirs.state_dict())
    stepped(ours, 1)
    assert torch.equal(theirs.state[q[0]]["exp_avg"], before)
    assert theirs.state[q[0]]["step"] == 2


def test_a_checkpoint_that_does_not_fit_changes_nothing() -> None:
    ours, theirs, p, _ = both("Adam")
    stepped(ours, 2)
    stepped(theirs, 2)
    state, groups, end = ours.state, ours.param_groups, [x.detach().clone() for x in p]
    other = stepped(torch.optim.SGD(fresh(), lr=0.1, momentum=0.9), 1).state_dict()
    with pytest.raises((ValueError, KeyError)):
        ours.load_state_dict(other)
    bad = theirs.state_dict()
    for change, match in [
        (lambda entry: entry.pop("exp_avg"), "expected step, exp_avg, exp_avg_sq, max_exp_avg_sq, received"),
        (lambda entry: entry.update(exp_avg=torch.zeros(2)), "shape"),
        (lambda entry: entry.update(step=torch.tensor(1.5)), "whole number"),
    ]:
        wrong = copy.deepcopy(bad)
        change(wrong["state"][0])
        with pytest.raises(ValueError, match=match):
            ours.load_state_dict(wrong)
        assert ours.state is state
        assert ours.param_groups is groups
    close(p, end)
    stepped(ours, 1, seed=5)
    stepped(theirs, 1, seed=5)
    close(p, theirs.param_groups[0]["params"])


@pytest.mark.parametrize("again", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("name", ["Adam", "NAdam", "SGD", "Adagrad"])
def test_copies_go_on_by_themselves(name: str, again: Callable[[Any], Any]) -> None:
    ours, theirs, _, q = both(name)
    ours.max_norm = 100.0
    stepped(ours, 2)
    stepped(theirs, 2)
    copied = again(ours)
    assert copied.max_norm == 100.0
    stepped(ours, 3, seed=9)
    stepped(copied, 2, seed=2)
    stepped(theirs, 2, seed=2)
    close(copied.param_groups[0]["params"], q)


def test_a_hook_after_loading_finds_the_states_that_will_be_stepped() -> None:
    optimizer, seen = stepped(dropins.Adam(fresh()), 1), []
    p = optimizer.param_groups[0]["params"][0]
    optimizer.register_load_state_dict_post_hook(lambda opt: seen.append(opt.state[p]["exp_avg"]))
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen[0] is optimizer.state[p]["exp_avg"]


def test_named_parameters() -> None:
    layer = torch.nn.Linear(3, 2)
    optimizer = dropins.Adam(layer.named_parameters())
    stepped(optimizer, 1)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    assert optimizer.state[layer.bias]["step"] == 1


def test_states_appear_with_the_first_gradient_and_steps_are_each_parameters_own() -> None:
    p, q = fresh()
    optimizer = dropins.Adam([p, q])
    assert len(optimizer.state) == 0
    assert optimizer.state_dict()["state"] == {}
    p.grad = torch.ones_like(p)
    optimizer.step()
    optimizer.step()
    assert list(optimizer.state) == [p]
    q.grad = torch.ones_like(q)
    optimizer.step()
    assert (optimizer.state[p]["step"], optimizer.state[q]["step"]) == (3, 1)
    p.grad, before = None, p.detach().clone()
    optimizer.step()
    assert torch.equal(p, before)
    assert (optimizer.state[p]["step"], optimizer.state[q]["step"]) == (3, 2)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "NAdam"])
def test_what_is_written_into_the_state_counts(name: str) -> None:
    """In place, as another tensor, as another count, and taken away."""
    ours, theirs, p, q = both(name)
    key = {"SGD": "momentum_buffer", "RMSprop": "square_avg"}.get(name, "exp_avg")
    changes: list[Callable[[dict[str, Any]], Any]] = [
        lambda entry: entry[key].mul_(0.5),
        lambda entry: entry.update({key: torch.full_like(entry[key], 0.25)}),
        lambda entry: entry["step"].fill_(7) if "step" in entry else None,
        lambda entry: entry.update(mu_product=torch.tensor(0.5)) if "mu_product" in entry else None,
    ]
    for k, change in enumerate(changes):
        for optimizer, first in ((ours, p[0]), (theirs, q[0])):
            stepped(optimizer, 2, seed=k)
            change(optimizer.state[first])
    for optimizer in (ours, theirs):
        stepped(optimizer, 1)
        optimizer.state.clear()
        stepped(optimizer, 2)
    close(p, q)


def test_states_that_were_made_in_inference_mode_are_no_inference_tensors() -> None:
    optimizer = dropins.Adam(fresh())
    for p in optimizer.param_groups[0]["params"]:
        p.grad = torch.ones_like(p)
    with torch.inference_mode():
        optimizer.step()
    assert not any(value.is_inference() for entry in optimizer.state.values() for value in entry.values())
