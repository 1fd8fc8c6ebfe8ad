"""The example of the methods for SciPy."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.documents import ROOT


def test_all_get_there() -> None:
    command = [sys.executable, str(ROOT / "examples" / "scipy_minimize.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(\S+)\s+fun (\S+)   \d+ iterations, \d+ evaluations$", done.stdout, re.MULTILINE)
    assert [name for name, _ in found] == ["adam", "nadam", "momentum", "L-BFGS-B"]
    assert all(float(fun) < 1e-8 for _, fun in found)
    last = re.search(r"^mini-batches: status 99, \d+ epochs, loss (\S+), off by (\S+)$", done.stdout, re.MULTILINE)
    assert last is not None, done.stdout
    assert float(last[1]) < 1e-4
    assert float(last[2]) < 1e-2
