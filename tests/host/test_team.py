"""Large jobs by the threads of another library's OpenMP runtime (`fastopt/host/team.h`)."""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.host import launched
from fastopt.host.worklist import WorkList
from tests.attack.modes import MODES
from tests.conftest import needed
from tests.host.processes import GOMP

launch = pytest.importorskip("fastopt.host._launch", reason="the launcher was not built: no C compiler when fastopt was installed")

PARALLEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
NUMBER = ctypes.CFUNCTYPE(ctypes.c_int)
WORK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Runtime:
    """A made-up OpenMP runtime: it gives a team of some threads, however many it is asked for.

    `asked` is how many that were, `around` what `look` said in each of the team's threads before and after its part.
    """

    def __init__(self, gives: Callable[[int], int], look: Callable[[], object] = lambda: None) -> None:
        self.asked: list[int] = []
        self.around: list[tuple[object, object]] = []
        self.own = threading.local()

        def member(number: int, work: Any, data: int) -> None:
            self.own.number = number
            before = look()
            work(data)
            self.around.append((before, look()))

        def parallel(function: int, data: int, wanted: int, flags: int) -> None:
            self.asked.append(wanted)
            work = WORK(function)
            others = [threading.Thread(target=member, args=(k, work, data)) for k in range(1, gives(wanted))]
            for other in others:
                other.start()
            member(0, work, data)
            for other in others:
                other.join()

        self.functions = PARALLEL(parallel), NUMBER(lambda: self.own.number)

    def used(self) -> None:
        launched.use_team(*(ctypes.cast(function, ctypes.c_void_p).value or 0 for function in self.functions))


@pytest.fixture(autouse=True)
def team_again(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every work list asks for the team, which is nobody's afterwards."""
    needed("cython")
    if not launch.HAS_THREADS:
        pytest.skip("the launcher was built without threads")
    monkeypatch.setattr(WorkList, "by_team", True)
    yield
    launch.use_team(0, 0)


LARGE = 1 + launched.WAKE_FROM // 4
"""Elements of float32, of which even the norm is worth waking somebody for."""


def stepped(backend: str, threads: int | None = None, large: int = LARGE) -> bytes:
    rng = np.random.default_rng(0)
    params = [rng.standard_normal(size).astype(np.float32) for size in (3, large, 0, 257, 4096)]
    opt = fastopt.Adam(params, 0.1, weight_decay=0.1, backend=backend, num_threads=threads)
    for _ in range(3):
        opt.step([rng.standard_normal(p.size).astype(np.float32) for p in params], max_norm=1.0)
    return b"".join(a.tobytes() for a in (*params, *(state for own in opt._states for state in own)))


@pytest.mark.parametrize("gives", [lambda wanted: wanted, lambda wanted: 1, lambda wanted: max(1, wanted - 1)], ids=["all", "one", "less"])
@pytest.mark.parametrize("threads", [2, 3, 7])
def test_any_team_does_all_of_it(threads: int, gives: Callable[[int], int]) -> None:
    runtime = Runtime(gives)
    runtime.used()
    assert stepped("cython", threads) == stepped("numpy")
    assert runtime.asked == [threads] * 6  # a norm and a step, three times


def test_what_the_kernels_find_is_handed_back() -> None:
    runtime = Runtime(lambda wanted: wanted)
    runtime.used()
    p, g = np.ones(LARGE, np.float32), np.ones(LARGE, np.float32)
    opt = fastopt.SGD(p, 0.1, backend="cython", num_threads=2, nonfinite="skip")
    g[-1] = np.inf
    assert opt.step(g) is False
    assert len(runtime.asked) == 1
    assert (p == 1.0).all()


@pytest.mark.skipif(platform.machine().lower() not in MODES, reason="helpers take over the modes of x86-64 and ARM alone")
def test_its_threads_do_arithmetic_as_the_caller_and_then_as_before() -> None:
    """As the caller: `test_mode` shows that, by GNU's runtime."""
    needed("numba")
    from numba import njit

    from fastopt.backends.numba_primitives import mode, take_mode

    own, take = njit(lambda: mode()), njit(lambda wanted: take_mode(wanted))
    usual, flushing = own(), MODES[platform.machine().lower()][-1]
    main, begun = threading.current_thread(), threading.local()

    def look() -> int:
        if threading.current_thread() is not main and not hasattr(begun, "once"):
            begun.once = take(usual)  # a thread begins in the mode of the one that starts it
        return own()

    runtime = Runtime(lambda wanted: wanted, look)
    runtime.used()
    take(flushing)
    try:
        stepped("cython", 2)
    finally:
        take(usual)
    assert set(runtime.around) == {(usual, usual), (flushing, flushing)}


@pytest.mark.parametrize("why", ["one thread", "a small job", "nobody asks for it"])
def test_the_pool_or_the_caller_does_what_is_not_for_the_team(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(lambda wanted: wanted)
    runtime.used()
    if why == "nobody asks for it":
        monkeypatch.setattr(WorkList, "by_team", False)
    size = 10_000 if why == "a small job" else LARGE
    assert stepped("cython", 1 if why == "one thread" else 2, size) == stepped("numpy", large=size)
    assert not runtime.asked


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_no_team() -> None:
    runtime = Runtime(lambda wanted: wanted)
    runtime.used()
    expected = stepped("numpy")
    child = os.fork()
    if not child:
        os._exit(0 if stepped("cython", 2) == expected and not runtime.asked else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(GOMP is None, reason="GNU's OpenMP runtime is not here")
@pytest.mark.parametrize("threads", [2, 3])
def test_gnus_runtime(threads: int) -> None:
    assert GOMP is not None
    runtime = ctypes.CDLL(GOMP)
    functions = (ctypes.cast(function, ctypes.c_void_p).value or 0 for function in (runtime.GOMP_parallel, runtime.omp_get_thread_num))
    assert launched.use_team(*functions)
    assert stepped("cython", threads) == stepped("numpy")
