"""The list of storages, and what is read from optimizers that have them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import fastopt
from bench.narrow import storages
from bench.narrow.storages import FLOAT32, STORAGES, Given

pytest.importorskip("ml_dtypes")

LABELS = [given.label for given in storages.here()]


@pytest.fixture
def _one_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(storages, "STORAGES", (*STORAGES, Given("three bits", {"state_dtype": "float3"})))
    storages.refusals.cache_clear()
    yield
    storages.refusals.cache_clear()


def test_float32_is_the_first_and_there_with_some_narrow_ones() -> None:
    assert storages.here()[0] is FLOAT32
    assert FLOAT32 == ("float32", {}, "float32")
    assert {"float16", "bfloat16, to nearest"} < set(LABELS)
    assert len({given.label for given in STORAGES}) == len(STORAGES)


@pytest.mark.usefixtures("_one_that_there_is_not")
def test_one_that_is_refused_is_left_out_and_named() -> None:
    assert [given.label for given in storages.here()] == LABELS
    assert "state_dtype: expected one of" in storages.refusals()["three bits"]
    assert storages.said().endswith("three bits.")
    assert storages.look_of("three bits") not in [storages.look_of(label) for label in LABELS]


@pytest.mark.parametrize("label", LABELS)
def test_what_is_held_is_what_memory_grew_by(label: str) -> None:
    given = next(given for given in STORAGES if given.label == label)
    p = np.zeros(1 << 20, np.float32)
    storages.built(fastopt.Adam, p[:8_192], given)  # what is made once is made; fewer may be kept wide
    tracemalloc.start()
    try:
        optimizer = storages.built(fastopt.Adam, p, given)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert storages.bytes_held(optimizer) == pytest.approx(grown, rel=0.02)


def test_bytes_by_hand() -> None:
    p = np.zeros(1_000, np.float32)
    held = {"float32": 8_000, "float16": 4_000, "bfloat16, to nearest": 4_000}
    moved = {"float32": 28.0, "float16": 20.0, "bfloat16, to nearest": 20.0}
    found = {given.label: storages.built(fastopt.Adam, p, given) for given in storages.here() if given.label in held}
    assert {label: storages.bytes_held(own) for label, own in found.items()} == held
    assert {label: storages.bytes_moved(own) for label, own in found.items()} == moved


def test_arrays_within_whatever_a_state_is_made_of() -> None:
    class Blocks:
        def flat_state(self) -> dict[str, list[Any]]:
            codes, scales = np.zeros(512, np.uint8), np.zeros(2, np.float32)
            return {"m": [{"codes": codes, "scales": scales}, None], "v": [(codes, scales)], "a": ["name"]}

    assert storages.bytes_held(Blocks()) == 2 * (512 + 8)


@pytest.mark.parametrize("label", LABELS)
def test_the_numbers_of_a_state(label: str) -> None:
    """Of the first step: a tenth of the gradient, and a thousandth of its square. There are enough elements to be kept narrow."""
    given = next(given for given in STORAGES if given.label == label)
    g = np.random.default_rng(0).uniform(0.5, 1.0, 5_000).astype(np.float32)
    optimizer = storages.built(fastopt.Adam, [np.zeros(5_000, np.float32)], given)
    optimizer.step([g])
    for name, expected in (("m", 0.1 * g), ("v", 0.001 * g * g)):
        (found,) = storages.numbers_of(optimizer, name)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6 if given is FLOAT32 else 0.1)


def test_to_nearest_is_to_nearest() -> None:
    import ml_dtypes

    given = next(given for given in STORAGES if given.label == "bfloat16, to nearest")
    g = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    optimizer = storages.built(fastopt.Adam, [np.zeros(500, np.float32)], given)
    optimizer.step([g])
    beside = fastopt.Adam([np.zeros(500, np.float32)])
    beside.step([g])
    expected = beside.flat_state()["m"][0].astype(ml_dtypes.bfloat16).astype(np.float32)
    assert storages.numbers_of(optimizer, "m")[0].tolist() == expected.tolist()
