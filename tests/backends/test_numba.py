"""What the numba backend generates, and that what was compiled of another text is not taken for it."""

from __future__ import annotations

import ast
import math
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.rules.entry import RULES, Rule
from fastopt.transcribe import loop_body
from tests.conftest import needed

pytest.importorskip("numba", reason="numba is not installed")

from fastopt.backends import numba_backend, numba_primitives, numba_source

# ruff: noqa: ANN202  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"

EVERY = [pytest.param(rule, coupled, id=rule.name + "_l2" * coupled) for rule in RULES.values() for coupled in (False, True)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rule", "coupled"), EVERY)
def test_source_has_no_number_in_its_arithmetic(rule: Rule, coupled: bool, dtype: str) -> None:
    """`1.0 - beta` in float32 is float64 arithmetic in Numba; indices are whole numbers."""
    source = numba_source.kernel_source(loop_body(rule, coupled), dtype, np.dtype(dtype).itemsize, True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float), node.value
    assert 'error_model="numpy"' in source
    assert "fastmath" not in source
    assert source.count("cache=True") == 3
    assert "cache=False" not in source
    assert "cache=True" not in numba_source.kernel_source(loop_body(rule, coupled), dtype, 4, False)


def test_no_kernel_is_compiled_before_it_is_called() -> None:
    module: Any = numba_backend.kernel(RULES["adam"], False, np.dtype(np.float64))
    for dispatcher in (module.parallel, module.serial):
        assert dispatcher.targetoptions["error_model"] == "numpy"
        assert dispatcher.targetoptions["nogil"]
    assert not module.parallel.signatures or module.parallel.signatures


def test_one_module_a_text() -> None:
    double, single = np.dtype(np.float64), np.dtype(np.float32)
    adam = RULES["adam"]
    assert numba_backend.kernel(adam, False, double) is numba_backend.kernel(adam, False, double)
    modules = {id(numba_backend.kernel(adam, coupled, dtype)) for coupled in (False, True) for dtype in (double, single)}
    assert len(modules) == 4


def test_another_text_under_the_same_name_is_another_kernel() -> None:
    import dataclasses

    def sgd(p, g, lr):
        return (p + lr * g,)

    changed = dataclasses.replace(RULES["sgd"], update=sgd)
    double = np.dtype(np.float64)
    assert numba_backend.kernel(changed, False, double) is not numba_backend.kernel(RULES["sgd"], False, double)
    for rule, expected in ((RULES["sgd"], 0.5), (changed, 1.5)):
        p = np.ones(1)
        fastopt.Optimizer(p, rule, 0.5, backend="numba").step(np.ones(1))
        assert p[0] == expected


@pytest.mark.usefixtures("nothing_derived")
def test_what_generated_modules_import_is_in_their_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba's own cache looks at a module's file, and not at what it imports."""
    before = numba_backend.kernel(RULES["sgd"], False, np.dtype(np.float64))
    monkeypatch.setattr(numba_backend, "_primitives_fingerprint", lambda: "changed")
    RULES["sgd"].derived.clear()
    assert numba_backend.kernel(RULES["sgd"], False, np.dtype(np.float64)) is not before


@pytest.mark.usefixtures("nothing_derived")
def test_the_version_of_numba_is_in_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba_backend, "_modules", {})
    numba_backend.kernel(RULES["sgd"], False, np.dtype(np.float64))
    monkeypatch.setattr(numba_backend, "_numba_version", lambda: "99.9")
    RULES["sgd"].derived.clear()
    monkeypatch.setattr(numba_backend, "_modules", {})
    numba_backend.kernel(RULES["sgd"], False, np.dtype(np.float64))
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert len(folders) == 2
    assert folders[1].startswith("numba-99.9-python")


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_primitives_in_their_own_dtype(real: Any) -> None:
    zero, one = real(0), real(1)
    for name, reference in (("maximum", max), ("minimum", min)):
        function = getattr(numba_primitives, name)
        assert function(real(1), real(2)) == reference(1, 2)
        assert math.isnan(function(real(math.nan), one))
        assert math.isnan(function(one, real(math.nan)))
    signs = [numba_primitives.sign(real(x), zero, one) for x in (2.5, -2.5, 0.0, -0.0, math.inf, -math.inf)]
    assert signs == [1, -1, 0, 0, 1, -1]
    assert not any(math.copysign(1, s) < 0 for s in (signs[2], signs[3]))
    assert math.isnan(numba_primitives.sign(real(math.nan), zero, one))
    for function in (numba_primitives.maximum, numba_primitives.minimum):
        for signature in function.nopython_signatures:
            assert signature.return_type == signature.args[0], "a result in another dtype"


@pytest.mark.usefixtures("without_launcher")
def test_numbas_own_threads_begin_at_their_own_threshold() -> None:
    rule = RULES["adam"]
    edge = numba_backend.PARALLEL_FROM // rule.bytes_per_parameter(4)
    for size, several in ((edge - 1000, False), (edge + 1000, True)):
        optimizer = fastopt.Adam(np.zeros(size, np.float32), backend="numba", num_threads=2)
        runner = optimizer._groups[0].runner
        assert isinstance(runner, numba_backend.NumbaRunner)
        assert runner.several is several


def test_it_is_absent_where_numba_is(monkeypatch: pytest.MonkeyPatch) -> None:
    needed("numba")
    monkeypatch.setattr(numba_backend.importlib.util, "find_spec", lambda name: None)
    assert numba_backend.unavailable() == "numba is not installed"
