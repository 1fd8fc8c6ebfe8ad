"""fastopt.interop.keras beside Keras's own classes, on PyTorch: the step alone, and within training.

A process has one backend of Keras, chosen when Keras is first imported: where that is another one by now, there is nothing to measure.
"""

from __future__ import annotations

import os
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
    """Adam on many small tensors, and `train_on_batch` of four layers; none where Keras is on another backend than PyTorch."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    if keras.backend.backend() != "torch":
        return []
    import fastopt.interop.keras as dropins

    count, size, width = SIZES[profile]
    kinds = {"fastopt": dropins.Adam, "keras": keras.optimizers.Adam}
    alone: dict[str, Callable[[int], Contender]] = {name: _alone(kind, count, size) for name, kind in kinds.items()}
    training: dict[str, Callable[[int], Contender]] = {name: _training(kind, width) for name, kind in kinds.items()}
    weights = 8 * width + 2 * width * width + width + 3 * width + 1
    return [
        Work(f"Adam.apply, {count:,} variables of {size:,}", alone, count * size),
        Work(f"train_on_batch, 4 layers of width {width}, batches of {BATCH}", training, weights, "training step"),
    ]


def _alone(kind: Any, count: int, size: int) -> Callable[[int], Contender]:
    def make(threads: int) -> Contender:
        import keras
        import torch

        torch.set_num_threads(threads)
        variables = [keras.Variable(torch.randn(size)) for _ in range(count)]
        gradients = [torch.randn(size) for _ in variables]
        optimizer = kind(1e-3)
        optimizer.build(variables)
        return Contender(lambda: optimizer.apply(gradients, variables), polls=threads > 1)

    return make


def _training(kind: Any, width: int) -> Callable[[int], Contender]:
    def make(threads: int) -> Contender:
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
