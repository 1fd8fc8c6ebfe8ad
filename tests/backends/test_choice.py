"""Backends by name: what is there, what `auto` takes, and why."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import backends
from fastopt.backends import cython_backend, numba_backend
from fastopt.rules.entry import RULES, Rule
from tests.conftest import needed
from tests.kernels import kernel

EVERY = [pytest.param(rule, id=rule.name) for rule in RULES.values()]


def test_available_backends_names_all_and_says_why_not() -> None:
    found = fastopt.available_backends()
    assert list(found) == ["numpy", "numba", "cython", "cuda"]
    assert found["numpy"] is True
    assert all(value is True or (isinstance(value, str) and value) for value in found.values())


@pytest.mark.parametrize("name", backends.NAMES)
def test_load_gives_a_module_of_the_protocol(name: str) -> None:
    needed(name)
    module: Any = backends.load(name)
    assert module.__name__ == f"fastopt.backends.{name}_backend"
    assert module.unavailable() is None
    assert module.thread_count(None) >= 1
    assert callable(module.prepare)


@pytest.mark.parametrize("rule", EVERY)
def test_auto_takes_what_was_compiled_ahead(rule: Rule) -> None:
    needed("cython")
    assert cython_backend.has_kernel(kernel(rule)), "the extension is older than the rules: build it again (pip install -e .)"
    name, why = backends.pick(kernel(rule))
    assert name == "cython"
    assert why
    assert fastopt.Optimizer(np.ones(3), rule).backend == "cython"


def test_auto_goes_from_cython_to_numba_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    adam = RULES["adam"]
    needed("numba")
    monkeypatch.setattr(cython_backend, "unavailable", lambda: "taken away by a test")
    name, why = backends.pick(kernel(adam))
    assert name == "numba"
    assert "taken away by a test" in why
    monkeypatch.setattr(numba_backend, "unavailable", lambda: "this one too")
    name, why = backends.pick(kernel(adam))
    assert name == "numpy"
    assert "taken away by a test" in why
    assert "this one too" in why
    assert fastopt.Adam(np.ones(3)).backend == "numpy"
    for backend, reason in (("cython", "taken away by a test"), ("numba", "this one too")):
        with pytest.raises(RuntimeError, match=rf"^backend: '{backend}' cannot be used: {reason}$"):
            fastopt.Adam(np.ones(3), backend=backend)


def test_the_environment_is_for_auto_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    needed("numba")
    for chosen in ("numpy", "numba"):
        monkeypatch.setenv("FASTOPT_BACKEND", chosen)
        assert fastopt.Adam(np.ones(3)).backend == chosen
        assert fastopt.Adam(np.ones(3), backend="numpy").backend == "numpy"
        p = np.ones(3)
        fastopt.functional.sgd(p, np.ones(3), step=1, lr=1.0)
        assert not p.any()
    monkeypatch.setenv("FASTOPT_BACKEND", "auto")
    assert fastopt.Adam(np.ones(3)).backend == backends.pick(kernel("adam"))[0]
    monkeypatch.setenv("FASTOPT_BACKEND", "cuda")
    with pytest.raises(ValueError, match=r"^FASTOPT_BACKEND: expected 'auto' or 'numpy' or .* for arrays in host memory, received 'cuda'$"):
        fastopt.Adam(np.ones(3))


def test_each_backend_runs_with_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """`backend="numba"` that quietly ran NumPy's arithmetic would have the same bits."""
    from fastopt import reference

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("the oracle was asked to do the step")

    monkeypatch.setattr(reference, "prepared", forbidden)
    monkeypatch.setitem(reference.FORMULAS, "adam", forbidden)
    for backend in ("numba", "cython"):
        needed(backend)
        fastopt.Adam(np.ones(3), backend=backend).step(np.ones(3))
    with pytest.raises(AssertionError, match="the oracle was asked"):
        fastopt.Adam(np.ones(3), backend="numpy").step(np.ones(3))


def test_cython_and_numba_run_different_kernels() -> None:
    needed("cython")
    needed("numba")
    own = kernel("adam", dtype="float64")
    assert numba_backend.kernel_address(own) != cython_backend.kernel_address(own)


