"""All groups are laid out together: one call a kernel, and nothing done anew that need not be."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

import fastopt.interop.torch as dropins
from fastopt.host import threads


def parameters(count: int, dtype: Any = None) -> list[Any]:
    found = [torch.nn.Parameter(torch.ones(2 + k, dtype=dtype)) for k in range(count)]
    for p in found:
        p.grad = torch.ones_like(p)
    return found


def test_one_call_for_all_groups_of_one_kernel() -> None:
    groups = [{"params": parameters(3), "lr": 0.1 * (1 + k), "betas": (0.5, 0.5 + 0.1 * k), "maximize": k > 1} for k in range(3)]
    optimizer = dropins.Adam([*groups, {"params": parameters(2, torch.float64)}])
    optimizer.step()
    assert [len(batch.positions) for batch in optimizer._laid.plan.batches] == [9, 2]


def test_a_rate_or_other_numbers_are_changed_without_laying_out_anew() -> None:
    optimizer = dropins.Adam([{"params": parameters(2)}, {"params": parameters(2)}])
    optimizer.step()
    laid = optimizer._laid
    for name, value in [("lr", 0.5), ("betas", (0.1, 0.2)), ("maximize", True), ("eps", 1e-3), ("decoupled_weight_decay", True)]:
        optimizer.param_groups[1][name] = value
        optimizer.step()
        assert optimizer._laid is laid, name
    optimizer.param_groups[1]["weight_decay"] = 0.1  # decoupled, and so no other kernel
    optimizer.step()
    assert optimizer._laid is laid
    optimizer.param_groups[0]["weight_decay"] = 0.1
    states = laid.states.arrays[0]
    optimizer.step()
    assert optimizer._laid is not laid
    assert all(before is after for before, after in zip(states, optimizer._laid.states.arrays[0], strict=True))


def test_gradients_that_come_and_go_lay_nothing_out_anew() -> None:
    params = parameters(3)
    optimizer = dropins.RMSprop(params)
    optimizer.step()
    laid = optimizer._laid
    params[1].grad = None
    optimizer.step()
    params[1].grad = torch.ones_like(params[1])
    optimizer.step()
    assert optimizer._laid is laid
    assert [float(optimizer.state[p]["step"]) for p in params] == [3, 2, 3]


def test_as_many_threads_as_torch_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "available", lambda: 8)

    def taken(**options: Any) -> int:
        optimizer = dropins.SGD(parameters(1), lr=0.1, **options)
        optimizer.step()
        found: int = optimizer._laid.plan.batches[0].work.threads
        return found

    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert taken() == 3
    assert taken(num_threads=2) == 2
    monkeypatch.setenv("FASTOPT_NUM_THREADS", "5")
    assert taken() == 5


def test_a_group_without_parameters() -> None:
    params = parameters(1)
    optimizer = dropins.SGD([{"params": []}, {"params": params, "lr": 0.5}])
    optimizer.step()
    assert (params[0] == 0.5).all()
    optimizer.param_groups.append({**optimizer.param_groups[1], "params": []})
    optimizer.step()
    assert (params[0] == 0.0).all()


def test_compiled_training_steps() -> None:
    """torch.compile leaves the step as it is, between its graphs."""
    ends = []
    for compiled in (False, True):
        p = torch.nn.Parameter(torch.linspace(-1, 1, 7))
        optimizer = dropins.Adam([p], lr=0.1)

        def train(p: Any = p, optimizer: Any = optimizer) -> None:
            optimizer.zero_grad()
            (p**2).sum().backward()
            optimizer.step()

        run = torch.compile(train, backend="eager") if compiled else train
        for _ in range(4):
            run()
        assert optimizer.state[p]["step"] == 4
        ends.append(p.detach())
    assert torch.equal(*ends)
