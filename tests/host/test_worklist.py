"""The work list: every element in exactly one row, every row in exactly one thread, and the gradients' addresses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastopt
from fastopt.extents import Extents
from fastopt.host import worklist
from fastopt.host.worklist import BLOCK, PAIR, PIECES, WorkList
from tests.host.lists import work_list

Array = np.ndarray[Any, Any]


def of_sizes(sizes: list[int], threads: int, states: int = 1, dtype: Any = np.float32) -> WorkList:
    params = [np.zeros(size, dtype) for size in sizes]
    labels = [f"params[{i}]" for i in range(len(sizes))]
    gradients = [f"grads[{i}]" for i in range(len(sizes))]
    return work_list(params, [tuple(np.zeros_like(p) for _ in range(states)) for p in params], labels, gradients, threads)


def check(sizes: list[int], threads: int) -> None:
    work = of_sizes(sizes, threads)
    covered = [np.zeros(size, int) for size in sizes]
    for tensor, first, length in work.rows:
        assert length > 0
        assert first % BLOCK == 0
        covered[tensor][first : first + length] += 1
    assert all((c == 1).all() for c in covered), "an element that no row or more than one has"
    for bounds, count in ((work.serial, 1), (work.parallel, threads), (work.pieces, threads * PIECES)):
        assert bounds.shape == (count, 2)
        assert bounds[0, 0] == 0
        assert bounds[-1, 1] == len(work.rows)
        assert (bounds[1:, 0] == bounds[:-1, 1]).all()
        assert (bounds[:, 0] <= bounds[:, 1]).all()
    assert set(work.parallel[:, 0]) <= set(work.pieces[:, 0]), "a thread's share is not made of pieces"
    assert all(a.flags.c_contiguous and a.dtype == np.int64 for a in (work.rows, work.parallel, work.pieces, work.serial, work.addresses))
    share = -(-sum(sizes) // (threads * PIECES))
    for first, last in work.pieces[:-1]:
        assert work.rows[first:last, 2].sum() <= share + 2 * BLOCK, "a piece is much larger than its part"
    assert len(work.rows) <= sum(size > 0 for size in sizes) + threads * PIECES, "more rows than tensors and cuts"


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize(
    "sizes",
    [[], [0], [0, 0], [1], [255], [256], [257], [0, 1, 0, 700, 0], [100_003], [1] * 1000, [1000] * 7, [5, 100_000, 5], [100_000, 1, 1, 1]],
    ids=lambda sizes: f"{len(sizes)} tensors of {sum(sizes)}",
)
def test_rows(sizes: list[int], threads: int) -> None:
    check(sizes, threads)


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(sizes=st.lists(st.one_of(st.integers(0, 40), st.integers(200, 1100)), max_size=30), threads=st.integers(1, 6))
def test_rows_of_any_sizes(sizes: list[int], threads: int) -> None:
    check(sizes, threads)


def test_a_large_tensor_is_cut_evenly() -> None:
    """To the rounding of its pieces: the last one makes up for all others."""
    work = of_sizes([1_000_000], 4)
    lengths = [int(work.rows[a:b, 2].sum()) for a, b in work.parallel]
    assert max(lengths) - min(lengths) <= 4 * PIECES * BLOCK


@pytest.mark.parametrize("state_dtype", [None, "int8"])
@pytest.mark.parametrize("size", [256, 4_096, 10_000, 100_000])
def test_rows_begin_at_pairs_where_states_are_by_blocks(size: int, state_dtype: str | None) -> None:
    """So that at most the end of a tensor is less than a pair."""
    rows = fastopt.Adam(np.zeros(size, np.float32), state_dtype=state_dtype, narrow_from=state_dtype and 0)._plan.batches[0].work.rows
    assert (rows[:, 1] % (BLOCK if state_dtype is None else PAIR) == 0).all()
    assert rows[:, 2].sum() == size
    if state_dtype is not None:
        assert (rows[:-1, 2] % PAIR == 0).all()


def test_addresses_are_those_of_the_arrays() -> None:
    work = of_sizes([5, 0, 300], 2, states=2, dtype=np.float64)
    assert work.addresses.shape == (3, 6)
    assert work.elements == 305
    for row, p, own in zip(work.addresses, work.params, work.states, strict=True):
        assert row[0] == p.ctypes.data
        assert row[2:4].tolist() == [s.ctypes.data for s in own]
    assert work.addresses[:, -2].tolist() == [0, 1, 1], "a tensor's first block of 256"
    assert work.addresses[:, -1].tolist() == [0, 0, 0], "slots"


@pytest.fixture(params=[True, False], ids=["compiled gather", "gather in Python"])
def gather(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setattr(worklist, "Gatherer", None)
    elif worklist.Gatherer is None:
        pytest.skip("the compiled gather was not built: no C compiler when fastopt was installed")
    return bool(request.param)


def test_refresh_writes_the_gradients_addresses(gather: bool) -> None:
    work = of_sizes([5, 0, 300, 7], 2)
    assert (work.gather is not worklist.not_known) == gather
    rest = work.addresses[:, [0, 2]].copy()
    for _ in range(3):
        gradients = [np.ones(size, np.float32) for size in (5, 0, 300, 7)]
        work.refresh(gradients)
        assert work.addresses[:, 1].tolist() == [g.ctypes.data for g in gradients]
        assert np.array_equal(work.addresses[:, [0, 2]], rest)


def test_refresh_that_fails_leaves_a_list_that_works(gather: bool) -> None:
    work = of_sizes([5, 300], 1)
    with pytest.raises(ValueError, match=r"^params\[0\] and grads\[1\] overlap in memory"):
        work.refresh([np.ones(5, np.float32), big_over(work.params[0])])
    good = [np.ones(5, np.float32), np.ones(300, np.float32)]
    work.refresh(good)
    assert work.addresses[:, 1].tolist() == [g.ctypes.data for g in good]


def big_over(parameter: Array) -> Array:
    """An array of 300 float32 whose first lies on the parameter's last. Nobody reads it."""
    return np.lib.stride_tricks.as_strided(parameter[-1:], (300,), (4,), writeable=False)


