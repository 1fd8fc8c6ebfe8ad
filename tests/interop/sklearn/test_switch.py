"""The patch comes and goes: nested, with exceptions, in threads; what was there before is there again, and unknown releases are refused."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import sklearn
from sklearn.neural_network import _multilayer_perceptron as perceptron
from sklearn.neural_network import _stochastic_optimizers as optimizers
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

import fastopt.interop.sklearn as dropin
from fastopt.interop.sklearn import switch
from tests.interop.sklearn.beside import data, estimator

Base = perceptron.BaseMultilayerPerceptron


def standing() -> dict[str, Any]:
    """Every attribute of what the patch reaches into, and the modules' own, but for Python's notes of warnings and of what to pickle."""
    owners = (Base, perceptron.MLPClassifier, perceptron.MLPRegressor, optimizers.BaseOptimizer, AdamOptimizer, optimizers.SGDOptimizer)
    found = {f"{owner.__name__}.{name}": value for owner in owners for name, value in vars(owner).items() if name != "__slotnames__"}
    return found | {
        f"{module.__name__}.{name}": v for module in (perceptron, optimizers) for name, v in vars(module).items() if name[:2] != "__"
    }


ORIGINAL = standing()


def is_original() -> bool:
    """Whether every object is the very same, and none came or went."""
    now = standing()
    return now.keys() == ORIGINAL.keys() and all(now[name] is value for name, value in ORIGINAL.items())


@pytest.fixture(autouse=True)
def _put_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield
    dropin.unpatch()
    monkeypatch.undo()
    assert is_original()
    assert not dropin.is_patched()


def test_what_is_replaced_and_put_back() -> None:
    dropin.patch()
    assert dropin.is_patched()
    now = standing()
    assert {name for name, value in now.items() if ORIGINAL.get(name) is not value} == {
        "BaseMultilayerPerceptron._compute_loss_grad",
        "BaseMultilayerPerceptron._fit_stochastic",
        "AdamOptimizer.update_params",
        "SGDOptimizer.update_params",
        "sklearn.neural_network._multilayer_perceptron._safe_indexing",
    }
    dropin.unpatch()
    assert is_original()
    assert "update_params" not in vars(AdamOptimizer)


def test_the_switch_is_no_counter() -> None:
    dropin.unpatch()
    dropin.patch()
    once = standing()
    dropin.patch()
    assert standing() == once
    dropin.unpatch()
    assert is_original()
    dropin.unpatch()


def test_nested_contexts() -> None:
    with dropin.patched():
        with dropin.patched():
            assert dropin.is_patched()
        assert dropin.is_patched()
    assert is_original()


def test_contexts_and_the_switch_do_not_end_each_other() -> None:
    dropin.patch()
    with dropin.patched():
        pass
    assert dropin.is_patched()
    with dropin.patched():
        dropin.unpatch()
        assert dropin.is_patched()
    assert is_original()
    with dropin.patched():
        dropin.patch()
    assert dropin.is_patched()


def test_a_context_that_ends_with_an_exception() -> None:
    with pytest.raises(KeyError, match="'why'"), dropin.patched():
        raise KeyError("why")
    assert is_original()


def test_a_fit_that_fails_within_a_context() -> None:
    x, y = data("numbers", "float64")
    with pytest.raises(ValueError, match="early_stopping"), dropin.patched():
        estimator("numbers", early_stopping=True).partial_fit(x, y)
    assert is_original()


def test_a_context_as_a_decorator() -> None:
    @dropin.patched()
    def asked() -> bool:
        return dropin.is_patched()

    assert asked()
    assert asked()
    assert is_original()


def test_a_fit_ends_under_the_patch_that_it_began_under(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread takes the patch away in the middle, and it goes when the fit is done."""
    x, y = data("classes", "float64")
    begun, taken_away = threading.Event(), threading.Event()
    steps: list[bool] = []

    class Slow(perceptron.MLPClassifier):  # type: ignore[misc]
        def _update_no_improvement_count(self, *arguments: Any) -> None:
            super()._update_no_improvement_count(*arguments)
            steps.append(dropin.is_patched())
            begun.set()
            assert taken_away.wait(60)

    dropin.patch()
    monkeypatch.setattr(AdamOptimizer, "_get_updates", None)  # what scikit-learn's own step would call
    thread = threading.Thread(target=lambda: Slow((4,), max_iter=2, n_iter_no_change=9, tol=0.0).partial_fit(x, y, classes=np.unique(y)))
    thread.start()
    assert begun.wait(60)
    dropin.unpatch()
    assert dropin.is_patched()
    taken_away.set()
    thread.join(60)
    assert steps == [True]
    monkeypatch.undo()
    assert is_original()


