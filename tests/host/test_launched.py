"""The compiled launcher: one call for a step, in one thread or with the pool's."""

from __future__ import annotations

import ctypes
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import global_norm
from fastopt.backends import cython_backend
from fastopt.crosscheck import cases, compare
from fastopt.host import launched
from fastopt.optimizers import turns
from fastopt.rules.entry import MOST_SCALARS, RULES
from fastopt.rules.family import Family
from fastopt.slots import Slot
from tests.conftest import needed
from tests.host.lists import kernel_for, work_list

launch = pytest.importorskip("fastopt.host._launch", reason="the launcher was not built: no C compiler when fastopt was installed")

SIGNATURE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_void_p
)
"""`fastopt_kernel`. ctypes takes the GIL for each call, so a kernel written in Python may be called from any thread."""


class Recorder:
    """A kernel that writes down what it was called with; `scalars` counts the rule's own, before the prologue's two."""

    def __init__(self, width: int, is_double: bool, scalars: int) -> None:
        self.scalars = scalars
        self.calls: list[tuple[int, int]] = []
        self.seen: list[list[float]] = []
        self.lock = threading.Lock()
        kind = ctypes.c_double if is_double else ctypes.c_float

        def kernel(addresses: int, given_width: int, rows: int, first: int, last: int, values: int) -> int:
            with self.lock:
                assert given_width == width
                self.calls.append((first, last))
                self.seen.append(list((kind * (scalars + 2)).from_address(values)))
            return 0

        self.function = SIGNATURE(kernel)
        self.address = ctypes.cast(self.function, ctypes.c_void_p).value


def launcher(recorder: Recorder, pieces: list[tuple[int, int]], threads: int, is_double: bool, large: bool = True) -> Any:
    addresses, rows = np.zeros((2, 3), np.int64), np.zeros((9, 3), np.int64)
    bounds = np.array(pieces, np.int64).reshape(-1, 2)
    return launch.Launcher(
        recorder.address, recorder.scalars + 2, addresses, rows, bounds, threads=threads, large=large, is_double=is_double
    )


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("is_double", [False, True])
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_every_piece_once_with_the_scalars_in_the_kernels_dtype(threads: int, is_double: bool, large: bool) -> None:
    recorder = Recorder(3, is_double, 3)
    pieces = [(k, k + 1) for k in range(threads * 8)]
    call = launcher(recorder, pieces, threads, is_double, large)
    for _ in range(5):
        recorder.calls.clear()
        recorder.seen.clear()
        assert call((0.1, 1e300, -0.0), -0.5, 1 / 3) == 0
        assert sorted(recorder.calls) == pieces
        real = np.float64 if is_double else np.float32
        with np.errstate(over="ignore"):
            expected = np.array([0.1, 1e300, -0.0, -0.5, 1 / 3]).astype(real)
        assert all(np.array(seen, real).tobytes() == expected.tobytes() for seen in recorder.seen)


@pytest.mark.parametrize("is_double", [False, True])
def test_several_slots_are_rows_of_one_table(is_double: bool) -> None:
    recorder = Recorder(3, is_double, 4 + 2 * 6)  # what it reads behind the first slot's six scalars are the other two slots'
    recorder.scalars = 4
    call = launcher(recorder, [(0, 1)], 1, is_double)
    slots = [((0.5 * k, 1.0, 2.0, 3.0), 4.0 + k, 5.0 + k) for k in range(3)]
    assert call.over(call.table(slots)) == 0
    assert recorder.seen[0] == [value for scalars, factor, decay in slots for value in (*scalars, factor, decay)]
    with pytest.raises(ValueError, match=r"^scalars: expected 4 of the rule, received 3$"):
        call.table([slots[0], ((1.0, 2.0, 3.0), 1.0, 1.0)])
    assert len(recorder.calls) == 1


