"""The example of torch's ZeroRedundancyOptimizer, small."""

from __future__ import annotations

import re

import pytest

from tests.documents import ROOT
from tests.launchers import no_gloo, torchrun

needs_gloo = pytest.mark.skipif(no_gloo() is not None, reason=str(no_gloo()))


@needs_gloo
def test_two_processes_end_where_one_does() -> None:
    done = torchrun(str(ROOT / "examples" / "torch_zero.py"), "--steps", "5", "--width", "16")
    assert done.returncode == 0, done.stderr
    assert "as one process: parameters True, states True\n" in done.stdout
    held = [int(count) for count in re.findall(r"(\d+) numbers of states", done.stdout)]
    assert len(held) == 2
    assert sum(held) == 2 * (8 * 16 + 16 + 16 * 16 + 16 + 16 + 1)
    assert min(held) > 0
