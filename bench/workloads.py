"""The real data that networks are trained on, and their mini-batches.

- `digits`: scikit-learn's 1,797 handwritten digits, 64 pixels each; which of ten is it? (UCI, Alpaydin and Kaynak 1998)
- `china`: scikit-learn's photograph china.jpg, 273,280 pixels; which colour is at these coordinates?

Both come with scikit-learn, so nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .arrays import Array
from .layered import Layered, Run
from .losses import LossName
from .networks import Network

__all__ = ["WORKLOADS", "Rows", "Workload", "china", "digits", "endless_mini_batches", "mini_batches", "steps_per_epoch"]

Rows: TypeAlias = NDArray[np.intp] | slice

FREQUENCIES = 32
"""Sines and cosines each of the coordinates' feature map: 64 features, as many as a digit has pixels."""

FREQUENCY_SCALE = 10.0
"""Standard deviation of the frequencies in periods a picture; Tancik et al. find 10 about right for photographs."""

DROPOUT, L2 = 0.2, 1e-4
"""Of the network with all parts: the share of hidden units that is dropped, and the factor of the penalty on weights."""


@dataclass(frozen=True)
class Workload:
    """A data set: `x` float32 of shape (samples, features), `y` labels or float32 of shape (samples, outputs)."""

    name: str
    x: Array
    y: Array
    outputs: int
    loss: LossName

    @property
    def samples(self) -> int:
        return len(self.x)

    def network(self, hidden: tuple[int, ...]) -> Network:
        """The perceptron with these hidden layers that fits the data."""
        return Network((self.x.shape[1], *hidden, self.outputs), self.loss)

    def network_of_all_parts(self, hidden: tuple[int, ...]) -> Run:
        """The same with batch normalization, dropout and L2, at its beginning."""
        return Run(Layered((self.x.shape[1], *hidden, self.outputs), self.loss, batch_norm=True, dropout=DROPOUT, l2=L2))


@cache
def digits() -> Workload:
    """8 x 8 pixels scaled from 0 .. 16 to [0, 1], labels 0 .. 9."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return Workload("digits", (images / 16.0).astype(np.float32), labels.astype(np.intp), 10, "cross_entropy")


@cache
def china() -> Workload:
    """Coordinates in [0, 1) through a fixed random Fourier map, colours scaled to [0, 1].

        features(u) = [cos(2 pi B u), sin(2 pi B u)],   B normal, drawn once

    Without the map a perceptron of coordinates only learns a blur (Tancik et al., NeurIPS 2020).
    """
    from sklearn.datasets import load_sample_image

    image = load_sample_image("china.jpg")
    height, width, channels = image.shape
    rows, columns = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    coordinates = np.column_stack([rows.ravel(), columns.ravel()])
    frequencies = FREQUENCY_SCALE * np.random.default_rng(0).standard_normal((2, FREQUENCIES))
    angles = (2.0 * np.pi * (coordinates @ frequencies)).astype(np.float32)
    colours = (image.reshape(-1, channels) / 255.0).astype(np.float32)
    return Workload("china", np.hstack([np.cos(angles), np.sin(angles)]), colours, channels, "squared_error")


WORKLOADS = {"digits": digits, "china": china}


def steps_per_epoch(samples: int, batch: int) -> int:
    """How many mini-batches a data set is parted into; the last one has what remains."""
    return -(-samples // batch)


def mini_batches(samples: int, batch: int, generator: np.random.Generator) -> Iterator[Rows]:
    """One epoch: the samples in a new order, parted; each stands in exactly one mini-batch.

    A full batch needs no order, so it is the data itself and not a copy.
    """
    if batch >= samples:
        yield slice(None)
        return
    order = generator.permutation(samples)
    for start in range(0, samples, batch):
        yield order[start : start + batch]


def endless_mini_batches(samples: int, batch: int, seed: int) -> Iterator[Rows]:
    """One epoch after the other, each in an order of its own; the same for the same seed."""
    generator = np.random.default_rng(seed)
    while True:
        yield from mini_batches(samples, batch, generator)
