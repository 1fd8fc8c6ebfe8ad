"""Which storage a state has, and what becomes of training in it: beside float32, element by element, and each with a control that fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.optimizers.converted import numbers
from fastopt.rules.entry import RULES
from fastopt.storage import STORAGES
from fastopt.storage.choice import Choice, taken

pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")

Array = np.ndarray[Any, Any]
SINGLE = STORAGES["float32"]


def held(optimizer: Any) -> dict[str, Array]:
    """What the states stand for, by name."""
    state = optimizer.state_dict()["state"]
    return {name: numbers(values, state.get(f"{name}_scale")) for name, values in state.items() if not name.endswith("_scale")}


def test_which_storage_a_state_has() -> None:
    def of(rule: str, size: int, *arguments: Any) -> list[str]:
        return [storage.name for storage in taken(*arguments, None).of(RULES[rule], SINGLE, size)]

    assert of("adam", 10_000, "int8", None, None) == ["signed8", "unsigned8"]
    assert of("adam", 4095, "int8", None, None) == ["float32", "float32"]
    assert of("adam", 10, "int8", None, 0) == ["signed8", "unsigned8"]
    assert of("adam", 10, "bfloat16", None, None) == ["drawn_bfloat16"] * 2
    assert of("adam", 10, "bfloat16", False, None) == ["bfloat16"] * 2
    assert of("adam", 10, "bfloat16", None, 11) == ["float32"] * 2
    assert of("schedule_free_adamw", 5000, "int8", None, None) == ["float32", "unsigned8"]
    assert of("adam", 10, None, None, None) == ["float32"] * 2


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (("int8", False, None), ValueError, r"^stochastic_rounding: expected None or True beside state_dtype='int8'"),
        (("float16", True, None), ValueError, r"^stochastic_rounding: expected None or False beside state_dtype='float16'"),
        ((None, True, None), ValueError, r"^stochastic_rounding: expected None or False beside state_dtype=None"),
        (("bfloat16", 1, None), TypeError, r"^stochastic_rounding: expected True or False, received"),
        (("int8", None, -1), ValueError, r"^narrow_from: expected an integer >= 0, received -1"),
        (("int8", None, 2.0), TypeError, r"^narrow_from: "),
        ((None, None, 5), ValueError, r"^narrow_from: expected None without a state_dtype, received 5"),
    ],
)
def test_arguments_that_are_refused(given: tuple[Any, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        fastopt.Adam(np.ones(3, np.float32), **dict(zip(vars(Choice()), given, strict=False)))


def test_int8_beside_float64_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^state_dtype: expected one that is computed with in float64, as params of float64 is, received int8$"
    ):
        fastopt.Adam(np.ones(5000), state_dtype="int8")


def test_states_that_are_said_to_be_non_negative_are_and_others_are_not() -> None:
    """The table beside what happens: 30 steps on random gradients."""
    rng = np.random.default_rng(0)
    for name, rule in RULES.items():
        optimizer = fastopt.Optimizer(rng.standard_normal(500), rule, lr=0.01, weight_decay=0.01, backend="numpy")
        for _ in range(30):
            optimizer.step(rng.standard_normal(500))
        for state, values in optimizer.state_dict()["state"].items():
            assert (values.min() >= 0) == (state in rule.non_negative), (name, state)


class Beside:
    """An optimizer in float32, and others in narrow storage, on the same gradients; each step is from parameters of 0, at a rate of 1."""

    def __init__(self, size: int, narrow: dict[str, dict[str, Any]], **options: Any) -> None:
        self.params = {name: np.zeros(size, np.float32) for name in ("float32", *narrow)}
        every = {"float32": {}, **narrow}
        self.optimizers = {name: fastopt.Adam(p, 1.0, **every[name], **options) for name, p in self.params.items()}

    def step(self, gradient: Array) -> dict[str, Array]:
        """The updates, by storage."""
        for name, p in self.params.items():
            p[...] = 0.0
            self.optimizers[name].step(gradient)
        return {name: p.astype(np.float64) for name, p in self.params.items()}

    def root(self, name: str) -> Array:
        """The root of the second moment."""
        return np.sqrt(held(self.optimizers[name])["v"].astype(np.float64))


NARROW: dict[str, dict[str, Any]] = {
    "int8": {"state_dtype": "int8"},
    "bfloat16": {"state_dtype": "bfloat16"},
    "to nearest": {"state_dtype": "bfloat16", "stochastic_rounding": False},
}


def test_updates_over_five_thousand_steps_with_a_drop_of_scale() -> None:
    """Gradients become ten times smaller half way. Rounded to nearest, the second moment stays behind, and updates with it."""
    rng, beside = np.random.default_rng(0), Beside(4096, NARROW)
    products = dict.fromkeys(NARROW, (0.0, 0.0, 0.0, 0.0))
    for step in range(5000):
        updates = beside.step(rng.standard_normal(4096, dtype=np.float32) * np.float32(0.1 if step >= 2500 else 1.0))
        if step % 25 == 0:
            a = updates["float32"]
            for name in NARROW:
                b = updates[name]
                products[name] = tuple(x + y for x, y in zip(products[name], (a @ a, a @ b, b @ b, (a - b) @ (a - b)), strict=True))  # type: ignore[assignment]
    for name in NARROW:
        aa, ab, bb, differences = products[name]
        cosine, error = ab / np.sqrt(aa * bb), differences / aa
        root = float(np.median(beside.root(name) / beside.root("float32")))
        good = cosine > 0.99, error < 0.01, abs(root - 1) < 0.05
        assert all(good) if name != "to nearest" else not any(good[1:]), (name, cosine, error, root)


@pytest.mark.parametrize(
    ("ratio", "least", "most"), [(30, 0.9, 1.2), (100, 0.9, 1.5), (250, 0.9, 2.0), (1000, 0.5, 1.5), (10_000, 0.1, 1.0)]
)
def test_a_wide_range_within_a_block(ratio: int, least: float, most: float) -> None:
    """Some elements' gradients are so many times larger: the others' largest updates stay about as large as they were, or are smaller."""
    rng, beside = np.random.default_rng(0), Beside(4096, {"int8": {"state_dtype": "int8"}})
    scale = np.ones(4096, np.float32)
    scale[::256] = ratio
    largest = dict.fromkeys(beside.params, 0.0)
    for step in range(1500):
        for name, update in beside.step(rng.standard_normal(4096, dtype=np.float32) * scale).items():
            if step >= 100:
                largest[name] = max(largest[name], float(np.abs(update[scale == 1.0]).max()))
    assert least < largest["int8"] / largest["float32"] < most


@pytest.mark.parametrize("name", ["int8", "bfloat16"])
def test_an_element_without_a_gradient_stays_where_it_is(name: str) -> None:
    rng = np.random.default_rng(0)
    p = rng.standard_normal(4096).astype(np.float32)
    start = p.copy()
    optimizer = fastopt.Adam(p, 0.1, **NARROW[name])
    for _ in range(300):
        g = rng.standard_normal(4096).astype(np.float32)
        g[7::64] = 0.0
        optimizer.step(g)
    assert (p[7::64] == start[7::64]).all()
    assert (p != start).sum() == 4096 - 64


def test_one_that_gets_no_gradients_any_more_comes_to_rest() -> None:
    """Its first moment becomes 0, though its block goes on."""
    rng = np.random.default_rng(0)
    optimizer = fastopt.Adam(np.zeros(4096, np.float32), state_dtype="int8")
    for step in range(400):
        g = rng.standard_normal(4096).astype(np.float32)
        if step > 50:
            g[::2] = 0.0
        optimizer.step(g)
    assert (held(optimizer)["m"][::2] == 0).all()
    assert (held(optimizer)["v"][::2] > 0).all()


@pytest.mark.parametrize("backend", ["numpy", "numba", "cython"])
def test_a_gradient_that_shares_memory_with_scales_is_refused(backend: str) -> None:
    if fastopt.available_backends()[backend] is not True:
        pytest.skip(f"{backend} is not there")
    params = [np.zeros(20 * 256, np.float32), np.zeros(5, np.float32)]
    optimizer = fastopt.Adam(params, state_dtype="int8", backend=backend)
    scales = optimizer._states[0][-1]
    assert scales.shape == (20,)
    for start in (0, 15):
        with pytest.raises(ValueError, match=r"(and|^)( ?)state 3 of params\[0\] .*overlap in memory"):
            optimizer.step([np.ones_like(params[0]), scales[start : start + 5]])
    assert optimizer.steps == 0
