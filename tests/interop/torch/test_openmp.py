"""torch's own threads are found, and make large steps."""

from __future__ import annotations

import sys

import pytest

torch = pytest.importorskip("torch")

import fastopt
import fastopt.interop.torch as dropins
from fastopt.interop.torch import openmp


def test_large_steps_are_done_by_torchs_own_threads() -> None:
    """On Linux, whose wheels of torch have an OpenMP runtime; the bits are those of a step in one thread."""
    if not sys.platform.startswith("linux") or fastopt.available_backends()["cython"] is not True:
        pytest.skip("torch's threads are looked for on Linux, and called by compiled code")
    assert openmp.TORCHS_THREADS
    ends = []
    for count in (1, 3):
        p = torch.nn.Parameter(torch.linspace(-1, 1, 300_000))
        p.grad = torch.linspace(1, -2, 300_000)
        optimizer = dropins.Adam([p], lr=0.1, num_threads=count)
        for _ in range(3):
            optimizer.step()
        assert all(batch.work.by_team for batch in optimizer._laid.plan.batches)
        ends.append(p.detach())
    assert torch.equal(*ends)
