"""Two processes by torch's own launcher."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.documents import ROOT

__all__ = ["torchrun"]

LIMIT = 120


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What `torchrun --standalone --nproc-per-node 2` made of a script."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LIMIT, check=False)