def test_fits_in_threads_each_with_a_context_of_their_own() -> None:
    x, y = data("numbers", "float64")
    expected = estimator("numbers", n_iter_no_change=99).set_params(max_iter=1).partial_fit(x, y).coefs_[0]
    found: list[Any] = [None] * 8

    def train(k: int) -> None:
        for _ in range(5):
            with dropin.patched():
                found[k] = estimator("numbers").partial_fit(x, y).coefs_[0]

    threads = [threading.Thread(target=train, args=(k,)) for k in range(len(found))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert is_original()
    assert all(np.allclose(own, expected, rtol=1e-12) for own in found)


def test_what_is_replaced_shows_the_signature_and_the_words_of_scikit_learn() -> None:
    import inspect

    before = {name: inspect.signature(getattr(Base, name)) for name in ("_fit_stochastic", "_compute_loss_grad")}
    with dropin.patched():
        for name, signature in before.items():
            assert inspect.signature(getattr(Base, name)) == signature
        assert AdamOptimizer.update_params.__doc__ == optimizers.BaseOptimizer.update_params.__doc__


def another_step(self: Any, params: Any, grads: Any) -> None:
    """A step that a later release might make."""
    for p, g in zip(params, grads, strict=True):
        p -= self.learning_rate * g


def another_gradient(self: Any, layer: int, n: int, activations: Any, deltas: Any, coef_grads: Any, intercept_grads: Any) -> None:
    """A gradient without the L2 term."""
    coef_grads[layer] = activations[layer].T @ deltas[layer] / n
    intercept_grads[layer] = deltas[layer].sum(axis=0) / n


class Renamed:
    """An optimizer with other attributes."""

    def __init__(self, params: Any) -> None:
        self.first_moments = params

    update_params = another_step


@pytest.mark.parametrize(
    ("owner", "name", "instead", "words"),
    [
        (perceptron, "BaseMultilayerPerceptron", None, "BaseMultilayerPerceptron has no _fit_stochastic"),
        (Base, "_backprop", lambda self: None, "_backprop does not take coef_grads, intercept_grads"),
        (Base, "_compute_loss_grad", lambda self, activations, deltas, coef_grads, intercept_grads: None, "_compute_loss_grad takes self"),
        (Base, "_compute_loss_grad", another_gradient, "_compute_loss_grad computes another gradient"),
        (perceptron, "_safe_indexing", lambda table, indices: table[indices], "its perceptrons do not use _safe_indexing"),
        (optimizers, "AdamOptimizer", None, r"there is no AdamOptimizer\.update_params"),
        (perceptron, "AdamOptimizer", Renamed, "its perceptrons do not use AdamOptimizer"),
        (optimizers, "both", Renamed, "AdamOptimizer has no learning_rate_init, beta_1, beta_2, epsilon, ms, vs"),
        (optimizers.SGDOptimizer, "update_params", another_step, "SGDOptimizer makes another step with nesterov=False"),
        (AdamOptimizer, "update_params", another_step, "AdamOptimizer makes another step"),
    ],
)
def test_releases_that_are_made_otherwise(owner: Any, name: str, instead: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (optimizers, perceptron) if name == "both" else (owner,):
        monkeypatch.setattr(place, "AdamOptimizer" if name == "both" else name, instead, raising=False)
    switch._unknown.cache_clear()
    before = standing()
    for begin in (dropin.patch, dropin.patched().__enter__):
        with pytest.raises(RuntimeError, match=rf"^scikit-learn {sklearn.__version__} cannot be patched: {words}"):
            begin()
    assert standing() == before
    assert not dropin.is_patched()
    monkeypatch.undo()
    switch._unknown.cache_clear()


def test_without_scikit_learn_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "fastopt.interop.sklearn")
    with pytest.raises(ModuleNotFoundError, match=r"^fastopt\.interop\.sklearn takes scikit-learn: pip install 'fastopt\[sklearn\]'$"):
        importlib.import_module("fastopt.interop.sklearn")
