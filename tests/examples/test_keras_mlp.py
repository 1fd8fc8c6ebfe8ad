"""The example of the drop-ins for Keras, small."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

import pytest

from tests.documents import ROOT


def test_both_ways_end_at_the_same_loss() -> None:
    for module in ("keras", "torch"):  # Keras is not imported here, where its backend would be chosen for all tests
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    command = [sys.executable, str(ROOT / "examples" / "keras_mlp.py"), "--epochs", "4", "--width", "16"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(\S+)\s+loss (\d+\.\d+)   \d+\.\d+ ms a step$", done.stdout, re.MULTILINE)
    assert [name for name, _ in found] == ["keras.optimizers.Adam", "fastopt.interop.keras.Adam"]
    assert float(found[0][1]) == pytest.approx(float(found[1][1]), rel=1e-3)
    assert float(found[0][1]) < 1.5