def test_folding_takes_the_reference_s_order() -> None:
    rng = np.random.default_rng(0)
    for count in (0, 1, 2, 15, 16, 17, 255, 256, 257, 1000, 65_536, 65_537, 200_000):
        values = rng.standard_normal(count) ** 2 * 10.0 ** rng.uniform(-8, 8, count)
        assert launch.fold(values.copy()) == global_norm.total(values)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_what_any_piece_found_is_found(threads: int) -> None:
    pieces = [(k, k + 1) for k in range(threads * 8)]
    for bad in (0, len(pieces) // 2, len(pieces) - 1):
        function = SIGNATURE(lambda a, w, r, first, last, s, bad=bad: int(first <= bad < last))
        recorder = Recorder(3, True, 0)
        recorder.address = ctypes.cast(function, ctypes.c_void_p).value
        assert launcher(recorder, pieces, threads, True)((), 1.0, 1.0) != 0
    function = SIGNATURE(lambda a, w, r, first, last, s: 0)
    recorder.address = ctypes.cast(function, ctypes.c_void_p).value
    assert launcher(recorder, pieces, threads, True)((), 1.0, 1.0) == 0


def test_scalars_are_62_at_most_and_numbers() -> None:
    recorder = Recorder(3, True, MOST_SCALARS)
    call = launcher(recorder, [(0, 1)], 1, True)
    assert call(tuple(float(k) for k in range(MOST_SCALARS)), 62.0, 63.0) == 0
    assert recorder.seen == [[float(k) for k in range(64)]]
    for count in (0, 61, 63):
        with pytest.raises(ValueError, match=rf"^scalars: expected 62 of the rule, received {count}$"):
            call((0.0,) * count, 1.0, 1.0)
    with pytest.raises(TypeError):
        call(("0.1",) * 62, 1.0, 1.0)
    with pytest.raises(TypeError):
        call([0.1] * 62, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"^scalars: expected at most 80, received 81$"):
        launcher(Recorder(3, True, 79), [(0, 1)], 1, True)
    assert len(recorder.calls) == 1, "a call that failed reached the kernel"


def test_pieces_are_a_multiple_of_the_threads() -> None:
    recorder = Recorder(3, True, 0)
    with pytest.raises(ValueError, match=r"^pieces: expected a multiple of 2 of them, received 3$"):
        launcher(recorder, [(0, 1), (1, 2), (2, 3)], 2, True)
    with pytest.raises(ValueError, match=r"^pieces: "):
        launcher(recorder, [(0, 1)], 0, True)


def test_it_keeps_what_it_points_into() -> None:
    """The caller may let go of the arrays."""
    import gc

    recorder = Recorder(3, True, 1)
    call = launcher(recorder, [(3, 5), (5, 9)], 1, True)
    gc.collect()
    junk = [np.full(8, 7, np.int64) for _ in range(1000)]
    assert call((1.0,), 1.0, 1.0) == 0
    assert len(junk) == 1000
    assert recorder.calls == [(3, 5), (5, 9)]


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize("num_threads", [16, 100])
def test_many_more_threads_than_cores(num_threads: int) -> None:
    needed("cython")
    assert compare(RULES["adam"], "cython", np.float32, cases(RULES["adam"])[1], num_threads=num_threads, special=True) == 0


@pytest.mark.usefixtures("threads_for_all_sizes")
def test_thousands_of_small_parallel_steps() -> None:
    """Posting and closing jobs as fast as it goes: a helper that comes late must not touch the next job's pieces twice."""
    needed("cython")
    p = np.zeros(3000)
    optimizer = fastopt.SGD(p, lr=1.0, backend="cython", num_threads=3)
    assert optimizer._plan.batches[0].runner.several
    g = np.full(3000, -1.0)
    for step in range(20_000):
        optimizer.step(g)
        if step % 1000 == 999:
            assert (p == step + 1.0).all()


@pytest.mark.usefixtures("threads_for_all_sizes")
def test_changing_thread_counts() -> None:
    """The pool grows, and is then larger than a job needs."""
    needed("cython")
    params = [np.zeros(3000) for _ in range(5)]
    optimizers = [fastopt.SGD(p, lr=1.0, backend="cython", num_threads=n) for p, n in zip(params, (2, 5, 1, 3, 2), strict=True)]
    for _ in range(300):
        for optimizer in optimizers:
            optimizer.step(np.full(3000, -1.0))
    assert all((p == 300.0).all() for p in params)


def test_large_steps_use_threads_and_small_ones_do_not() -> None:
    needed("cython")
    rule = RULES["adam"]
    edge = launched.PARALLEL_FROM // rule.bytes_per_parameter(4)
    for size, several in ((edge - 1000, False), (edge + 1000, True)):
        optimizer = fastopt.Adam(np.zeros(size, np.float32), backend="cython", num_threads=2)
        assert optimizer._plan.batches[0].runner.several is several
        alone = fastopt.Adam(np.zeros(size, np.float32), backend="cython", num_threads=1)
        assert alone._plan.batches[0].runner.several is False


def test_a_round_trip_between_two_cpus_takes_time_and_one_to_nowhere_is_not_known() -> None:
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cpus) < 2 or not cython_backend.build_report()["placement"]:
        assert launched.round_trip() is None
        return
    found = launched.round_trip()
    assert found is None or found > 1  # None: somebody else had a CPU all the time
    assert launch.round_trip(cpus[0], -1) == launch.round_trip(10**6, cpus[0]) == launch.round_trip(cpus[0], cpus[1], 0) == 0
    assert len(os.sched_getaffinity(0)) == len(cpus), "this thread stays where it was"


