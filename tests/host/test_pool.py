"""Helpers on a machine that is made up: other CPUs than this one's, a scheduler that crowds them on the caller's, calls that fail."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.documents import ROOT

HEADERS = ROOT / "fastopt" / "host"
SETTLED = 40
"""Jobs after which every helper has had the time to move: it does so once in a millisecond."""

pytestmark = [
    pytest.mark.alone,  # helpers are to have found their places after so many jobs, and without a core they find none
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets threads be placed"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="the pool is compiled for this: no C compiler"),
]


class Machine:
    """A pool of its own, in a library of its own."""

    def __init__(self, library: Path) -> None:
        self.pool = ctypes.CDLL(str(library))
        assert self.pool.start() == 0
        self.pool.set_machine.argtypes = [ctypes.c_uint64, ctypes.c_int, ctypes.c_int, ctypes.c_int]

    def has(self, cpus: set[int], caller: int, *, ask: bool = True, move: bool = True) -> None:
        """What the caller may use and where it is; whether the system tells, and lets threads be moved."""
        self.pool.set_machine(sum(1 << cpu for cpu in cpus), caller, ask, move)

    def job(self, threads: int, takes_us: int = 300, stuck: bool = False) -> list[int]:
        """The CPUs on which helpers did pieces of one job, one entry for each piece that the caller did not do itself."""
        on = (ctypes.c_int * (8 * threads))()
        assert self.pool.run(threads, 8 * threads, ctypes.c_long(takes_us), stuck, on), "a piece was not done exactly once"
        return [cpu for cpu in on if cpu != -2]

    def settled(self, threads: int) -> set[int]:
        """Where helpers work once they have found their places; piece by piece nobody may be on the caller's CPU at any time."""
        for _ in range(SETTLED):
            self.job(threads)
        return {cpu for _ in range(5) for cpu in self.job(threads)}


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., Machine]:
    def compile_with(*flags: str) -> Machine:
        library = tmp_path / "pool.so"
        source = Path(__file__).with_name("pool_on_a_made_up_machine.c")
        command = ["cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread", "-DFASTOPT_THREADS"]
        subprocess.run([*command, *flags, f"-I{HEADERS}", str(source), "-o", str(library)], check=True)
        return Machine(library)

    return compile_with


@pytest.fixture
def machine(compiled: Callable[..., Machine]) -> Machine:
    return compiled("-DFASTOPT_PLACEMENT")


def test_each_helper_has_a_cpu_of_its_own(machine: Machine) -> None:
    machine.has({0, 1, 2, 3, 4, 5}, caller=0)
    assert machine.settled(6) == {1, 2, 3, 4, 5}
    moved = machine.pool.moves_so_far()
    assert machine.settled(6) == {1, 2, 3, 4, 5}
    assert machine.pool.moves_so_far() == moved, "helpers that have their places stay there"


def test_two_cpus_and_a_caller_that_moves(machine: Machine) -> None:
    for caller in (0, 1, 0, 1):
        machine.has({0, 1}, caller)
        assert machine.settled(2) == {1 - caller}


