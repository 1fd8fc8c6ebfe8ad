"""The cross-check itself: a judge that says 0 to everything would let everything pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.crosscheck import AWKWARD_LENGTHS, Case, awkward_arrays, cases, compare, ulp_distance
from fastopt.rules.entry import RULES
from tests.conftest import needed

# ruff: noqa: ANN202  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"

FAR = np.iinfo(np.int64).max


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ulp_distance(dtype: Any) -> None:
    def distance(a: float, b: float) -> int:
        return ulp_distance(np.array([a], dtype), np.array([b], dtype))

    kind = np.finfo(dtype)
    tiny = float(kind.smallest_subnormal)
    assert distance(1.0, 1.0) == 0
    assert distance(1.0, 1.0 + float(kind.eps)) == 1
    assert distance(1.0, 1.0 - float(kind.epsneg)) == 1
    assert distance(1.0, 1.0 + 3 * float(kind.eps)) == 3
    assert distance(0.0, -0.0) == 1
    assert distance(0.0, tiny) == 1
    assert distance(-0.0, -tiny) == 1
    assert distance(-tiny, tiny) == 3
    assert distance(np.inf, float(kind.max)) == 1
    assert distance(np.inf, np.inf) == 0
    assert distance(1.0, 2.0) == 2**kind.nmant
    assert distance(np.nan, np.nan) == 0
    assert distance(np.nan, -np.nan) == 0
    assert distance(np.nan, 1.0) == FAR
    assert distance(1.0, np.nan) == FAR
    # as many as there are: from the lowest to the highest number
    assert distance(-np.inf, np.inf) == 2 * (np.array(np.inf, dtype).view(f"i{kind.bits // 8}").item()) + 1


def test_ulp_distance_is_the_largest() -> None:
    a = np.array([1.0, 2.0, np.nan, 4.0])
    b = a.copy()
    b[3] = np.nextafter(np.nextafter(4.0, 5.0), 5.0)
    b[0] = np.nextafter(1.0, 2.0)
    assert ulp_distance(a, b) == ulp_distance(b, a) == 2
    assert ulp_distance(np.zeros(0), np.zeros(0)) == 0


def test_awkward_arrays_start_at_every_element_of_a_vector() -> None:
    arrays = awkward_arrays([5] * 16, np.float32, np.random.default_rng(0), special=False)
    starts = {a.ctypes.data - a.base.ctypes.data for a in arrays}  # type: ignore[union-attr]
    assert starts == {4 * i for i in range(16)}
    assert [len(a) for a in awkward_arrays(AWKWARD_LENGTHS, np.float64, np.random.default_rng(0), True)] == list(AWKWARD_LENGTHS)


def test_lengths_are_those_around_vectors_and_blocks() -> None:
    assert {0, 1, 3, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1023, 1024, 1025} <= set(AWKWARD_LENGTHS)


WRONG: list[tuple[str, Any]] = [
    ("one ulp in the parameter", lambda p, g, m, lr: (np.nextafter(p - lr * g, np.inf, dtype=p.dtype), g)),
    ("one ulp in the state", lambda p, g, m, lr: (p - lr * g, np.nextafter(g, np.inf, dtype=p.dtype))),
    ("another order", lambda p, g, m, lr: (p - (lr * 3 * g) / 3, g)),
    ("sign of zero", lambda p, g, m, lr: (p - lr * g, g + 0.0)),
    (
        "denormals flushed",
        lambda p, g, m, lr: (p - lr * g, np.where(np.abs(g) < np.finfo(g.dtype).tiny, np.copysign(0, g), g).astype(g.dtype)),
    ),
    ("NaN lost", lambda p, g, m, lr: (p - lr * g, np.nan_to_num(g, nan=0.0, posinf=np.inf, neginf=-np.inf))),
    ("last element left out", lambda p, g, m, lr: (p - lr * g, np.concatenate([g[:-1], m[-1:]]))),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "wrong"), WRONG, ids=[name for name, _ in WRONG])
def test_compare_sees_what_is_wrong(name: str, wrong: Any, dtype: Any) -> None:
    needed("numba")

    def reference(p: Any, g: Any, m: Any, *, step: int, lr: float) -> Any:
        return wrong(p, g, m, lr)

    @fastopt.rule(states=("m",), reference=reference)
    def remembers(p, g, m, lr):
        return p - lr * g, g

    assert compare(remembers, "numba", dtype, Case("any", {}), special=True, steps=1) > 0


def test_compare_uses_the_case() -> None:
    """A comparison that ignored its options would compare the defaults four times."""
    seen: list[dict[str, Any]] = []

    def reference(p: Any, g: Any, *, step: int, lr: float, shift: float) -> Any:
        if p.size == 3:  # and not the trial on one element that goes before
            seen.append({"step": step, "lr": lr, "shift": shift})
        return (p - lr * g + shift,)

    @fastopt.rule(hyperparameters={"shift": 0.5}, reference=reference)
    def shifting(p, g, lr, shift):
        return (p - lr * g + shift,)

    for case in cases(shifting):
        seen.clear()
        assert compare(shifting, "numpy", np.float32, case, lengths=(3, 2), steps=3) == 0
        assert {s["step"] for s in seen} == {1, 2, 3}
        assert len({s["lr"] for s in seen}) == 3
        assert {s["shift"] for s in seen} == {case.options.get("shift", 0.5)}


def test_cases_have_names() -> None:
    names = [str(case) for case in cases(RULES["adam"])]
    assert len(set(names)) == len(names)
    assert names[0] == "defaults"
