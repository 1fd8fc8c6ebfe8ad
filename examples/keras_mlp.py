"""A network in Keras on PyTorch, trained by Keras's Adam and by fastopt's: one import is the difference.

    python examples/keras_mlp.py [--epochs 6] [--width 256]

Both begin at the same parameters and see the same mini-batches, follow Keras's own schedule, decay the weights and clip the gradients'
global norm. Halfway the model is saved to a `.keras` file, which tells of Keras's own class, and goes on from there: with Keras's optimizer
as it was read, or with fastopt's in its place. Prints the losses, and what a whole training step (forward, backward, update) took.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"  # before Keras is imported

import keras
import numpy as np

import fastopt.interop.keras

BATCH, BATCHES = 32, 25


def network(width: int, optimizer: Any) -> Any:
    """Four layers."""
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(width, activation="relu") for _ in range(3)]
    model = keras.Sequential([keras.layers.Input((8,)), *hidden, keras.layers.Dense(1)])
    model.compile(optimizer=optimizer, loss="mse")
    return model


def data() -> tuple[Any, Any]:
    """Samples, and what is to be learned of them."""
    x = np.random.default_rng(1).standard_normal((BATCH * BATCHES, 8)).astype(np.float32)
    return x, np.sin(x.sum(axis=1, keepdims=True)) + x[:, :1] * x[:, 1:2]


class Times(keras.callbacks.Callback):
    """How long each training step took, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Looks at the clock."""
        self._begin = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks again."""
        self.seconds.append(time.perf_counter() - self._begin)


def train(ours: bool, epochs: int, width: int, file: Path) -> tuple[float, float]:
    """The loss of the last epoch, and the median seconds of a step."""
    kind = fastopt.interop.keras.Adam if ours else keras.optimizers.Adam
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, epochs * BATCHES)
    model = network(width, kind(schedule, weight_decay=1e-2, global_clipnorm=1.0))
    times = Times()
    fit = {"batch_size": BATCH, "shuffle": False, "verbose": 0, "callbacks": [times]}
    model.fit(*data(), epochs=epochs // 2, **fit)
    model.save(file)
    model = keras.models.load_model(file)  # with Keras's own optimizer, whoever wrote the file
    if ours:
        model.optimizer = fastopt.interop.keras.of(model.optimizer)
    history = model.fit(*data(), epochs=epochs - epochs // 2, **fit).history
    return history["loss"][-1], statistics.median(times.seconds)


def main() -> None:
    """Trains both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--width", type=int, default=256)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, ours in (("keras.optimizers.Adam", False), ("fastopt.interop.keras.Adam", True)):
            loss, seconds = train(ours, options.epochs, options.width, Path(folder) / "model.keras")
            print(f"{name:<27} loss {loss:.5f}   {1e3 * seconds:.2f} ms a step")


if __name__ == "__main__":
    main()
