"""Launchers of several processes, and why there is none: it is not installed, or this machine lets its processes not find each other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests.documents import ROOT

__all__ = ["LIMIT", "mpiexec", "no_gloo", "no_mpi", "torchrun"]

LIMIT = 120
"""Seconds after which processes are taken for hanging."""


def mpiexec(ranks: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What became of a Python in so many processes of MPI, by the launcher beside this Python, or another MPI's."""
    found = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}") or "mpiexec"
    return _run([found, "-n", str(ranks), sys.executable, *arguments])


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What became of a script in two processes of torch's own launcher."""
    own = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2"]
    return _run([sys.executable, "-m", "torch.distributed.run", *own, *arguments])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)


@cache
def no_mpi() -> str | None:
    """Why two processes of MPI cannot be had; None if they can."""
    if find_spec("mpi4py") is None:
        return "mpi4py is not installed"
    try:
        done = mpiexec(2, "-c", "from mpi4py import MPI; assert MPI.COMM_WORLD.allreduce(1) == 2")
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"mpiexec starts nothing here: {error}"
    return None if done.returncode == 0 else f"two processes of MPI do not find each other here: {done.stderr[-300:]}"


@cache
def no_gloo() -> str | None:
    """Why gloo cannot be had, which asks for this machine's address; None if it can."""
    if find_spec("torch") is None:
        return "torch is not installed"
    import torch

    if not torch.distributed.is_available():
        return "this PyTorch was built without torch.distributed"
    try:
        torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    except RuntimeError as error:
        return f"gloo finds no address here: {error}"
    torch.distributed.destroy_process_group()
    return None
