"""What ranks have in common: who they are, gradients that every rank knows, an optimizer over all ranks beside one in one process."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

import fastopt
from fastopt.interop.mpi import Sharded

COMM = MPI.COMM_WORLD
RANK, SIZE = COMM.Get_rank(), COMM.Get_size()
TOGETHER: list[Callable[[Path], None]] = []
SHAPES = {"w": (70, 11), "b": (7,), "scale": (), "none": (0, 3), "rest": (1100,)}


def together(function: Callable[[Path], None]) -> Callable[[Path], None]:
    """Enters a function among those that are run."""
    TOGETHER.append(function)
    return function


def values(seed: int, dtypes: dict[str, str] | None = None) -> dict[str, Any]:
    """Arrays by name, one of them in Fortran's order and one of them in float64."""
    made, dtypes = np.random.default_rng(seed), dtypes or {}
    found = {name: np.asarray(made.standard_normal(shape), dtypes.get(name, "float32")) for name, shape in SHAPES.items()}
    return {**found, "w": np.asfortranarray(found["w"]), "b": found["b"].astype(dtypes.get("b", "float64"))}


def gradients(step: int, rank: int, **options: Any) -> dict[str, Any]:
    return values(100 * step + rank + 1, **options)


def added(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The sum in the order of the ranks."""
    total = {name: None if array is None else array.copy(order="K") for name, array in parts[0].items()}
    for part in parts[1:]:
        for name, array in part.items():
            if array is not None:
                total[name] += array
    return total


def summed(step: int, **options: Any) -> dict[str, Any]:
    return added([gradients(step, rank, **options) for rank in range(SIZE)])


def pair(optimizer: Any = fastopt.Adam, params: Callable[[], Any] = lambda: values(0), **options: Any) -> tuple[Any, Any]:
    """The same over all ranks and in one process."""
    shared = {name: value for name, value in options.items() if name != "bucket_bytes"}
    return Sharded(optimizer, params(), COMM, **options), optimizer(params(), **shared)


def step(ours: Any, theirs: Any, k: int, **options: Any) -> None:
    assert ours.step(gradients(k, RANK), **options) == theirs.step(summed(k), **options)


def leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for key in tree for leaf in leaves(tree[key])]
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, list) else [tree]


def same_arrays(ours: Any, theirs: Any) -> None:
    for a, b in zip(leaves(ours), leaves(theirs), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def same(ours: Any, theirs: Any) -> None:
    same_arrays(ours.params, theirs.params)
    found, expected = ours.state_dict(), theirs.state_dict()
    same_arrays(found.pop("state"), expected.pop("state"))
    assert found == expected
    assert ours.grad_norm == theirs.grad_norm
    assert ours.steps == theirs.steps


def everywhere(error: type[Exception], words: str | None = None) -> Any:
    return pytest.raises(error, match=None if words is None else re.escape(words))


def wrong(error: type[Exception], words: str) -> Any:
    """What the last rank raises, and the others."""
    if RANK == SIZE - 1:
        return everywhere(error, words)
    return everywhere(RuntimeError, f"rank {SIZE - 1} of {SIZE} raised {error.__name__}: {words}")
