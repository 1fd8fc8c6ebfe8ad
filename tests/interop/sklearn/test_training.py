"""Trainings under the patch come to what scikit-learn's own come to: every option, every kind of data."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import copy
import pickle
import subprocess
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

import fastopt.interop.sklearn as dropin
from fastopt.interop.sklearn import training
from tests.documents import ROOT
from tests.interop.sklearn.beside import close, data, estimator, run, same

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
