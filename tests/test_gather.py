"""The compiled gather: says yes only where the checks in Python would, and then has written the addresses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastopt import arguments
from fastopt.worklist import WorkList
from tests.test_bad_calls import swapped, unaligned

gather = pytest.importorskip("fastopt._gather", reason="the compiled gather was not built: no C compiler when fastopt was installed")

Array = np.ndarray[Any, Any]
SHAPES: tuple[tuple[int, ...], ...] = ((3, 4), (5,), (), (0, 7))


def build() -> tuple[WorkList, list[Array]]:
    params = [np.ones(shape, np.float32) for shape in SHAPES]
    work = WorkList(params, [(np.zeros_like(p),) for p in params], list("abcd"), list("efgh"), 1)
    return work, [np.ones(shape, np.float32) for shape in SHAPES]


CANDIDATES: list[tuple[str, Any, bool]] = [
    ("good", lambda g: g.copy(), True),
    ("read-only", lambda g: np.frombuffer(g.tobytes(), np.float32).reshape(g.shape), True),
    ("float64", lambda g: g.astype(np.float64), False),
    ("int32", lambda g: g.astype(np.int32), False),
    ("swapped", swapped, False),
    ("F-ordered", np.asfortranarray, False),
    ("unaligned", lambda g: unaligned(g.shape, np.float32), False),
    ("wrong shape", lambda g: g.T.copy(), False),
    ("fewer dimensions", lambda g: g.ravel(), False),
    ("more dimensions", lambda g: g[None], False),
    ("None", lambda g: None, False),
    ("list", lambda g: g.tolist(), False),
    ("strided", lambda g: np.repeat(g, 2, axis=1)[:, ::2], False),
]


@pytest.mark.parametrize(("make", "expected"), [pytest.param(make, expected, id=name) for name, make, expected in CANDIDATES])
def test_answers_as_the_checks_in_python_do(make: Any, expected: bool) -> None:
    work, gradients = build()
    gradients[0] = make(gradients[0])
    try:
        arguments.gradient(gradients[0], "g", work.params[0], "p")
        usable = True
    except (TypeError, ValueError):
        usable = False
    assert usable is expected
    assert work.gather(gradients) is expected
    if expected:
        assert work.addresses[:, 1].tolist() == [g.ctypes.data for g in gradients]


def test_a_subclass_is_left_to_python() -> None:
    """It may be usable or not (a masked array is not): the checks in Python decide."""
    work, gradients = build()
    for cls in (np.matrix, np.ma.MaskedArray):
        assert work.gather([gradients[0].view(cls), *gradients[1:]]) is False


def test_count_and_parameters_are_looked_at() -> None:
    work, gradients = build()
    gatherer = work.gather
    assert gatherer(gradients) is True
    assert gatherer(gradients[:-1]) is False
    assert gatherer([*gradients, gradients[0]]) is False
    work.params[1].setflags(write=False)
    assert gatherer(gradients) is False
    work.params[1].setflags(write=True)
    assert gatherer(gradients) is True
    work.params[1].resize((6,), refcheck=False)
    assert gatherer(gradients) is False


def test_takes_a_list_alone() -> None:
    work, gradients = build()
    with pytest.raises(TypeError):
        work.gather(tuple(gradients))


def test_memory_of_parameters_states_and_nothing_else_is_refused() -> None:
    work, gradients = build()
    for taken in (work.params[0], work.states[0][0]):
        assert work.gather([taken, *gradients[1:]]) is False
    assert work.gather(gradients) is True


def test_is_built_once() -> None:
    work, _ = build()
    with pytest.raises(RuntimeError, match="__init__ runs once"):
        work.gather.__init__(work.params, work.dtype.num, work.addresses, work.extents.low, work.extents.high)  # type: ignore[union-attr, misc]


def test_keeps_what_its_pointers_point_into() -> None:
    import gc

    work, gradients = build()
    extents = [extent.copy() for extent in (work.extents.low, work.extents.high)]
    addresses = work.addresses.copy()
    gatherer = gather.Gatherer(list(work.params), work.dtype.num, addresses, *extents)
    watched = addresses[:]
    del addresses, extents
    gc.collect()
    assert gatherer(gradients) is True
    assert watched[:, 1].tolist() == [g.ctypes.data for g in gradients]
