"""fastopt.interop.torch beside torch's own fused Adam: the step alone, and training steps of a perceptron and of a small transformer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..interleave import Contender
from . import Work

__all__ = ["LIBRARY", "works"]

LIBRARY = "torch"
LR = 1e-4

LISTS = {"smoke": [10], "quick": [1, 1_000], "full": [1, 10, 100, 1_000]}
"""How many tensors of 1,000 a step alone is over."""

LARGE = {"smoke": 100_000, "quick": 64_000_000, "full": 64_000_000}
WIDTH = {"smoke": 16, "quick": 256, "full": 256}


def works(profile: str) -> list[Work]:
    """A step over lists and over one large tensor, and training steps."""
    lists = {f"Adam, {count:,} x 1,000": [1_000] * count for count in LISTS[profile]}
    lists[f"Adam, 1 x {LARGE[profile]:,}"] = [LARGE[profile]]
    width, features = WIDTH[profile], WIDTH[profile] // 4
    trained = {
        f"training, 4 layers of width {width}, batch 32": (perceptron, width),
        f"training, transformer of 2 layers of width {features}": (transformer, features),
    }
    of_lists = [Work(label, _each(_alone, sizes), sum(sizes)) for label, sizes in lists.items()]
    return of_lists + [Work(label, _each(_training, *made), _parameters(*made), "training step") for label, made in trained.items()]


def _each(make: Callable[..., Contender], *given: Any) -> dict[str, Callable[[int], Contender]]:
    """Both contenders, each made with a class and its arguments."""

    def contender(ours: bool) -> Callable[[int], Contender]:
        def of(threads: int) -> Contender:
            import torch

            import fastopt.interop.torch as dropins

            torch.set_num_threads(threads)
            torch.manual_seed(0)

            def build(params: Any) -> Any:
                return dropins.Adam(params, lr=LR) if ours else torch.optim.Adam(params, lr=LR, fused=True)

            return make(build, threads, *given)

        return of

    return {"fastopt": contender(ours=True), "torch fused": contender(ours=False)}


def _alone(build: Callable[[Any], Any], threads: int, sizes: list[int]) -> Contender:
    import torch

    params = [torch.randn(size, requires_grad=True) for size in sizes]
    for p in params:
        p.grad = torch.randn(p.shape)
    return Contender(build(params).step, polls=threads > 1)


def _training(build: Callable[[Any], Any], threads: int, network: Callable[[int], tuple[Any, Any, Any]], width: int) -> Contender:
    import torch

    model, x, y = network(width)
    optimizer = build(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return Contender(step, polls=threads > 1)


def perceptron(width: int) -> tuple[Any, Any, Any]:
    """Four layers, and a mini-batch of 32 for ten classes."""
    import torch
    from torch import nn

    hidden = [layer for _ in range(3) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(width, 10)), torch.randn(32, width), torch.randint(0, 10, (32,))


def transformer(width: int) -> tuple[Any, Any, Any]:
    """Two layers of four heads between an embedding of 64 characters and their logits, and 8 texts of 32."""
    import torch
    from torch import nn

    layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True)
    model = nn.Sequential(nn.Embedding(64, width), nn.TransformerEncoder(layer, 2), nn.Linear(width, 64), nn.Flatten(0, 1))
    return model, torch.randint(0, 64, (8, 32)), torch.randint(0, 64, (8 * 32,))


def _parameters(network: Callable[[int], tuple[Any, Any, Any]], width: int) -> int:
    return sum(p.numel() for p in network(width)[0].parameters())
