"""fastopt.interop.keras beside Keras's own classes, on PyTorch: the step alone, and within training.

A process has one backend of Keras, chosen when Keras is first imported: where that is another one by now, there is nothing to measure.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..interleave import Contender
from . import Work

__all__ = ["LIBRARY", "works"]

LIBRARY = "keras"
BATCH = 32
SIZES = {"smoke": (4, 100, 16), "quick": (100, 1_000, 256), "full": (100, 1_000, 256)}
"""By profile: how many tensors the step alone is made of, of how many elements each, and the network's width."""


def works(profile: str) -> list[Work]:
    """Adam on many small tensors, and `train_on_batch` of four layers; none where Keras is on another backend than PyTorch.

    Keras is imported by whoever makes a contender: to ask for the cells chooses no backend for the process.
    """
    if _backend() != "torch":
        return []
    count, size, width = SIZES[profile]
    alone: dict[str, Callable[[int], Contender]] = {name: _alone(name, count, size) for name in ("fastopt", "keras")}
    training: dict[str, Callable[[int], Contender]] = {name: _training(name, width) for name in ("fastopt", "keras")}
    weights = 8 * width + 2 * width * width + width + 3 * width + 1
    return [
        Work(f"Adam.apply, {count:,} variables of {size:,}", alone, count * size),
        Work(f"train_on_batch, 4 layers of width {width}, batches of {BATCH}", training, weights, "training step"),
    ]


def _backend() -> str:
    """The backend that this process's Keras has, or would have here."""
    if "keras" in sys.modules:
        return str(sys.modules["keras"].backend.backend())
    return os.environ.get("KERAS_BACKEND", "torch")


def _kind(name: str) -> Any:
    """Adam, the drop-in's or Keras's own."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    if name == "keras":
        from keras.optimizers import Adam
    else:
        from fastopt.interop.keras import Adam
    return Adam


def _alone(name: str, count: int, size: int) -> Callable[[int], Contender]:
    def make(threads: int) -> Contender:
        kind = _kind(name)
        import keras
        import torch

        torch.set_num_threads(threads)
        variables = [keras.Variable(torch.randn(size)) for _ in range(count)]
        gradients = [torch.randn(size) for _ in variables]
        optimizer = kind(1e-3)
        optimizer.build(variables)
        return Contender(lambda: optimizer.apply(gradients, variables), polls=threads > 1)

    return make


def _training(name: str, width: int) -> Callable[[int], Contender]:
    def make(threads: int) -> Contender:
        kind = _kind(name)
        import keras
        import torch

        torch.set_num_threads(threads)
        keras.utils.set_random_seed(0)
        hidden = [keras.layers.Dense(width, activation="relu") for _ in range(3)]
        model = keras.Sequential([keras.layers.Input((8,)), *hidden, keras.layers.Dense(1)])
        model.compile(optimizer=kind(1e-3), loss="mse")
        x = np.random.default_rng(0).standard_normal((BATCH, 8)).astype(np.float32)
        y = np.sin(x.sum(axis=1, keepdims=True))
        return Contender(lambda: model.train_on_batch(x, y), polls=threads > 1)

    return make
