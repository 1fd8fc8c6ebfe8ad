"""The example of steps in the backward pass, small."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.documents import ROOT


def test_both_ways_have_the_same_losses_and_one_takes_less_memory() -> None:
    pytest.importorskip("torch")
    command = [sys.executable, str(ROOT / "examples" / "torch_step_in_backward.py"), "--steps", "6", "--width", "512"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    form = r"^(.+?)\s+loss (\d+\.\d+)   \d+\.\d+ ms a step   (\d+\.\d) MiB at most within one$"
    found = re.findall(form, done.stdout, re.MULTILINE)
    assert [name for name, *_ in found] == ["classic", "in the backward pass"]
    assert "the losses are the same bits" in done.stdout
    gradients = float(re.findall(r"take (\d+\.\d) MiB", done.stdout)[0])
    classic, backward = (float(most) for *_, most in found)
    assert backward < classic - 0.5 * gradients
