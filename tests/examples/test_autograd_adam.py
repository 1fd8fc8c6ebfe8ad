"""The example of the drop-ins for HIPS autograd, small."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.documents import ROOT


def test_both_ways_end_at_the_same_parameters() -> None:
    pytest.importorskip("autograd")
    command = [sys.executable, str(ROOT / "examples" / "autograd_adam.py"), "--iterations", "40", "--width", "8"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(\S+)\s+loss (\d+\.\d+)   \d+\.\d+ ms an iteration$", done.stdout, re.MULTILINE)
    assert [name for name, _ in found] == ["autograd.misc.optimizers.adam", "fastopt.interop.autograd.adam"]
    assert found[0][1] == found[1][1]
    assert float(found[0][1]) < 1.0
    difference = re.search(r"^largest difference (\S+)$", done.stdout, re.MULTILINE)
    assert difference is not None
    assert float(difference[1]) < 1e-10
