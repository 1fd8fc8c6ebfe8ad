"""Estimators trained with the patch and without it, on data of every kind that they take."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.neural_network import MLPClassifier, MLPRegressor

import fastopt.interop.sklearn as dropin

SAMPLES, FEATURES = 67, 5
"""The last batch of an epoch is shorter than the others for every size that the tests take."""

SOLVERS: dict[str, dict[str, Any]] = {
    "adam": {"solver": "adam", "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "learning_rate_init": 0.02},
    "nesterov": {"solver": "sgd", "momentum": 0.7, "learning_rate_init": 0.05},
    "heavy ball": {"solver": "sgd", "momentum": 0.7, "nesterovs_momentum": False, "learning_rate_init": 0.05},
    "no momentum": {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.1},
    "all momentum": {"solver": "sgd", "momentum": 1.0, "learning_rate_init": 0.01},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3, "learning_rate_init": 0.2},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "tol": 10.0,
        "n_iter_no_change": 1,
        "learning_rate_init": 0.1,
        "max_iter": 9,
    },
}
"""Arguments of estimators, by what they have for an optimizer."""


def data(kind: str, dtype: str) -> tuple[Any, Any]:
    """Samples and targets: `classes`, `two`, `labels` (more than one each), `numbers`, `counts`; `sparse_` in front of any."""
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(SAMPLES, FEATURES)).astype(dtype)
    sums = rows @ rng.normal(size=(FEATURES, 3))
    targets: dict[str, Any] = {
        "classes": sums.argmax(axis=1),
        "two": np.where(sums[:, 0] > 0, "yes", "no"),
        "labels": (sums > 0).astype(int),
        "numbers": np.sin(sums[:, :2]),
        "counts": rng.poisson(np.exp(0.3 * sums[:, 0])),
    }
    name = kind.removeprefix("sparse_")
    return (sparse.csr_matrix(np.where(rows > 0, rows, 0)) if name != kind else rows), targets[name]


def estimator(kind: str, **options: Any) -> Any:
    """One that fits the data, small."""
    regression = kind.removeprefix("sparse_") in ("numbers", "counts")
    given = {"hidden_layer_sizes": (6, 4), "batch_size": 16, "max_iter": 4, "random_state": 3, "alpha": 0.05, **options}
    return (MLPRegressor if regression else MLPClassifier)(**given)


@dataclass
class Run:
    """What a training came to: the estimator and what it printed."""

    estimator: Any
    printed: str


def run(train: Callable[[], Any], under_patch: bool) -> Run:
    """A training, with the patch or without it. That it has not converged is no news."""
    with warnings.catch_warnings(), dropin.patched() if under_patch else nullcontext(), redirect_stdout(io.StringIO()) as shown:
        warnings.simplefilter("ignore")
        return Run(train(), shown.getvalue())


TOLERANCE = {"float64": 1e-11, "float32": 2e-4}
"""Relative to the largest number of an array: rounding, and what some dozen steps make of it."""


def same(ours: Any, theirs: Any, dtype: str) -> None:
    """Asserts that two estimators hold the same, and so do their optimizers."""
    close(ours.loss_curve_, theirs.loss_curve_, dtype)
    assert (ours.n_iter_, ours.t_, ours._no_improvement_count) == (theirs.n_iter_, theirs.t_, theirs._no_improvement_count)
    for name in ("coefs_", "intercepts_", "_best_coefs", "_best_intercepts"):
        for own, other in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert own.dtype == other.dtype
            close(own, other, dtype)
    if ours.validation_scores_ is not None:
        close(ours.validation_scores_, theirs.validation_scores_, dtype)
    mine, its = vars(ours._optimizer), vars(theirs._optimizer)
    assert type(ours._optimizer) is type(theirs._optimizer)
    assert list(mine) == list(its)
    for name, value in its.items():
        if isinstance(value, list):
            for own, other in zip(mine[name], value, strict=True):
                close(own, other, dtype)
        elif name == "learning_rate":
            close(mine[name], value, "float64")
        else:
            assert mine[name] == value, name


def close(own: Any, other: Any, dtype: str) -> None:
    """Asserts that two arrays are equal but for rounding."""
    own, other = np.asarray(own, float), np.asarray(other, float)
    assert own.shape == other.shape
    assert np.abs(own - other).max(initial=0.0) <= TOLERANCE[dtype] * np.abs(other).max(initial=1e-3)