def test_nobody_ever_works_on_the_callers_cpu(machine: Machine) -> None:
    """Also not in the first jobs, nor while it moves."""
    for k in range(200):
        machine.has({0, 1, 2, 3}, caller=(k // 7) % 4)
        assert (k // 7) % 4 not in machine.job(4, takes_us=50)


def test_a_caller_that_moves_onto_a_helpers_cpu_drives_it_elsewhere(machine: Machine) -> None:
    machine.has({0, 1, 2, 3}, caller=0)
    assert machine.settled(4) == {1, 2, 3}
    machine.has({0, 1, 2, 3}, caller=2)
    assert machine.settled(4) == {0, 1, 3}


def test_the_allowed_cpus_change_while_it_runs(machine: Machine) -> None:
    machine.has({0, 1, 2, 3}, caller=0)
    assert machine.settled(4) == {1, 2, 3}
    machine.has({0, 3}, caller=0)
    assert machine.settled(4) == {3}
    machine.has({4, 5, 6}, caller=5)
    assert machine.settled(4) == {4, 6}
    machine.has({0, 1, 2, 3, 4}, caller=4)
    assert machine.settled(4) <= {0, 1, 2, 3}
    assert len(machine.settled(4)) == 3


def test_one_cpu_is_the_callers(machine: Machine) -> None:
    machine.has({3}, caller=3)
    assert [machine.job(4) for _ in range(5)] == [[]] * 5
    assert machine.pool.helpers_started() == 0
    machine.has({2, 3}, caller=3)
    assert machine.settled(4) == {2}
    machine.has({2}, caller=2)
    machine.job(4, takes_us=3000)  # what is allowed is asked for again after a millisecond
    assert [machine.job(4) for _ in range(5)] == [[]] * 5


def test_more_helpers_than_cpus(machine: Machine) -> None:
    machine.has({0, 1, 2}, caller=1)
    assert machine.settled(16) == {0, 2}
    assert machine.pool.helpers_started() == 2


def test_of_two_that_want_a_cpu_the_lower_number_has_it(machine: Machine) -> None:
    claim = machine.pool.claim
    assert claim(2, 3)
    assert not claim(5, 3)
    assert claim(1, 3)
    assert not claim(2, 3)
    assert claim(2, 4)
    assert claim(1, 6)  # and leaves 3 to others
    assert claim(5, 3)


def test_a_small_job_after_a_large_one_takes_no_others_place(machine: Machine) -> None:
    machine.has({0, 1, 2, 3, 4, 5}, caller=5)
    assert machine.settled(6) == {0, 1, 2, 3, 4}
    machine.has({0, 1, 2, 3, 4, 5}, caller=0)  # onto a helper's
    assert len(machine.settled(3)) == 2
    assert machine.settled(6) == {1, 2, 3, 4, 5}


def test_where_the_system_does_not_tell_helpers_work_wherever_they_are(machine: Machine) -> None:
    machine.has({0, 1, 2, 3}, caller=0, ask=False)
    assert machine.settled(4) == {0}
    machine.has({0, 1, 2, 3}, caller=-1)
    assert machine.settled(4) == {-1}, "nor does it say where anybody is"
    assert machine.pool.moves_so_far() == 0


def test_where_threads_cannot_be_moved_those_in_the_way_keep_out(machine: Machine) -> None:
    machine.has({0, 1, 2, 3}, caller=0, move=False)
    assert machine.settled(4) == set()
    machine.has({0, 1, 2, 3}, caller=0)  # forbidden no longer
    assert machine.settled(4) == {1, 2, 3}


def test_a_helper_that_lost_its_cpu_is_brought_to_the_callers(machine: Machine) -> None:
    """In the middle of a piece, which nobody else can end."""
    machine.has({0, 1}, caller=0)
    assert machine.settled(2) == {1}
    assert machine.job(2, stuck=True) == [1]
    assert machine.pool.brought_in_this_job() >= 1


@pytest.mark.parametrize("flags", [("-DFASTOPT_PLACEMENT",), ()], ids=["placed", "not placed"])
def test_thousands_of_jobs_and_each_piece_once(compiled: Callable[..., Machine], flags: tuple[str, ...]) -> None:
    """A helper that comes late must not touch the next job's pieces, whoever is called to it."""
    machine = compiled(*flags)
    machine.has(set(range(8)), caller=0)
    assert machine.pool.hurry(20_000, 8) == 0
    assert machine.pool.helpers_started() == 7


def test_without_the_calls_helpers_work_wherever_they_are(compiled: Callable[..., Machine]) -> None:
    machine = compiled()
    machine.has({0, 1}, caller=0)
    assert machine.settled(4) == {0}
    assert machine.pool.helpers_started() == 3
    assert machine.pool.moves_so_far() == 0
