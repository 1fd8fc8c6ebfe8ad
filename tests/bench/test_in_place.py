"""NumPy in place is the reference to the last bit, whatever the pieces, and allocates nothing."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import fastopt
from bench import in_place
from bench.in_place import IN_PLACE, InPlace
from fastopt import RULES

SETTINGS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "momentum": {"momentum": 0.8, "dampening": 0.25},
    "adagrad": {"lr_decay": 0.1, "eps": 1e-3},
    "rmsprop": {"alpha": 0.7, "eps": 1e-3},
    "adam": {"betas": (0.8, 0.95), "eps": 1e-3},
}
SHAPES = [(3,), (8,), (2, 4), (1,), (), (0,), (5, 5), (16,), (17,), (4,), (5,)]


def _values(dtype: Any, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [np.asarray(generator.standard_normal(shape), dtype) for shape in SHAPES]


@pytest.mark.parametrize("elements", [8, 17, 1_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", IN_PLACE)
@pytest.mark.parametrize("own", [False, True], ids=["defaults", "other settings"])
def test_it_is_the_reference_to_the_last_bit(rule: str, dtype: Any, elements: int, own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_place, "PIECE", elements * np.dtype(dtype).itemsize)
    settings = SETTINGS[rule] if own else {}
    params, expected = _values(dtype, 0), _values(dtype, 0)
    optimizer = InPlace(params, rule, 0.01, **settings)
    reference = fastopt.Optimizer(expected, RULES[rule], 0.01, backend="numpy", **settings)
    for seed in (1, 2, 3):
        grads = _values(dtype, seed)
        kept = [g.copy() for g in grads]
        optimizer.step(grads)
        reference.step(grads)
        assert all(map(np.array_equal, grads, kept))
    for p, q in zip(params, expected, strict=True):
        np.testing.assert_array_equal(p, q)


def test_every_setting_has_the_default_that_fastopt_has() -> None:
    for name, formula in IN_PLACE.items():
        declared = {key: found.default for key, found in RULES[name].hyperparameters.items()}
        assert formula.defaults.items() <= declared.items()
        # what it does not have is off, but for the bias corrections of Adam, which it has and does not let choose
        assert all(declared[key] in (0.0, False, (True, True)) for key in declared.keys() - formula.defaults.keys())


@pytest.mark.parametrize("shapes", [[300_000], [1_000] * 100], ids=str)
def test_a_step_allocates_nothing(shapes: list[int]) -> None:
    params, grads = [np.ones(n, np.float32) for n in shapes], [np.ones(n, np.float32) for n in shapes]
    optimizer = InPlace(params)
    optimizer.step(grads)
    tracemalloc.start()
    try:
        optimizer.step(grads)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40_000, "more than the views of the arrays, of which each has at least 400,000 bytes in all"


def test_mappings_go_by_name() -> None:
    params = {"a": np.zeros(2, np.float32), "b": np.zeros(3, np.float32)}
    InPlace(params, "sgd", 1.0).step({"b": np.full(3, 2, np.float32), "a": np.full(2, 1, np.float32)})
    assert {name: p.tolist() for name, p in params.items()} == {"a": [-1, -1], "b": [-2, -2, -2]}
    optimizer = InPlace(params)
    with pytest.raises(TypeError, match=r"^grads: expected a mapping, as params; received list$"):
        optimizer.step([np.zeros(2, np.float32), np.zeros(3, np.float32)])
    with pytest.raises(ValueError, match=r"^grads: expected the names of params, \['a', 'b'\]; received \['a', 'c'\]$"):
        optimizer.step({"a": np.zeros(2, np.float32), "c": np.zeros(3, np.float32)})
    assert optimizer.steps == 0


@pytest.mark.parametrize(
    ("params", "options", "error", "words"),
    [
        ([np.zeros(2)], {"rule": "lion"}, ValueError, r"^rule: expected one of sgd, momentum, adagrad, rmsprop, adam, received 'lion'$"),
        ([np.zeros(2)], {"rule": "sgd", "eps": 1.0}, TypeError, r"^settings: expected some of \[\], received \['eps'\] for sgd$"),
        ([np.zeros(2), np.zeros(2, np.float32)], {}, ValueError, r"^params\[1\]: expected float32 or float64, the same for all; received"),
        ([np.zeros(2, np.float16)], {}, ValueError, r"^params\[0\]: expected float32 or float64, the same for all; received float16$"),
        (
            [np.zeros((4, 4)).T[1:, :2]],
            {},
            ValueError,
            r"^params\[0\]: expected a C-contiguous array that can be written to, received one with strides \(8, 32\)$",
        ),
        (
            [np.broadcast_to(np.zeros(2), (1, 2))],
            {},
            ValueError,
            r"^params\[0\]: expected a C-contiguous array that .*, received one that is read-only$",
        ),
    ],
)
def test_what_it_cannot_step_is_refused(params: list[np.ndarray], options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        InPlace(params, **options)


def test_other_gradients_are_refused_before_anything_changes() -> None:
    params = [np.ones(2, np.float32), np.ones((2, 2), np.float32)]
    optimizer = InPlace(params)
    good = [np.ones(2, np.float32), np.ones((2, 2), np.float32)]
    for grads, words in (
        (good[:1], r"^grads: expected 2 arrays, one for each parameter; received 1$"),
        ([good[0], good[0]], r"^grads\[1\]: expected shape \(2, 2\) and float32, received \(2,\) and float32$"),
        ([good[0], np.ones((2, 2))], r"^grads\[1\]: expected shape \(2, 2\) and float32, received \(2, 2\) and float64$"),
    ):
        with pytest.raises(ValueError, match=words):
            optimizer.step(grads)
    with pytest.raises(TypeError, match=r"^grads: expected a sequence, as params; received dict$"):
        optimizer.step(dict(enumerate(good)))  # type: ignore[arg-type]
    assert optimizer.steps == 0
    assert all((p == 1).all() for p in params)
