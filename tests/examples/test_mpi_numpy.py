"""The example of NumPy over MPI, small."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT

EXAMPLE = ["examples/mpi_numpy.py", "--steps", "10", "--width", "300"]


def said(*command: str) -> tuple[str, list[int]]:
    """The loss and the checksum that a run printed, and the bytes of states of each rank."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"(loss .* parameters \S+)   states of (.*) bytes\n", done.stdout)
    assert found is not None, done.stdout
    return found[1], [int(count) for count in found[2].split(", ")]


def test_four_processes_end_where_one_does() -> None:
    pytest.importorskip("mpi4py")
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if mpiexec is None:
        pytest.skip("there is no mpiexec")
    together, held = said(mpiexec, "-n", "4", sys.executable, *EXAMPLE)
    alone, (whole,) = said(sys.executable, *EXAMPLE, "--parts", "4")
    assert together == alone
    assert sum(held) == whole == 2 * 4 * (8 * 300 + 300 + 300 + 1)
    assert max(held) < whole / 2
