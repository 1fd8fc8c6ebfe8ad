"""scikit-learn's perceptron on its digits, with the patch and without it: a step is one epoch of mini-batches of 16, of a `fit`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..interleave import Contender
from . import Work

__all__ = ["LIBRARY", "works"]

LIBRARY = "sklearn"

SIZES: dict[str, list[tuple[int, int, str]]] = {
    "smoke": [(16, 64, "float64")],
    "quick": [(512, 1797, "float64"), (128, 1797, "float64")],
    "full": [(width, 1797, dtype) for width in (128, 512, 1024) for dtype in ("float64", "float32")],
}
"""Widths of both hidden layers, rows of the digits, and their dtype."""

BATCH, EPOCHS = 16, 2


def _contender(width: int, rows: int, dtype: str, patched: bool) -> Callable[[int], Contender]:
    def make(threads: int) -> Contender:
        from sklearn.datasets import load_digits
        from sklearn.neural_network import MLPClassifier
        from threadpoolctl import ThreadpoolController

        from fastopt.interop import sklearn as dropin

        digits, targets = load_digits(return_X_y=True)
        x, y = (digits[:rows] / 16).astype(dtype), targets[:rows]

        # BLAS's and OpenMP's; the patch takes as many as OpenMP may
        controller = ThreadpoolController()

        def fit() -> Any:
            with warnings.catch_warnings(), controller.limit(limits=threads), dropin.patched() if patched else nullcontext():
                warnings.simplefilter("ignore")  # it has not converged after two epochs
                return MLPClassifier((width, width), batch_size=BATCH, max_iter=EPOCHS, random_state=0).fit(x, y)

        # BLAS's threads poll for some milliseconds after the last product, and are the same under both
        return Contender(fit, makes=EPOCHS, polls=threads > 1)

    return make


def _elements(width: int) -> int:
    return int(np.sum([64 * width, width, width * width, width, width * 10, 10]))


def works(profile: str) -> list[Work]:
    """The cells of a profile ("smoke", "quick" or "full")."""
    return [
        Work(
            f"digits, ({width}, {width}), batch {BATCH}, {dtype}, {rows} rows",
            {"fastopt": _contender(width, rows, dtype, True), "sklearn": _contender(width, rows, dtype, False)},
            _elements(width),
            unit="epoch",
        )
        for width, rows, dtype in SIZES[profile]
    ]
