"""Networks that are trained in the backward pass, and beside it by the classic step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import fastopt.interop.torch as dropins
from fastopt.interop.torch import step_in_backward

__all__ = ["BUNCHES", "alike", "backward", "both", "classic", "loss", "network", "trained"]

BUNCHES = {"one by one": 0, "bunches": 3000, "together": 1 << 20}
"""Bytes of a bunch. Of the network's six gradients, of 7,200 at the most, the second has two bunches, one by itself, and two at the end."""


def network(seed: int = 0, dtype: Any = None) -> Any:
    torch.manual_seed(seed)
    layers = [torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 300), torch.nn.Tanh(), torch.nn.Linear(300, 2)]
    return torch.nn.Sequential(*layers).to(dtype)


def loss(model: Any, k: int) -> Any:
    made = torch.Generator().manual_seed(k)
    p = next(model.parameters())
    return model(torch.randn(5, 4, generator=made).to(p.dtype)).square().mean()


def classic(model: Any, optimizer: Any, steps: Any, before: Callable[[], Any] = lambda: None) -> None:
    for k in steps:
        optimizer.zero_grad()
        loss(model, k).backward()
        before()
        optimizer.step()


def backward(model: Any, steps: Any) -> None:
    for k in steps:
        loss(model, k).backward()


def trained(model: Any, optimizer: Any, steps: Any) -> None:
    """In the backward pass where there is no optimizer that has to be asked for a step."""
    if optimizer is None:
        backward(model, steps)
    else:
        classic(model, optimizer, steps)


def alike(ours: Any, theirs: Any, one: Any, other: Any) -> None:
    """Parameters and states, to the last bit."""
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(p, q)
        own, beside = one.state.get(p, {}), other.state.get(q, {})
        assert set(own) == set(beside)
        for name in own:
            assert torch.equal(own[name], beside[name]), name


def both(name: str = "Adam", given: dict[str, Any] | None = None, **options: Any) -> tuple[Any, Any, Any, Any]:
    ours, theirs = network(), network()
    cls = getattr(dropins, name)
    options = {"lr": 0.01, **options}
    return ours, theirs, step_in_backward(ours, cls, **options, **(given or {})), cls(theirs.parameters(), **options)
