"""Optimizers in other processes: in a child that was forked, from whatever thread, and in one that was spawned."""

from __future__ import annotations

import os
import sys
import textwrap

import pytest

from fastopt.host import threads
from tests.conftest import needed
from tests.host.processes import PREAMBLE, WAYS, run

pytestmark = pytest.mark.long


def test_forked_is_of_this_process() -> None:
    assert threads.forked() is False
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    script = """
    import os
    from fastopt.host import threads
    child = os.fork()
    if child == 0:
        os._exit(0 if threads.forked() else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0 and not threads.forked()
    """
    run(script)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(("backend", "way"), WAYS)
def test_a_fork_after_parallel_steps_goes_on(backend: str, way: str) -> None:
    """The parent's threads are not in the child: who waits for them waits for ever, and Numba's workqueue ends the process."""
    needed(backend)
    script = """
    optimizer = walked(backend, 3, num_threads=2)
    assert optimizer._plan.batches[0].runner.several, "these steps are to be shared out"
    before = optimizer.params.tobytes()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for step in range(3, 6):
                optimizer.step(large(1 + step))
            fresh = walked(backend, 6, num_threads=2)
            expected = walked("numpy", 6).params.tobytes()
            status = 0 if optimizer.params.tobytes() == fresh.params.tobytes() == expected else 3
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
    assert optimizer.params.tobytes() == before
    for step in range(3, 6):  # and the parent too, in parallel
        optimizer.step(large(1 + step))
    assert optimizer.params.tobytes() == walked("numpy", 6).params.tobytes()
    print("same bits")
    """
    assert run(PREAMBLE + textwrap.dedent(script), backend, way) == "same bits\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize(("backend", "way"), WAYS)
def test_a_fork_from_a_second_thread_goes_on(backend: str, way: str) -> None:
    needed(backend)
    script = """
    import threading
    optimizer, found = walked(backend, 3, num_threads=2), []
    def forks():
        child = os.fork()
        if child == 0:
            status = 1
            try:
                optimizer.step(large(4))
                status = 0 if optimizer.params.tobytes() == walked("numpy", 4).params.tobytes() else 3
            finally:
                os._exit(status)
        found.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    second = threading.Thread(target=forks)
    second.start()
    second.join()
    print(found)
    """
    assert run(PREAMBLE + textwrap.dedent(script), backend, way) == "[0]\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
@pytest.mark.parametrize("backend", ["cython", "numba"])
def test_a_forked_child_gets_helpers_of_its_own(backend: str) -> None:
    """The pool forgets those of the parent: without that it would count on threads that are not there."""
    needed("cython")
    needed(backend)
    script = """
    optimizer = walked(backend, 3, num_threads=3)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            before = len(os.listdir("/proc/self/task"))
            optimizer.step(large(9))
            # no more than can have a CPU each
            status = 0 if (before, len(os.listdir("/proc/self/task"))) == (1, min(3, fastopt.host.threads.available())) else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status))
    """
    assert run(PREAMBLE + textwrap.dedent(script), backend, "launcher") == "0\n"


@pytest.mark.parametrize(("backend", "way"), WAYS)
def test_a_spawned_process_steps_in_parallel(backend: str, way: str) -> None:
    """Through a file, since a spawned child imports the main module; the optimizer is sent as it stands."""
    needed(backend)
    script = """
    import multiprocessing, pathlib, tempfile
    if __name__ == "__main__":
        with tempfile.TemporaryDirectory() as folder:
            sys.path.insert(0, folder)
            pathlib.Path(folder, "in_the_child.py").write_text('''
    import numpy as np
    def prepare(way):  # before the optimizer arrives
        from fastopt.backends import numba_backend
        from fastopt.host import launched
        launched.PARALLEL_FROM = launched.WAKE_FROM = numba_backend.PARALLEL_FROM = 0
        if way == "prange":
            launched._launch = None
    def go_on(optimizer):
        for step in range(3, 6):
            optimizer.step(np.random.default_rng(1 + step).standard_normal(150_000).astype(np.float32))
        return optimizer.params.tobytes(), optimizer.steps
    ''')
            import in_the_child
            optimizer = walked(backend, 3, num_threads=2)
            with multiprocessing.get_context("spawn").Pool(1, in_the_child.prepare, (way,)) as pool:
                end, steps = pool.apply(in_the_child.go_on, (optimizer,))
            assert steps == 6 and optimizer.steps == 3
            assert end == walked("numpy", 6).params.tobytes()
            print("same bits")
    """
    assert run(textwrap.dedent(PREAMBLE) + textwrap.dedent(script), backend, way) == "same bits\n"