def test_overlap_is_seen_at_every_edge(gather: bool) -> None:
    """Extents are [start, end): neighbours are fine, one byte is not."""
    buffer = np.zeros(1000)
    params = [buffer[100:200], buffer[300:301], buffer[500:600]]
    work = work_list(params, [(), (), ()], ["p0", "p1", "p2"], ["g0", "g1", "g2"], 1)
    fine = [np.ones(100), np.ones(1), np.ones(100)]

    written = set(range(100, 200)) | {300} | set(range(500, 600))
    for start in (0, 1, 99, 100, 150, 199, 200, 201, 300, 301, 400, 401, 499, 550, 599, 600, 700):
        gradients = [buffer[start : start + 100], *fine[1:]]
        if written & set(range(start, start + 100)):
            with pytest.raises(ValueError, match="overlap in memory"):
                work.refresh(gradients)
        else:
            work.refresh(gradients)
            assert work.addresses[0, 1] == gradients[0].ctypes.data


def test_a_list_may_be_told_to_guard_more_than_its_own(gather: bool) -> None:
    first, second = of_sizes([6], 1), of_sizes([0, 7], 1, dtype=np.float64)
    together = Extents.together([first.extents, second.extents])
    for work in (first, second):
        work.guard(together)
    first.refresh([np.ones(6, np.float32)])
    with pytest.raises(ValueError, match=r"^grads\[0\] and params\[1\] overlap in memory"):
        first.refresh([second.params[1].view(np.float32)[:6]])
    other = np.lib.stride_tricks.as_strided(first.states[0][0].view(np.float64)[:1], (7,), (8,), writeable=False)  # nobody reads it
    with pytest.raises(ValueError, match=r"^grads\[1\] and state 0 of params\[0\] overlap in memory"):
        second.refresh([np.ones(0), other])


def test_overlapping_parameters_and_states_are_refused() -> None:
    p = np.zeros(10)
    with pytest.raises(ValueError, match=r"^a and state 0 of a overlap in memory"):
        work_list([p], [(p,)], ["a"], ["g"], 1)
    with pytest.raises(ValueError, match=r"overlap in memory"):
        work_list([p[:6], p[5:]], [(), ()], ["a", "b"], ["g", "h"], 1)
