"""How many threads, and several at once: Python threads that build and step, and helpers on CPUs of their own."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.host import threads
from tests.conftest import LAUNCHINGS, needed
from tests.host.processes import PATIENCE, PREAMBLE, run

# ruff: noqa: ANN202  -- rules are bare formulas

LARGE = 150_000
"""Elements: threads that share them have the time to meet."""


def test_available_counts_the_cores_of_this_process() -> None:
    assert 1 <= threads.available() <= (os.cpu_count() or 1)


def test_resolve_takes_the_argument_then_the_environment_then_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads.resolve(None) == threads.available()
    assert threads.resolve(3) == 3
    monkeypatch.setenv("FASTOPT_NUM_THREADS", "5")
    assert threads.resolve(None) == 5
    assert threads.resolve(2) == 2
    monkeypatch.setenv("FASTOPT_NUM_THREADS", "")
    assert threads.resolve(None) == threads.available()
    assert threads.resolve(threads.MOST) == threads.MOST
    # what is refused: tests/bad_calls


def test_the_environment_reaches_the_work_list(monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in ("numba", "cython"):
        needed(backend)
        monkeypatch.setenv("FASTOPT_NUM_THREADS", "3")
        assert fastopt.Adam(np.zeros(10_000), backend=backend)._plan.batches[0].work.threads == 3
        assert fastopt.Adam(np.zeros(10_000), backend=backend, num_threads=2)._plan.batches[0].work.threads == 2
    assert fastopt.Adam(np.zeros(10_000), backend="numpy")._plan.batches[0].work.threads == 1


def test_a_backend_of_one_thread_says_why() -> None:
    assert threads.only_one(None, "why") == threads.only_one(1, "why") == 1
    with pytest.raises(ValueError, match=r"^num_threads: expected None or 1 \(why\), received 2$"):
        threads.only_one(2, "why")


def test_without_a_pool_more_threads_are_refused_and_none_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is accepted and ignored."""
    from types import SimpleNamespace

    from fastopt.backends import cython_backend, numba_backend
    from fastopt.host import launched

    needed("cython")
    needed("numba")
    real = launched._launch
    monkeypatch.setattr(launched, "_launch", SimpleNamespace(HAS_THREADS=False, ISA_LEVEL=real.ISA_LEVEL, Launcher=real.Launcher))
    for backend in (cython_backend, numba_backend):
        assert backend.thread_count(None) == backend.thread_count(1) == 1
        with pytest.raises(ValueError, match=r"^num_threads: expected None or 1 \(.*without threads\), received 2$"):
            backend.thread_count(2)


def test_numba_without_the_launcher_has_threads_of_its_own(without_launcher: None) -> None:
    from fastopt.backends import numba_backend

    needed("numba")
    assert numba_backend.thread_count(2) == 2


def large(seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(LARGE).astype(np.float32)


def serial_end(seed: int, steps: int) -> bytes:
    p = large(seed)
    optimizer = fastopt.Adam(p, 0.01, backend="numpy")
    for step in range(steps):
        optimizer.step(large(1000 * seed + step))
    return p.tobytes()


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize("launching", LAUNCHINGS, indirect=True)
def test_two_python_threads_step_two_optimizers(launching: str) -> None:
    """Both in parallel inside: Numba's workqueue layer ends a process that is entered twice, and the scalars are per call."""
    steps = 8
    optimizers = {seed: fastopt.Adam(large(seed), 0.01, backend=launching, num_threads=2) for seed in (1, 2, 3)}
    gradients = {seed: [large(1000 * seed + step) for step in range(steps)] for seed in optimizers}
    assert all(o._plan.batches[0].runner.several for o in optimizers.values()), "these steps are to be shared out"
    together = threading.Barrier(len(optimizers))
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            together.wait()
            for g in gradients[seed]:
                optimizers[seed].step(g)
        except BaseException as error:  # goes to the main thread
            failures.append(error)
            raise

    running = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in optimizers]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the threads wait for each other"
    assert not failures
    for seed, optimizer in optimizers.items():
        assert optimizer.params.tobytes() == serial_end(seed, steps)


