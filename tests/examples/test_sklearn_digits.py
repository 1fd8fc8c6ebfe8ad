"""The example of the drop-in for scikit-learn, small."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.documents import ROOT


def test_both_ways_end_at_the_same_loss() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    command = [sys.executable, str(ROOT / "examples" / "sklearn_digits.py"), "--epochs", "2", "--width", "32"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(\S+) +loss (\S+)   score (\S+)   \d+ ms an epoch$", done.stdout, re.MULTILINE)
    assert [name for name, _, _ in found] == ["scikit-learn", "patched"]
    assert found[0][1:] == found[1][1:]
    assert float(found[0][2]) > 0.8
