"""The patch: what is put in the place of scikit-learn's methods, and when it is taken away.

It is the process's, for all threads. It is on while it was switched on, or a context is open, or a fit that began under it is running: so
no fit loses its step halfway, whoever ends a context in another thread.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache as once
from functools import wraps
from types import SimpleNamespace
from typing import Any

import numpy as np
import sklearn
from sklearn.neural_network import _multilayer_perceptron as perceptron
from sklearn.neural_network import _stochastic_optimizers as optimizers

from fastopt import functional
from fastopt.interop.sklearn import training
from fastopt.interop.sklearn.laid import KINDS

__all__ = ["is_patched", "patch", "patched", "unpatch"]

ABSENT = object()

_lock = threading.RLock()
_switched = False
_held = 0
_before: list[tuple[Any, str, Any]] = []


def patch() -> None:
    """Has scikit-learn's perceptrons train with fused steps from here on, until `unpatch`; a second call changes nothing.

    MLPClassifier and MLPRegressor with solver="adam" and solver="sgd": `fit`, `partial_fit`, `warm_start` and all arguments, on dense and
    sparse data of float32 and float64. Each step comes to scikit-learn's within rounding of the data's dtype; training makes more
    of a rounding, in float32 soon (`fastopt.interop.sklearn.training` has figures). Estimators that were fitted without the patch go on
    under it, and the other way round; their pickles load where there is no fastopt. Subclasses that override `_backprop` or
    `_compute_loss_grad` keep those, and get the fused update alone. Parameters that no kernel can write to are left to scikit-learn. Steps
    run in at most as many threads as scikit-learn's own loops, unless FASTOPT_NUM_THREADS says another number.

    The patch is this process's. Workers of joblib's "loky" begin without one, and come to the same results at scikit-learn's pace; with

        joblib.parallel_config("loky", initializer=fastopt.interop.sklearn.patch)

    they have it too.

    Raises RuntimeError, with nothing changed, for a release of scikit-learn whose perceptrons are made otherwise.
    """
    global _switched
    with _lock:
        _put_in_place()
        _switched = True


def unpatch() -> None:
    """Ends what `patch` began: scikit-learn's own methods are in their places again, the very same objects.

    As soon as no context is open and no fit is running that began under the patch. Without one this changes nothing.
    """
    global _switched
    with _lock:
        _switched = False
        _take_away()


@contextmanager
def patched() -> Iterator[None]:
    """The patch for as long as the context is open, as `patch`; contexts may nest, and end with an exception.

    Raises RuntimeError as `patch`.
    """
    global _held
    with _lock:
        _put_in_place()
        _held += 1
    try:
        yield
    finally:
        with _lock:
            _held -= 1
            _take_away()


def is_patched() -> bool:
    """Whether a fit that begins now would take fused steps."""
    return bool(_before)


def _put_in_place() -> None:
    if _before:
        return
    reason = _unknown()
    if reason is not None:
        raise RuntimeError(f"scikit-learn {sklearn.__version__} cannot be patched: {reason}")
    base = perceptron.BaseMultilayerPerceptron
    own = wraps(base._compute_loss_grad)(training.loss_grad(base._compute_loss_grad))
    fit = wraps(base._fit_stochastic)(training.fit_stochastic(base._fit_stochastic, base, own, patched))
    rows = wraps(perceptron._safe_indexing)(training.rows(perceptron._safe_indexing))
    places: list[tuple[Any, str, Callable[..., Any]]] = [
        (base, "_compute_loss_grad", own),
        (base, "_fit_stochastic", fit),
        (perceptron, "_safe_indexing", rows),
    ]
    for name, kind in KINDS.items():
        owner = getattr(optimizers, name)
        places.append((owner, "update_params", wraps(owner.update_params)(training.update_params(owner.update_params, owner, kind))))
    for owner, name, method in places:
        _before.append((owner, name, vars(owner).get(name, ABSENT)))
        setattr(owner, name, method)


def _take_away() -> None:
    if _switched or _held:
        return
    while _before:
        owner, name, method = _before.pop()
        if method is ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, method)


PARAMETERS = {
    "_fit_stochastic": ("X", "y", "activations", "deltas", "coef_grads", "intercept_grads", "layer_units", "incremental"),
    "_compute_loss_grad": ("activations", "deltas", "coef_grads", "intercept_grads"),
    "_backprop": ("coef_grads", "intercept_grads"),
}
"""Of scikit-learn's methods, what each has to take at the least."""


