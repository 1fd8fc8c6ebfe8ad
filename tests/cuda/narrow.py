"""Arrays of narrow storage for tests: every pattern of bits in them, and how two are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastopt.crosscheck import awkward_arrays
from fastopt.storage import STORAGES

Array = np.ndarray[Any, Any]

COMBINATIONS = [
    ("float32", "float32", "bfloat16"),
    ("float32", "float32", "float16"),
    ("float32", "bfloat16", "float32"),
    ("bfloat16", "bfloat16", "float32"),
    ("bfloat16", "bfloat16", "bfloat16"),
    ("bfloat16", "float16", "bfloat16"),
    ("float16", "float16", "float16"),
    ("float16", "float32", "bfloat16"),
]
"""Of parameters, gradients and states."""


def arrays_of(lengths: Sequence[int], storage: str, rng: np.random.Generator, special: bool = True) -> list[Array]:
    """Random arrays; with `special`, any patterns among them where the storage is narrow, and values of note where it is not."""
    if STORAGES[storage].texts is None:
        return [a.copy() for a in awkward_arrays(lengths, storage, rng, special)]
    found = []
    for length in lengths:
        values = rng.standard_normal(length).astype(np.float32).astype(STORAGES[storage].dtype)
        if special:
            places = rng.random(length) < 0.3
            pattern = np.dtype(f"u{values.itemsize}")
            values.view(pattern)[places] = rng.integers(0, np.iinfo(pattern).max, int(places.sum()), pattern, endpoint=True)
        found.append(values)
    return found


def differing(a: Array, b: Array) -> int:
    """How many elements are not the same bits; one NaN equals another."""
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    kind = np.dtype(f"u{a.dtype.itemsize}")
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    with np.errstate(invalid="ignore"):  # ml_dtypes says so of a signalling NaN
        return int(((a.view(kind) != b.view(kind)) & ~(np.isnan(a) & np.isnan(b))).sum())
