"""The example of the drop-ins for torch, small."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.documents import ROOT


def test_both_ways_end_at_the_same_loss() -> None:
    pytest.importorskip("torch")
    command = [sys.executable, str(ROOT / "examples" / "torch_mlp.py"), "--steps", "30", "--width", "16"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(\S+)\s+loss (\d+\.\d+)   \d+\.\d+ ms a step$", done.stdout, re.MULTILINE)
    assert [name for name, _ in found] == ["torch.optim.AdamW(fused=True)", "fastopt.interop.torch.AdamW"]
    assert float(found[0][1]) == pytest.approx(float(found[1][1]), rel=1e-3)
    assert float(found[0][1]) < 2.0