@once
def _unknown() -> str | None:
    """What of this scikit-learn is made otherwise than is known here (releases from 1.5 on), or None."""
    base: Any = getattr(perceptron, "BaseMultilayerPerceptron", None)
    for name, expected in PARAMETERS.items():
        method = getattr(base, name, None)
        if method is None:
            return f"BaseMultilayerPerceptron has no {name}"
        parameters = inspect.signature(method).parameters
        missing = [parameter for parameter in expected if parameter not in parameters]
        if missing:
            return f"{name} does not take {', '.join(missing)}"
        if name == "_compute_loss_grad" and len(parameters) != 7:
            return f"{name} takes {', '.join(parameters)}"
    if "axis" not in inspect.signature(getattr(perceptron, "_safe_indexing", lambda: None)).parameters:
        return "its perceptrons do not use _safe_indexing(X, indices, axis=...)"
    for name, kind in KINDS.items():
        owner: Any = getattr(optimizers, name, None)
        used: Any = getattr(perceptron, name, None)
        if owner is None or not hasattr(owner, "update_params"):
            return f"there is no {name}.update_params"
        if used is not owner:
            return f"its perceptrons do not use {name}"
        try:
            made = owner([np.zeros(1)])
        except Exception as error:
            return f"{name} cannot be made: {error!r}"
        missing = [attribute for attribute in (*kind.arguments, *kind.states) if not hasattr(made, attribute)]
        if missing:
            return f"{name} has no {', '.join(missing)}"
    try:
        return _other_gradients(base) or _other_steps()
    except Exception as error:
        return f"its methods cannot be tried: {error!r}"


def _other_gradients(base: Any) -> str | None:
    rows = np.array([[1.0, -2.0], [3.0, 0.5]])
    delta = np.array([[0.25], [-1.5]])
    stub = SimpleNamespace(alpha=0.3, coefs_=[np.array([[2.0], [-1.0]])])
    coefs, intercepts = [np.zeros((2, 1))], [np.zeros(1)]
    base._compute_loss_grad(stub, 0, 4, [rows], [delta], coefs, intercepts)
    same = np.allclose(coefs[0], (rows.T @ delta + 0.3 * stub.coefs_[0]) / 4, rtol=1e-12, atol=0.0)
    return None if same and np.isclose(intercepts[0][0], delta.sum() / 4) else "_compute_loss_grad computes another gradient"


def _other_steps() -> str | None:
    """Two steps of each optimizer beside fastopt's in NumPy, with arguments that are no defaults."""
    gradients = [np.array([0.3, -2.0, 1e-3]), np.array([-1.0, 0.25, 0.5])]
    for nesterov in (False, True):
        theirs, ours = np.ones(3), np.ones(3)
        sgd, velocity = optimizers.SGDOptimizer([theirs], 0.05, momentum=0.6, nesterov=nesterov), np.zeros(3)
        for step, gradient in enumerate(gradients, 1):
            sgd.update_params([theirs], [gradient])
            rule = "nesterov_velocity" if nesterov else "velocity"
            functional.apply(rule, ours, gradient, velocity, step=step, lr=0.05, momentum=0.6, backend="numpy")
        if not np.allclose(theirs, ours, rtol=1e-12, atol=0.0):
            return f"SGDOptimizer makes another step with nesterov={nesterov}"
    theirs, ours, m, v = np.ones(3), np.ones(3), np.zeros(3), np.zeros(3)
    adam = optimizers.AdamOptimizer([theirs], 0.05, 0.8, 0.95, 1e-3)
    for step, gradient in enumerate(gradients, 1):
        adam.update_params([theirs], [gradient])
        options: dict[str, Any] = {"betas": (0.8, 0.95), "eps": 1e-3, "eps_hat": True, "backend": "numpy"}
        functional.apply("adam", ours, gradient, m, v, step=step, lr=0.05, **options)
    return None if np.allclose(theirs, ours, rtol=1e-12, atol=0.0) else "AdamOptimizer makes another step"
