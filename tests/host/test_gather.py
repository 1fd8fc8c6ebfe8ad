"""The compiled gather: says yes only where the checks in Python would, and then has written the addresses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastopt.host import arrays
from fastopt.host.worklist import WorkList
from tests.bad_calls.arrays import swapped, unaligned
from tests.host.lists import work_list

gather = pytest.importorskip("fastopt.host._gather", reason="the compiled gather was not built: no C compiler when fastopt was installed")

Array = np.ndarray[Any, Any]
SHAPES: tuple[tuple[int, ...], ...] = ((3, 4), (5,), (), (0, 7))


def build() -> tuple[WorkList, list[Array]]:
    params = [np.ones(shape, np.float32) for shape in SHAPES]
    work = work_list(params, [(np.zeros_like(p),) for p in params], list("abcd"), list("efgh"), 1)
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
    ("list", lambda g: g.tolist(), False),
    ("strided", lambda g: np.repeat(g, 2, axis=1)[:, ::2], False),
]


@pytest.mark.parametrize(("make", "expected"), [pytest.param(make, expected, id=name) for name, make, expected in CANDIDATES])
def test_answers_as_the_checks_in_python_do(make: Any, expected: bool) -> None:
    work, gradients = build()
    gradients[0] = make(gradients[0])
    try:
        arrays.gradient(gradients[0], "g", work.params[0], "p", work.gradient_dtype)
        usable = True
    except (TypeError, ValueError):
        usable = False
    assert usable is expected
    assert work.gather(gradients) == expected
    if expected:
        assert work.addresses[:, 1].tolist() == [g.ctypes.data for g in gradients]


def test_a_subclass_is_left_to_python() -> None:
    """It may be usable or not (a masked array is not): the checks in Python decide."""
    work, gradients = build()
    for cls in (np.matrix, np.ma.MaskedArray):
        assert work.gather([gradients[0].view(cls), *gradients[1:]]) == 0


def test_count_and_parameters_are_looked_at() -> None:
    work, gradients = build()
    gatherer = work.gather
    assert gatherer(gradients) == 1
    assert gatherer(gradients[:-1]) == 0
    assert gatherer([*gradients, gradients[0]]) == 0
    work.params[1].setflags(write=False)
    assert gatherer(gradients) == 0
    work.params[1].setflags(write=True)
    assert gatherer(gradients) == 1
    work.params[1].resize((6,), refcheck=False)
    assert gatherer(gradients) == 0


def test_takes_a_list_alone() -> None:
    work, gradients = build()
    with pytest.raises(TypeError):
        work.gather(tuple(gradients))


def test_memory_of_parameters_states_and_nothing_else_is_refused() -> None:
    work, gradients = build()
    for taken in (work.params[0], work.states[0][0]):
        assert work.gather([taken, *gradients[1:]]) == 0
    assert work.gather(gradients) == 1


def test_is_built_once() -> None:
    work, _ = build()
    with pytest.raises(RuntimeError, match="__init__ runs once"):
        work.gather.__init__(work.params, work.gradient_dtype.num, False, work.addresses, work.absent, work.extents.low, work.extents.high)  # type: ignore[union-attr, misc]


def test_keeps_what_its_pointers_point_into() -> None:
    import gc

    work, gradients = build()
    extents = [extent.copy() for extent in (work.extents.low, work.extents.high)]
    addresses, absent = work.addresses.copy(), work.absent.copy()
    gatherer = gather.Gatherer(list(work.params), work.gradient_dtype.num, False, addresses, absent, *extents)
    watched = addresses[:]
    del addresses, absent, extents
    gc.collect()
    assert gatherer(gradients) == 1
    assert watched[:, 1].tolist() == [g.ctypes.data for g in gradients]


@pytest.mark.parametrize("order", ["C", "F"])
def test_layouts_agree_or_not(order: Any) -> None:
    params = [np.ones((3, 4), np.float32, order=order), np.ones((2, 3, 4), np.float32, order=order).transpose(1, 0, 2)]
    work = work_list(params, [(), ()], list("ab"), list("cd"), 1)
    alike = [np.copy(p, order="K") for p in params]
    assert work.gather(alike) == 1
    for i, p in enumerate(params):
        other = list(alike)
        other[i] = np.array(p, order="F" if order == "C" else "C")
        assert other[i].strides != p.strides
        assert work.gather(other) == 0
    column = work_list([np.ones((1, 5, 1), np.float32)], [()], ["a"], ["b"], 1)
    assert column.gather([np.ones((5, 1, 1), np.float32).transpose(1, 0, 2)]) == 1, "the stride of a dimension of length 1 was looked at"


def test_gradients_that_come_and_go() -> None:
    work, gradients = build()
    assert work.gather(gradients) == 1
    before = work.addresses.copy()
    assert work.gather([None, *gradients[1:]]) == 2
    assert work.absent.tolist() == [1, 0, 0, 0, 1]
    assert work.gather([None, *gradients[1:]]) == 2, "a change that nobody has dealt with was forgotten"
    work.absent[-1] = 0
    assert work.gather([None, *gradients[1:]]) == 1
    assert work.gather(gradients) == 2
    assert work.absent.tolist() == [0, 0, 0, 0, 1]
    assert (work.addresses == before).all()
