"""What an estimator goes through besides one fit: partial fits, other data, clones, subclasses, pickles, searches."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import copy
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

import fastopt.interop.sklearn as dropin
from fastopt.interop.sklearn import training
from tests.interop.sklearn.beside import SOLVERS, close, data, estimator, run, same


@pytest.mark.parametrize("solver", ["adam", "nesterov", "adaptive"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_partial_fits_in_turns_with_and_without_the_patch(solver: str, dtype: str) -> None:
    """The patch comes and goes, also for pickles and copies on the way; each call goes on where the one before stopped."""
    x, y = data("classes", dtype)
    ours, theirs = estimator("classes", **SOLVERS[solver]), estimator("classes", **SOLVERS[solver])
    for turn, patched in enumerate((False, True, True, False, True, False)):
        run(lambda: ours.partial_fit(x, y, classes=np.unique(y)), patched)  # noqa: B023
        run(lambda: theirs.partial_fit(x, y, classes=np.unique(y)), under_patch=False)
        same(ours, theirs, dtype)
        if turn == 2:
            ours = copy.deepcopy(ours)
        if turn in (0, 1, 3):
            ours = pickle.loads(pickle.dumps(ours))


def test_arguments_that_are_set_between_partial_fits() -> None:
    x, y = data("numbers", "float64")
    ours, theirs = estimator("numbers"), estimator("numbers")
    for rate, beta, alpha in ((1e-3, 0.9, 0.1), (1e-2, 0.9, 0.0), (1e-2, 0.5, 0.2)):
        for each, patched in ((ours, True), (theirs, False)):
            if hasattr(each, "_optimizer"):
                each._optimizer.learning_rate_init, each._optimizer.beta_1 = rate, beta
            each.alpha = alpha
            run(lambda: each.partial_fit(x, y), patched)  # noqa: B023
        same(ours, theirs, "float64")


def test_parameters_that_are_replaced_between_partial_fits() -> None:
    x, y = data("classes", "float64")
    ours, theirs = estimator("classes"), estimator("classes")
    for each, patched in ((ours, True), (theirs, False)):
        run(lambda: each.partial_fit(x, y, classes=np.unique(y)), patched)  # noqa: B023
        each.coefs_[0] = np.asfortranarray(each.coefs_[0] * 2)
        each.intercepts_[1] = np.repeat(each.intercepts_[1], 2)[::2]
        each._optimizer.vs[2] = each._optimizer.vs[2] * 3
        run(lambda: each.partial_fit(x, y), patched)  # noqa: B023
    same(ours, theirs, "float64")


def test_data_of_another_dtype_than_the_parameters() -> None:
    for first, then in (("float64", "float32"), ("float32", "float64")):
        ours, theirs = estimator("numbers"), estimator("numbers")
        for dtype in (first, then, first):
            x, y = data("numbers", dtype)
            run(lambda: ours.partial_fit(x, y), under_patch=True)  # noqa: B023
            run(lambda: theirs.partial_fit(x, y), under_patch=False)  # noqa: B023
        same(ours, theirs, first)


@pytest.mark.parametrize("solver", ["adam", "invscaling"])
def test_warm_start(solver: str) -> None:
    x, y = data("classes", "float64")

    def train() -> Any:
        each = estimator("classes", warm_start=True, **SOLVERS[solver])
        return each.fit(x, y).set_params(max_iter=2).fit(x, y)

    same(run(train, True).estimator, run(train, False).estimator, "float64")


def test_lbfgs_is_left_alone() -> None:
    x, y = data("classes", "float64")
    ours, theirs = (run(lambda: estimator("classes", solver="lbfgs").fit(x, y), patched).estimator for patched in (True, False))
    for own, other in zip(ours.coefs_, theirs.coefs_, strict=True):
        assert np.array_equal(own, other)


@pytest.mark.parametrize("table", ["list", "array", "fortran", "csr", "csc"])
def test_rows_of_a_mini_batch_are_scikit_learns(table: str) -> None:
    from scipy import sparse
    from sklearn.utils import _safe_indexing

    x = np.arange(24.0).reshape(6, 4)
    made = {"list": x.tolist, "array": x.copy, "csr": lambda: sparse.csr_matrix(x), "csc": lambda: sparse.csc_matrix(x)}
    given = made[table]() if table in made else np.asfortranarray(x)
    for indices in (np.array([4, 0, 0]), np.array([], dtype=int), np.array([True, False, True, False, False, True]), [1, 2]):
        own, other = (find(given, indices) for find in (training.rows(_safe_indexing), _safe_indexing))
        assert type(own) is type(other)
        if isinstance(own, list):
            assert own == other
            continue
        own, other = (each.toarray() if sparse.issparse(each) else each for each in (own, other))
        assert own.flags.c_contiguous == other.flags.c_contiguous
        assert np.array_equal(own, other)
    assert np.array_equal(training.rows(_safe_indexing)(x, [1, 2], axis=1), x[:, 1:3])


def test_clones_have_nothing_of_the_patch() -> None:
    x, y = data("classes", "float64")
    fitted = run(lambda: estimator("classes").fit(x, y), under_patch=True).estimator
    assert vars(clone(fitted)) == vars(estimator("classes"))


def test_gradients_that_are_asked_for_outside_of_a_fit_are_scikit_learns() -> None:
    x, y = data("classes", "float64")
    fitted = run(lambda: estimator("classes").fit(x, y), under_patch=False).estimator
    one_hot = fitted._label_binarizer.transform(y).astype(bool)
    found = []
    for patched in (True, False):

        def train() -> Any:
            return fitted._backprop(x, one_hot, None, [x, None, None, None], [None] * 3, [None] * 3, [None] * 3)

        found.append(run(train, patched).estimator)
    assert found[0][0] == found[1][0]
    for own, other in zip(found[0][1] + found[0][2], found[1][1] + found[1][2], strict=True):
        assert np.array_equal(own, other)


class Clipped(MLPClassifier):
    """A subclass that does something to the gradients on their way."""

    def _backprop(self, *arguments: Any) -> Any:
        loss, coefs, intercepts = super()._backprop(*arguments)
        assert type(coefs) is list
        return loss, [np.clip(g, -0.01, 0.01) for g in coefs], intercepts


class Noisy(MLPClassifier):
    """Another one."""

    def _compute_loss_grad(self, layer: int, *arguments: Any) -> None:
        super()._compute_loss_grad(layer, *arguments)
        arguments[-2][layer] *= 0.5


@pytest.mark.parametrize("subclass", [Clipped, Noisy])
def test_what_a_subclass_does_to_gradients_is_done(subclass: type) -> None:
    x, y = data("classes", "float64")
    ours, theirs = (run(lambda: subclass((6,), max_iter=3, random_state=3, alpha=0.3).fit(x, y), p).estimator for p in (True, False))
    same(ours, theirs, "float64")


def test_fused_steps_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """And scikit-learn's own by no estimator of ordinary data."""
    with dropin.patched():
        pass  # which looks once whether it knows this release's steps
    monkeypatch.setattr(AdamOptimizer, "_get_updates", None)
    x, y = data("classes", "float32")
    fitted = run(lambda: estimator("classes").fit(x, y), under_patch=True).estimator
    assert fitted._optimizer.t == 4 * 5
    with pytest.raises(TypeError, match="not callable"):
        run(lambda: estimator("classes").fit(x, y), under_patch=False)