def test_a_backend_that_was_not_built_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastopt.host import launched

    unavailable = cython_backend.unavailable.__wrapped__
    monkeypatch.setattr(launched, "_launch", None)
    monkeypatch.setattr(launched, "why_not", "no such file", raising=False)
    monkeypatch.setattr(cython_backend, "build_report", lambda: {"isas": [], "missing": []})
    assert unavailable() == "the extension is not built (no such file)"
    monkeypatch.setattr(cython_backend, "build_report", lambda: {"isas": [], "missing": ["a C compiler with the headers of Python"]})
    assert "the extension was not built" in unavailable()
    assert "a C compiler with the headers of Python" in unavailable()


def test_kernels_that_cannot_be_loaded_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    needed("cython")

    def broken() -> Any:
        raise ImportError("undefined symbol")

    monkeypatch.setattr(cython_backend, "_kernels", broken)
    assert cython_backend.unavailable.__wrapped__() == "the kernels cannot be loaded (undefined symbol)"


@pytest.mark.parametrize(
    ("level", "built", "expected"),
    [
        (4, ["baseline", "v3", "v4"], "v4"),
        (4, ["baseline", "v3"], "v3"),
        (3, ["baseline", "v3", "v4"], "v3"),
        (3, ["baseline"], "baseline"),
        (0, ["baseline", "v3", "v4"], "baseline"),
    ],
)
def test_the_build_is_chosen_by_the_cpu(level: int, built: list[str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastopt.host import launched

    monkeypatch.setattr(launched, "_launch", SimpleNamespace(ISA_LEVEL=level))
    monkeypatch.setattr(cython_backend, "build_report", lambda: {"isas": built})
    assert cython_backend.isa.__wrapped__() == expected


@pytest.mark.usefixtures("nothing_derived")
def test_each_build_that_this_cpu_runs_has_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastopt.crosscheck import cases, compare
    from fastopt.host import launched

    needed("cython")
    level = launched.launcher().ISA_LEVEL
    for isa, needs in (("baseline", 0), ("v3", 3), ("v4", 4)):
        if level < needs or isa not in cython_backend.build_report()["isas"]:
            continue
        module = __import__(f"fastopt.backends._kernels_{isa}", fromlist=["KERNELS"])
        monkeypatch.setattr(cython_backend, "_kernels", lambda module=module: module)
        for rule in RULES.values():
            rule.derived.clear()
            for dtype in (np.float32, np.float64):
                assert compare(rule, "cython", dtype, cases(rule)[1], special=True, num_threads=1) == 0, (isa, rule.name)
            address, _ = module.KERNELS[f"{rule.name}_float32"]
            assert cython_backend.kernel_address(kernel(rule)) == address, "another build was compared"


@pytest.mark.parametrize(
    ("preparation", "environment", "why"),
    [
        ("class Broken:\n    def find_spec(self, name, path=None, target=None):\n"
         "        if name == 'numba.core': raise ImportError('Numba needs NumPy 2.3 or less')\n"
         "sys.meta_path.insert(0, Broken())\n", {}, "numba is installed and cannot be imported (Numba needs NumPy 2.3 or less)"),
        ("", {"NUMBA_DISABLE_JIT": "1"}, "NUMBA_DISABLE_JIT is set, so it compiles nothing"),
    ],
    ids=["cannot be imported", "switched off"],
)  # fmt: skip
def test_a_numba_that_compiles_nothing_is_passed_over_with_its_reason(preparation: str, environment: dict[str, str], why: str) -> None:
    """It was said to be there, and `auto` and `fastopt info` ended in tracebacks."""
    needed("numba")
    script = f"""
import sys
{preparation}
import numpy as np, fastopt
from fastopt.host import launched
launched._launch, launched.why_not = None, "taken away"
print(fastopt.available_backends()["numba"])
print(fastopt.Adam(np.ones(3)).backend)
try:
    fastopt.Adam(np.ones(3), backend="numba")
except RuntimeError as error:
    print(error)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [why, "numpy", f"backend: 'numba' cannot be used: {why}"]
