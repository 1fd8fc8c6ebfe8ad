"""A rule that no benchmark times fails here; the cross-checks of each are asked for in tests/rules/test_entry.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fastopt import backends
from fastopt.rules.entry import RULES
from tests.documents import ROOT


def test_the_step_benchmark_has_every_rule_backend_and_dtype() -> None:
    pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed")
    command = [sys.executable, "-m", "pytest", "bench/test_step.py", "--collect-only", "-q", "-o", "addopts=", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for rule in RULES:
        for backend in backends.NAMES:
            for dtype in ("float32", "float64"):
                assert (f"[{rule}-{backend}-{dtype}-" in done.stdout) == (backend in backends.on_host()), (rule, backend, dtype)