def test_what_no_kernel_can_take_is_scikit_learns() -> None:
    x, y = data("numbers", "float64")
    ours, theirs = estimator("numbers"), estimator("numbers")
    for each, patched in ((ours, True), (theirs, False)):
        run(lambda: each.partial_fit(x, y), patched)  # noqa: B023
        each.coefs_[1] = each.coefs_[1].astype(np.longdouble)
        run(lambda: each.partial_fit(x, y), patched)  # noqa: B023
    same(ours, theirs, "float64")
    ours.coefs_[1].flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        run(lambda: ours.partial_fit(x, y), under_patch=True)


def test_an_optimizer_that_goes_away_takes_its_layout_with_it() -> None:
    x, y = data("classes", "float64")
    before = len(training._laid)
    fitted = run(lambda: estimator("classes").fit(x, y), under_patch=True).estimator
    assert len(training._laid) == before + 1
    del fitted
    assert len(training._laid) == before


LOADS = """
import pickle, sys, warnings
sys.modules["fastopt"] = None
warnings.simplefilter("ignore")
with open(sys.argv[1], "rb") as file:
    fitted, x, y = pickle.load(file)
fitted.partial_fit(x, y)
assert not [name for name in sys.modules if name.startswith("fastopt.")]
with open(sys.argv[1], "wb") as file:
    pickle.dump(fitted, file)
"""


@pytest.mark.parametrize("solver", ["adam", "nesterov"])
def test_pickles_load_where_there_is_no_fastopt(solver: str, tmp_path: Path) -> None:
    x, y = data("classes", "float64")
    fitted = run(lambda: estimator("classes", **SOLVERS[solver]).fit(x, y), under_patch=True).estimator
    file = tmp_path / "estimator.pickle"
    file.write_bytes(pickle.dumps((fitted, x, y)))
    assert b"fastopt" not in file.read_bytes()
    done = subprocess.run([sys.executable, "-c", LOADS, str(file)], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    run(lambda: fitted.partial_fit(x, y), under_patch=True)
    same(pickle.loads(file.read_bytes()), fitted, "float64")


@pytest.mark.long
@pytest.mark.parametrize("backend", [None, "loky"])
def test_grid_searches(backend: str | None) -> None:
    """In this process, and in others, which have the patch as well where they are asked to begin with it."""
    joblib = pytest.importorskip("joblib")
    x, y = data("classes", "float64")

    def search() -> Any:
        return GridSearchCV(
            estimator("classes"),
            {"alpha": [0.01, 0.1], "learning_rate_init": np.array([1e-3, 1e-2])},
            cv=2,
            n_jobs=None if backend is None else 2,
        ).fit(x, y)

    theirs = run(search, under_patch=False).estimator
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if backend is None:
            ours = run(search, under_patch=True).estimator
        else:
            with joblib.parallel_config("loky", initializer=dropin.patch):
                ours = run(search, under_patch=True).estimator
                answers = joblib.Parallel(n_jobs=2)(joblib.delayed(dropin.is_patched)() for _ in range(4))
            assert answers == [True] * 4
    close(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], "float64")
    same(ours.best_estimator_, theirs.best_estimator_, "float64")
