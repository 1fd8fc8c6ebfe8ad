"""scikit-learn's perceptron on its digits, as it is and with fastopt's step: one line around the training is the difference.

    python examples/sklearn_digits.py [--epochs 6] [--width 512] [--dtype float64]

Both begin at the same parameters and see the same mini-batches of 16. The patched one stops halfway, goes through a pickle as one that is
loaded elsewhere would, and goes on with `partial_fit`. Prints losses and scores, and what an epoch took.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import time
from contextlib import nullcontext
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import fastopt.interop.sklearn


def train(patched: bool, epochs: int, width: int, dtype: str) -> tuple[Any, float]:
    """The classifier after so many epochs, and the median seconds of one."""
    rows, digits = load_digits(return_X_y=True)
    rows = (rows / 16).astype(dtype)
    model = MLPClassifier((width, width), batch_size=16, random_state=0)
    seconds = []
    for epoch in range(epochs):
        with fastopt.interop.sklearn.patched() if patched else nullcontext():
            begin = time.perf_counter()
            model.partial_fit(rows, digits, classes=np.unique(digits))
            seconds.append(time.perf_counter() - begin)
        if patched and epoch == epochs // 2:
            model = pickle.loads(pickle.dumps(model))
    return model, statistics.median(seconds)


def main() -> None:
    """Trains both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    options = parser.parse_args()
    rows, digits = load_digits(return_X_y=True)
    for name, patched in (("scikit-learn", False), ("patched", True)):
        model, seconds = train(patched, options.epochs, options.width, options.dtype)
        score = model.score((rows / 16).astype(options.dtype), digits)
        print(f"{name:<13} loss {model.loss_:.5g}   score {score:.4f}   {1e3 * seconds:.0f} ms an epoch")


if __name__ == "__main__":
    main()