def test_without_the_launcher_distances_are_not_known(without_launcher: None) -> None:
    assert launched.round_trip() is None


def test_a_step_at_once_gathers_launches_and_counts_or_does_nothing() -> None:
    p, g = [np.ones(3, np.float32)], [np.ones(3, np.float32)]
    work = work_list(p, [()], ["p"], ["g"], 1)
    recorder = Recorder(work.addresses.shape[1], False, 1)
    call = launch.Launcher(recorder.address, 3, work.addresses, work.rows, work.serial, threads=1, large=False, is_double=False)
    turn, rule = turns.new_turn(), RULES["sgd"]
    slot = Slot(rule, Family.of(rule).settings_at(0.1), 6)

    def step(gradients: list[Any], before: int = 6, scalars: tuple[float, ...] = (0.5,), **given: Any) -> Any:
        return call.step(turn, given.get("at_once", turn.at_once), gradients, scalars, 1.0, 2.0, before, before + 1, ())

    turn.at_once = call.step, work.gather, slot
    assert step(g)
    assert recorder.seen == [[0.5, 1.0, 2.0]]
    assert work.addresses[0, 1] == g[0].ctypes.data
    assert (slot.steps, turn.steps) == (7, 1)
    with pytest.raises(ValueError, match=r"^scalars: expected 1 of the rule, received 2$"):
        step(g, 7, (0.5, 0.5))
    assert not step(g, 6), "the slot had moved on"
    assert not step(g, 7, at_once=(call.step, work.gather, slot)), "they are no longer the turn's"
    turn.taken = True
    assert not step(g, 7), "something was half done"
    turn.taken = False
    with ThreadPoolExecutor(1) as other:
        with turn.lock:
            assert not other.submit(step, g, 7).result(), "another thread had the turn"
        for unusable in ([g[0][:2]], [g[0].astype(np.float64)], [p[0]], [None], [], [g[0], g[0]]):
            assert not step(unusable, 7)
        assert other.submit(turn.lock.__enter__).result() is turn, "it kept the turn"
        other.submit(turn.lock.__exit__, None, None, None).result()
    turn.at_once = call.step, work_list(p, [()], ["p"], ["g"], 1).gather, slot
    with pytest.raises(ValueError, match=r"^gatherer: expected the one that writes the addresses of this launcher, received another's$"):
        step(g, 7)
    assert (slot.steps, turn.steps) == (7, 1)
    assert len(recorder.calls) == 1, "a call that was refused reached the kernel"


@pytest.mark.parametrize("backend", ["numpy", "numba", "cython"])
def test_only_a_step_of_one_batch_and_one_slot_is_made_at_once(backend: str) -> None:
    needed(backend)
    p = [np.ones(3, np.float32) for _ in range(2)]
    groups = [{"params": p[:1]}, {"params": p[1:], "lr": 0.5}]
    optimizers = {
        "plain": fastopt.Adam(p, backend=backend),
        "two slots": fastopt.Adam(groups, backend=backend),
        "two batches": fastopt.Adam([p[0], p[1].astype(np.float64)], backend=backend),
    }
    at_once = [name for name, opt in optimizers.items() if opt._turn.at_once is not None]
    assert at_once == (["plain"] if backend != "numpy" else [])
    opt = fastopt.Adam(p, backend=backend)
    opt.step([np.ones(3, np.float32), None])
    opt.step([np.ones(3, np.float32), np.ones(3, np.float32)])
    assert opt._turn.at_once is None, "two tensors of unequal steps have two slots"


@pytest.mark.parametrize("start", [2**31, 2**32 + 256, 2**40])
@pytest.mark.parametrize("backend", ["cython", "numba"])
def test_rows_far_behind_32_bits(backend: str, start: int) -> None:
    """A row in a stream that is said to begin as far before the memory that its elements lie in."""
    needed(backend)
    p, g, own = np.arange(5, dtype=np.float32), np.ones(5, np.float32), kernel_for(0)
    addresses = np.array([[*(a.ctypes.data - 4 * start for a in (p, g)), 0, 0]], np.int64)
    call = launch.Launcher(
        fastopt.backends.load(backend).kernel_address(own),
        own.scalar_count,
        addresses,
        np.array([[0, start, 5]]),
        np.array([[0, 1]]),
        threads=1,
        large=False,
        is_double=False,
    )
    assert call((0.5,), 1.0, 1.0) == 0
    assert p.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]
