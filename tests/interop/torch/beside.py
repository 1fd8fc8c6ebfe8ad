"""A drop-in beside torch's own class: the same parameters, gradients and options, in float64."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

import fastopt.interop.torch as dropins
from fastopt.interop.torch import optimizers

__all__ = ["NAMES", "OPTIONS", "both", "close", "fresh", "in_float64", "stepped"]

NAMES = [name for name in optimizers.__all__ if name != "Lion"]
OPTIONS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9, "dampening": 0.5},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Adagrad": {"initial_accumulator_value": 0.1, "lr_decay": 0.1},
    "Adam": {"amsgrad": True},
}


@pytest.fixture(autouse=True)
def in_float64() -> Any:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def fresh(*shapes: tuple[int, ...], seed: int = 0) -> list[Any]:
    made = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=made)) for shape in shapes or ((3, 4), (5,))]


def stepped(optimizer: Any, steps: int, seed: int = 1) -> Any:
    made = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = torch.randn(p.shape, generator=made).to(p.dtype)
        optimizer.step()
    return optimizer


def close(ours: list[Any], theirs: list[Any]) -> None:
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-13)


def both(name: str, **options: Any) -> tuple[Any, Any, list[Any], list[Any]]:
    ours, theirs = fresh(), fresh()
    options = {"lr": 0.01, **OPTIONS.get(name, {}), **options}
    return getattr(dropins, name)(ours, **options), getattr(torch.optim, name)(theirs, **options), ours, theirs
