"""A rule that no benchmark times fails here; the cross-checks of each are asked for in tests/rules/test_entry.py."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from bench.in_place import IN_PLACE, NAME
from bench.ours import REFERENCE
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


def test_textbook_numpy_stands_beside_numpy_in_place() -> None:
    pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed")
    from bench.test_step import contenders

    for rule in RULES:
        there = rule in IN_PLACE
        assert contenders(rule, REFERENCE, "float32")[:2] == ([REFERENCE, NAME] if there else [REFERENCE, "traffic"])
        assert NAME not in contenders(rule, REFERENCE, "float64")
        assert all(NAME not in contenders(rule, backend, "float32") for backend in backends.on_host() if backend != REFERENCE)


def test_numpy_in_place_that_computes_something_else_has_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed")
    from bench import test_step

    test_step._verify_in_place("adam", "float32")
    monkeypatch.setitem(IN_PLACE, "adam", IN_PLACE["adam"]._replace(update=lambda g, m, v, t, s, *scalars: np.multiply(g, 1e-4, out=t)))
    with pytest.raises(AssertionError, match=f"^adam, float32: {NAME} differs from the reference"):
        test_step._verify_in_place("adam", "float32")
