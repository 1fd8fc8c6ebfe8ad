"""PyTorch, stepped in the backward pass: whole training steps beside the classic drop-in's and torch's own, and the memory they take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..interleave import Contender
from . import Work

__all__ = ["LIBRARY", "peak_bytes", "peak_line", "works"]

LIBRARY = "torch"
LR, CLASSES = 1e-3, 10
WAYS = ("fastopt", "classic", "torch")
"""In the backward pass; after it, by the drop-in; after it, by torch's own optimizer, fused."""

SIZES: dict[str, list[tuple[str, dict[str, int]]]] = {
    "smoke": [("mlp", {"layers": 2, "width": 8, "batch": 2})],
    "quick": [("mlp", {"layers": 6, "width": 1024, "batch": 32}), ("transformer", {"layers": 2, "width": 64, "batch": 8})],
    "full": [
        ("mlp", {"layers": 4, "width": 256, "batch": 32}),
        ("mlp", {"layers": 6, "width": 1024, "batch": 32}),
        ("mlp", {"layers": 6, "width": 2048, "batch": 32}),
        ("mlp", {"layers": 24, "width": 512, "batch": 32}),
        ("transformer", {"layers": 2, "width": 64, "batch": 8}),
        ("transformer", {"layers": 4, "width": 256, "batch": 4}),
    ],
}


def mlp(layers: int, width: int, batch: int) -> tuple[Any, Any]:
    """A perceptron of so many layers of one width, and a mini-batch."""
    import torch

    torch.manual_seed(0)
    parts: list[Any] = []
    for k in range(layers):
        parts += [torch.nn.Linear(width, CLASSES if k == layers - 1 else width), torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1]), torch.randn(batch, width)


def transformer(layers: int, width: int, batch: int) -> tuple[Any, Any]:
    """An encoder of so many layers with four heads, and a mini-batch of sequences of 16."""
    import torch

    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True)
    return torch.nn.TransformerEncoder(layer, layers, enable_nested_tensor=False), torch.randn(batch, 16, width)


NETWORKS: dict[str, Callable[..., tuple[Any, Any]]] = {"mlp": mlp, "transformer": transformer}


def training_step(way: str, network: str, **size: int) -> Callable[[], None]:
    """A whole training step, which leaves no gradient behind: forward, backward, Adam."""
    import torch

    import fastopt.interop.torch as dropins

    model, batch = NETWORKS[network](**size)
    if way == "fastopt":
        dropins.step_in_backward(model, dropins.Adam, lr=LR)

        def in_backward() -> None:
            model(batch).square().mean().backward()

        return in_backward
    optimizer = dropins.Adam(model.parameters(), lr=LR) if way == "classic" else torch.optim.Adam(model.parameters(), lr=LR, fused=True)

    def after_it() -> None:
        model(batch).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return after_it


def _contender(way: str, network: str, size: dict[str, int], threads: int) -> Contender:
    import torch

    torch.set_num_threads(threads)
    return Contender(training_step(way, network, **size), polls=True)


def works(profile: str) -> list[Work]:
    """Training steps, by the profile of the benchmark."""
    found = []
    for network, size in SIZES[profile]:
        label = f"step in backward, {network} of {size['layers']} layers, width {size['width']}, batch {size['batch']}"
        makers = {way: partial(_contender, way, network, size) for way in WAYS}
        found.append(Work(label, makers, _elements(network, size)))
    return found


def _elements(network: str, size: dict[str, int]) -> int:
    return sum(p.numel() for p in NETWORKS[network](**size)[0].parameters())


def peak_bytes(way: str, network: str = "mlp", *, layers: int = 6, width: int = 1024, batch: int = 32) -> int:
    """The most bytes that torch's allocator held within a training step beyond those before it: gradients, activations, what is passed on.

    Parameters and states exist before it. Counted by torch's profiler, from each allocation and each release, so it is the same every time.
    """
    import torch

    step = training_step(way, network, layers=layers, width=width, batch=batch)
    step()  # the states are made
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    held = most = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


def peak_line(network: str = "mlp", **size: int) -> str:
    """For the report: the peak of each way beside the size of the gradients."""
    size = {"layers": 6, "width": 1024, "batch": 32, **size}
    gradients = 4 * _elements(network, size)
    found = {way: peak_bytes(way, network, **size) for way in WAYS}
    mib = {name: f"{value / 2**20:.1f} MiB" for name, value in {**found, "gradients": gradients}.items()}
    saved = (found["classic"] - found["fastopt"]) / gradients
    return (
        f"{network} of {size['layers']} layers, width {size['width']}, batch {size['batch']}: at most {mib['fastopt']} within a training "
        f"step that steps in backward, {mib['classic']} with the step after it, {mib['torch']} with torch's fused Adam; of the gradients' "
        f"{mib['gradients']} {100 * saved:.0f} % less"
    )