@pytest.mark.parametrize("launching", ["numba", "numba's prange"], indirect=True)
def test_optimizers_are_built_in_several_threads_at_once(launching: str) -> None:
    """A kernel that no one has compiled yet, wanted by several at the same time. (Cython's were compiled ahead.)"""

    @fastopt.rule()
    def built_at_once(p, g, lr):  # type: ignore[no-untyped-def]
        return (p - lr * (g * g),)

    together = threading.Barrier(4)
    ends: list[list[float]] = []

    def work() -> None:
        together.wait()
        p = np.ones(5)
        optimizer = fastopt.Optimizer(p, built_at_once, 0.25, backend=launching)
        for _ in range(3):
            optimizer.step(np.full(5, 2.0))
        ends.append(p.tolist())

    running = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(PATIENCE)
    assert ends == [[-2.0] * 5] * 4


@pytest.mark.alone
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets threads be placed")
@pytest.mark.skipif(threads.available() < 2, reason="a helper has a CPU of its own where there are two")
def test_helpers_keep_off_the_callers_cpu_and_within_the_allowed_ones() -> None:
    """On this machine as it is; on others that are made up: tests/host/test_pool.py."""
    needed("cython")
    script = """
    import threading, time
    first, second = sorted(os.sched_getaffinity(0))[:2]
    caller = threading.get_native_id()
    def helpers():
        return [int(task) for task in os.listdir("/proc/self/task") if int(task) != caller]
    def ran(task):
        return int(open(f"/proc/self/task/{task}/schedstat").read().split()[0])
    def cpu_of(task):
        return int(open(f"/proc/self/task/{task}/stat").read().rsplit(")", 1)[1].split()[36])
    def steps(seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            optimizer.step(gradient)
    os.sched_setaffinity(0, {first, second})
    before = set(helpers())
    optimizer, gradient = walked(backend, 3, num_threads=4), large(9)
    steps(0.05)
    (helper,) = set(helpers()) - before
    allowed = os.sched_getaffinity(helper)
    assert allowed < {first, second}, "the caller's own CPU is not the helper's"
    was = ran(helper)
    steps(0.05)
    assert ran(helper) > was
    os.sched_setaffinity(0, {first})  # the caller may use one CPU: it works alone
    steps(0.05)
    was = ran(helper)
    steps(0.05)
    assert ran(helper) == was, "nobody works on a CPU that was taken away"
    os.sched_setaffinity(0, {first, second})
    steps(0.05)
    assert ran(helper) > was
    print("placed")
    """
    assert run(PREAMBLE + textwrap.dedent(script), "cython", "launcher") == "placed\n"


def test_numbas_workqueue_layer_is_entered_by_one_thread_at_a_time() -> None:
    """It is what Numba takes where there is neither TBB nor OpenMP, and it ends the process when two threads call in."""
    needed("numba")
    script = """
    import threading
    optimizers = [fastopt.SGD(large(k), lr=0.5, backend=backend, num_threads=2) for k in range(4)]
    gradient = large(9)
    together = threading.Barrier(len(optimizers))
    def work(optimizer):
        together.wait()
        for _ in range(200):
            optimizer.step(gradient)
    running = [threading.Thread(target=work, args=(o,)) for o in optimizers]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    import numba
    assert numba.threading_layer() == "workqueue"
    expected = large(0)
    alone = fastopt.SGD(expected, lr=0.5, backend="numpy")
    for _ in range(200):
        alone.step(gradient)
    assert optimizers[0].params.tobytes() == expected.tobytes()
    print("same bits")
    """
    text = PREAMBLE + textwrap.dedent(script)
    assert run(text, "numba", "prange", NUMBA_THREADING_LAYER="workqueue") == "same bits\n"


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize("launching", ["numba", "numba's prange"], indirect=True)
def test_a_step_leaves_the_callers_thread_count_alone(launching: str) -> None:
    """Which is not the machine's here, nor the step's; `prange` would take it."""
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        fastopt.Adam(large(0), backend=launching, num_threads=2).step(large(1))
        assert numba.get_num_threads() == 1
    finally:
        numba.set_num_threads(before)


@pytest.mark.parametrize(("said", "expected"), [(None, [2, 3]), ("5", [5, 5])])
def test_no_more_than_the_library_beside_unless_somebody_says_so(said: str | None, expected: list[int], monkeypatch: Any) -> None:
    monkeypatch.delenv("FASTOPT_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("FASTOPT_NUM_THREADS", said)
    asked = 3 if said is None else int(said)
    assert [threads.at_most(others, asked) for others in (2, 4)] == expected
