"""Trainings under the patch come to what scikit-learn's own come to: every option, every kind of data."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

import fastopt.interop.sklearn as dropin
from fastopt.interop.sklearn import training
from tests.documents import ROOT
from tests.interop.sklearn.beside import SOLVERS, data, estimator, run, same

OPTIONS: dict[str, dict[str, Any]] = {
    "tanh": {"activation": "tanh"},
    "logistic": {"activation": "logistic", "hidden_layer_sizes": 7},
    "identity": {"activation": "identity"},
    "no decay": {"alpha": 0.0},
    "one batch": {"batch_size": 1000},
    "auto": {"batch_size": "auto"},
    "in order": {"shuffle": False},
    "no layer": {"hidden_layer_sizes": ()},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.2},
    "stops": {"tol": 10.0, "n_iter_no_change": 2, "max_iter": 30, "verbose": True},
    "goes on for ever": {"n_iter_no_change": np.inf},
    "numbers of NumPy's": {"beta_1": np.float64(0.8), "learning_rate_init": np.float32(0.01), "alpha": np.float64(0.1)},
}
KINDS = ("classes", "two", "labels", "numbers", "counts", "sparse_classes", "sparse_numbers")


def both(kind: str, dtype: str, weighted: bool = False, **options: Any) -> None:
    x, y = data(kind, dtype)
    weights = {"sample_weight": np.random.default_rng(1).uniform(0.1, 2.0, size=len(y))} if weighted else {}
    runs = [run(lambda: estimator(kind, **options).fit(x, y, **weights), patched) for patched in (True, False)]
    same(runs[0].estimator, runs[1].estimator, dtype)
    assert runs[0].printed == runs[1].printed
    assert len(runs[0].printed) > 0 or not options.get("verbose")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", SOLVERS.values(), ids=SOLVERS)
def test_solvers(options: dict[str, Any], dtype: str) -> None:
    both("classes", dtype, **options)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options(options: dict[str, Any]) -> None:
    both("classes", "float64", **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_data(kind: str, dtype: str) -> None:
    both(kind, dtype, **({"loss": "poisson"} if kind == "counts" else {}))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["classes", "numbers"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_sample_weights(kind: str, dtype: str, early_stopping: bool) -> None:
    both(kind, dtype, weighted=True, early_stopping=early_stopping)


def test_a_batch_without_weight() -> None:
    """scikit-learn divides by zero, and says so; so does the patch."""
    x, y = data("numbers", "float64")
    weight = np.r_[np.zeros(16), np.ones(len(y) - 16)]
    for patched in (True, False):
        with pytest.raises((ValueError, ZeroDivisionError)) as raised:
            run(lambda: estimator("numbers", shuffle=False).fit(x, y, weight), patched)
        if patched:
            first = raised.value
    assert (type(first), str(first)) == (type(raised.value), str(raised.value))


def test_negative_weights_are_taken_as_they_are() -> None:
    x, y = data("numbers", "float64")
    weight = np.full(len(y), -1.0)
    ours, theirs = (run(lambda: estimator("numbers", max_iter=1).fit(x, y, weight), patched).estimator for patched in (True, False))
    same(ours, theirs, "float64")


@pytest.mark.parametrize("weight", [0.0, -2.0, np.inf, np.nan, 5e-324])
def test_sums_that_no_kernel_can_divide(weight: float) -> None:
    """They are finished as scikit-learn does, with its infinities."""
    found = []
    for patched in (True, False):
        params = [np.array([[1.0, -2.0]]), np.array([3.0, 0.5])]
        optimizer = SGDOptimizer(params, 0.1)
        grads: Any = training.Sums([np.array([[0.5, 0.25]]), np.array([1.0, -1.0])])
        grads.weight, grads.alpha = np.float64(weight), 0.25
        with np.errstate(all="ignore"), dropin.patched() if patched else nullcontext():
            if not patched:
                grads = [(grads[0] + 0.25 * params[0]) / grads.weight, grads[1] / grads.weight]
            optimizer.update_params(params, grads)
        found.append([*params, *optimizer.velocities])
    for own, other in zip(*found, strict=True):
        assert np.array_equal(own, other, equal_nan=True)


def test_the_loss_of_digits_in_float64_is_the_same_to_ten_digits() -> None:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x, y = x[:300] / 16, y[:300]
    ours, theirs = (
        run(lambda: MLPClassifier((64, 32), batch_size=16, max_iter=3, random_state=0).fit(x, y), patched).estimator
        for patched in (True, False)
    )
    assert [f"{loss:.10g}" for loss in ours.loss_curve_] == [f"{loss:.10g}" for loss in theirs.loss_curve_]


@pytest.mark.long
def test_scikit_learns_own_tests_pass_under_the_patch(tmp_path: Path) -> None:
    """All of its perceptrons' and optimizers', in a process where the patch is on."""
    pytest.importorskip("sklearn.neural_network.tests.test_mlp", reason="this scikit-learn comes without its tests")
    (tmp_path / "under_patch.py").write_text(
        "import fastopt.interop.sklearn\n\nfastopt.interop.sklearn.patch()\n\n\n"
        "def pytest_sessionfinish():\n    assert fastopt.interop.sklearn.is_patched()\n"
    )
    names = ["sklearn.neural_network.tests.test_mlp", "sklearn.neural_network.tests.test_stochastic_optimizers"]
    script = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import pytest; "
        f"sys.exit(pytest.main(['-q', '-p', 'under_patch', '-p', 'no:cacheprovider', '--pyargs', *{names!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
