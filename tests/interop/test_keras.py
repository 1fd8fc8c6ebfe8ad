"""The drop-ins for Keras, whose backend is chosen once for a process: `tests/interop/keras` runs in one of its own for each of two.

By hand: FASTOPT_TEST_KERAS=torch python -m pytest tests/interop/keras
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

import pytest

from tests.documents import ROOT


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_in_a_process_of_its_own(backend: str) -> None:
    for module in {"keras", backend}:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    command = [sys.executable, "-m", "pytest", "tests/interop/keras", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"FASTOPT_TEST_KERAS": backend, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) > 40


def test_without_keras_and_on_a_backend_whose_arrays_are_immutable() -> None:
    script = """
    import sys, types
    sys.modules["keras"] = None
    try:
        import fastopt.interop.keras
    except ModuleNotFoundError as error:
        assert str(error) == "fastopt.interop.keras takes Keras 3: pip install 'fastopt[keras]'", error
    else:
        raise AssertionError("no error")
    sys.modules["keras"] = types.SimpleNamespace(backend=types.SimpleNamespace(backend=lambda: "jax"))
    try:
        import fastopt.interop.keras
    except ImportError as error:
        assert "expected Keras on PyTorch or on NumPy" in str(error) and "received Keras on 'jax', whose arrays are immutable" in str(error)
    else:
        raise AssertionError("no error")
    """
    lines = "\n".join(line[4:] for line in script.splitlines())
    done = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
