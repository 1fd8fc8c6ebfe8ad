"""States in torch's dictionary: under its names, of memory of their own, in place."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

import fastopt.interop.torch as dropins


def made(count: int = 3, **options: Any) -> tuple[Any, list[Any]]:
    params = [torch.nn.Parameter(torch.ones(4, 2)) for _ in range(count)]
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer = dropins.Adam(params, **options)
    optimizer.step()
    return optimizer, params


def test_each_tensor_has_a_storage_of_its_own() -> None:
    """So a file of one parameter's state holds no more than that."""
    optimizer, params = made()
    for p in params:
        for name, tensor in optimizer.state[p].items():
            assert tensor.untyped_storage().nbytes() == (4 if name == "step" else 32)


def test_tensors_stay_the_same_from_step_to_step() -> None:
    optimizer, params = made()
    before = dict(optimizer.state[params[0]])
    optimizer.step()
    assert all(optimizer.state[params[0]][name] is tensor for name, tensor in before.items())
    assert before["step"] == 2


def test_other_entries_are_kept() -> None:
    optimizer, params = made()
    optimizer.state[params[0]]["mine"] = torch.ones(1)
    optimizer.state["of all"] = {"word": 1}
    optimizer.step()
    assert optimizer.state[params[0]]["mine"] == 1
    assert optimizer.state["of all"] == {"word": 1}
    assert optimizer.state[params[0]]["step"] == 2


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ({"exp_avg": torch.ones(3)}, r"\['exp_avg'\]: expected a tensor of shape \(4, 2\), received \(3,\)"),
        ({"exp_avg": 1.0}, "expected a tensor of shape"),
        ({"exp_avg": None}, "expected step, exp_avg, exp_avg_sq, received"),
        ({"step": torch.tensor(-1.0)}, "whole number"),
        ({"step": torch.tensor(float("inf"))}, "whole number"),
    ],
)
def test_what_cannot_be_taken_over_is_refused_before_anything_changes(bad: dict[str, Any], match: str) -> None:
    optimizer, params = made()
    before = params[1].detach().clone()
    optimizer.state[params[0]].update(bad)
    with pytest.raises(ValueError, match=match):
        optimizer.step()
    assert torch.equal(params[1], before)
    assert optimizer.state[params[1]]["step"] == 1


def test_an_entry_that_is_no_dictionary() -> None:
    optimizer, _ = made()
    optimizer.state["odd"] = 1
    with pytest.raises(TypeError, match="dictionary"):
        optimizer.step()


def test_counts_go_on_where_float32_ends() -> None:
    optimizer, params = made(1)
    optimizer.state[params[0]]["step"].fill_(2.0**24)
    for _ in range(3):
        optimizer.step()
    assert optimizer._laid.plan.slot_of[0].steps == 2**24 + 3
