"""The example of FSDP2, small, and what happens where one of its ranks is killed."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.documents import ROOT
from tests.launchers import LIMIT, no_gloo, torchrun

needs_gloo = pytest.mark.skipif(no_gloo() is not None, reason=str(no_gloo()))

ABORTED = "terminate called without an active exception"
"""What C++ says when a thread is left at a process's end, as one run in sixty did: `fully_shard` and `full_tensor` have torch remember
layouts, and hold by them the group whose threads gloo has. These are there until Python ends, also after `destroy_process_group`.
"""

KILLED = """
import os, runpy, signal, sys
import torch
from torch import distributed
import fastopt.interop.torch as optim

steps = 0
def step(self, closure=None, step=optim.AdamW.step):
    global steps
    steps += 1
    if steps == 3 and distributed.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, closure)

optim.AdamW.step = step
sys.argv = [EXAMPLE, "--steps", "1000", "--width", "16"]
runpy.run_path(EXAMPLE, run_name="__main__")
"""


@needs_gloo
def test_two_processes_end_where_one_does() -> None:
    done = torchrun(str(ROOT / "examples" / "torch_fsdp.py"), "--steps", "6", "--width", "15")
    assert done.returncode == 0 or ABORTED in done.stderr, done.stderr  # by then all was said, and compared
    assert "as one process: parameters True\n" in done.stdout
    held = [int(count) for count in re.findall(r"(\d+) of 391 parameters", done.stdout)]
    assert len(held) == 2
    assert sum(held) == 391
    assert min(held) > 0


@needs_gloo
def test_a_rank_that_is_killed_ends_the_other(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED.replace("EXAMPLE", repr(str(ROOT / "examples" / "torch_fsdp.py"))))
    begin = time.monotonic()
    done = torchrun(str(script))
    assert done.returncode != 0
    assert "SIGKILL" in done.stderr
    assert time.monotonic() - begin < LIMIT
