"""The example of NumPy over MPI, small."""

from __future__ import annotations

import re

import pytest

from tests.launchers import mpiexec, no_mpi

EXAMPLE = ["examples/mpi_numpy.py", "--steps", "10", "--width", "300"]


def said(ranks: int, *arguments: str) -> tuple[str, list[int]]:
    """The loss and the checksum that a run printed, and the bytes of states of each rank."""
    done = mpiexec(ranks, *arguments)
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"(loss .* parameters \S+)   states of (.*) bytes\n", done.stdout)
    assert found is not None, done.stdout
    return found[1], [int(count) for count in found[2].split(", ")]


@pytest.mark.skipif(no_mpi() is not None, reason=str(no_mpi()))
def test_four_processes_end_where_one_does() -> None:
    together, held = said(4, *EXAMPLE)
    alone, (whole,) = said(1, *EXAMPLE, "--parts", "4")
    assert together == alone
    assert sum(held) == whole == 2 * 4 * (8 * 300 + 300 + 300 + 1)
    assert max(held) < whole / 2
