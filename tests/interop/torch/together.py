"""What functions that two processes run together are made of: a network, its training by one process and by two, and what is compared.

Gradients are means over two ranks. A sum of two numbers has one order and its half is exact, so what comes of them is compared with one
process to the last bit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

TOGETHER: list[Callable[[Path], None]] = []
RANKS = 2
OPTIONS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9, "weight_decay": 0.01},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "Adam": {"amsgrad": True},
}


def together(function: Callable[[Path], None]) -> Callable[[Path], None]:
    """Enters a function among those that are run."""
    TOGETHER.append(function)
    return function


def network(dtype: Any = torch.float32) -> Any:
    """Two layers that no two ranks divide evenly; the second rank's part of the last one is empty."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 1)).to(dtype)


def batch(step: int, rank: int, dtype: Any = torch.float32) -> Any:
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(10 * step + rank)).to(dtype)


def backward(model: Any, x: Any) -> None:
    model.zero_grad()
    model(x).square().sum().backward()


def alone(optimizer: Callable[[Any], Any], steps: int, model: Any = None, start: int = 0) -> tuple[Any, Any]:
    """What one process makes of all ranks' batches."""
    model = network() if model is None else model
    made = optimizer(model.parameters())
    for step in range(start, start + steps):
        found = []
        for rank in range(RANKS):
            backward(model, batch(step, rank, next(model.parameters()).dtype))
            found.append([p.grad for p in model.parameters()])
        for p, *gradients in zip(model.parameters(), *found, strict=True):
            p.grad = sum(gradients) / RANKS
        made.step()
    return model, made


def sharded(dtype: Any = torch.float32, shape: tuple[int, ...] = (RANKS,)) -> Any:
    model = network(dtype)
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=("copies", "parts")[-len(shape) :])
    for layer in (model[0], model[2], model):
        fully_shard(layer, mesh=mesh)
    return model


def train(model: Any, optimizer: Any, steps: int, start: int = 0) -> Any:
    rank = distributed.get_rank()
    for step in range(start, start + steps):
        backward(model, batch(step, rank, next(model.parameters()).dtype))
        optimizer.step()
    return model


def whole(tensor: Any) -> Any:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def same(model: Any, other: Any) -> None:
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(whole(p.detach()), whole(q.detach()))


def same_states(optimizer: Any, other: Any, model: Any, model_of_other: Any) -> None:
    for p, q in zip(model.parameters(), model_of_other.parameters(), strict=True):
        assert list(optimizer.state[p]) == list(other.state[q])
        for name, value in optimizer.state[p].items():
            assert torch.equal(whole(value), whole(other.state[q][name])), name


def refused(error: type[Exception], words: str) -> Any:
    return pytest.raises(error, match=re.escape(words))
