"""The oracle: it knows nothing of what it judges, and writes nothing."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastopt import reference
from fastopt.rules.entry import RULES, Rule

FILES = sorted(path for path in Path(reference.__file__).parent.glob("*.py") if path.name != "__init__.py")
OPERATIONS = {"maximum", "minimum", "zero"}
PACKAGED = [pytest.param(rule, id=rule.name) for rule in RULES.values()]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_imports_numpy_and_the_standard_library_alone(file: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            imported.add(node.module)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("__import__", "import_module", "exec", "eval")
    assert imported <= {"__future__", "math", "typing", "numpy", "numpy.typing", "fastopt.reference.operations"}


def test_states_each_text_once_and_no_other() -> None:
    own = {rule.update.__name__ for rule in RULES.values() if rule.update.__module__.startswith("fastopt.")}
    assert set(reference.FORMULAS) == own
    defined = [node.name for file in FILES for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert sorted(defined) == sorted([*own, "finished", "prepared", *OPERATIONS])


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_does_not_call_one_formula_from_another(file: Path) -> None:
    """Sharing would let one mistake hide another; what stands for one operation of the language may be called."""
    for function in ast.parse(file.read_text()).body:
        if isinstance(function, ast.FunctionDef):
            called = {n.func.id for n in ast.walk(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
            assert not called & {*reference.FORMULAS, "finished", "prepared"}, function.name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", PACKAGED)
def test_returns_new_arrays_of_the_same_dtype(rule: Rule, dtype: Any) -> None:
    p, g, *states = (np.linspace(0.1, 1.0, 5).astype(dtype) for _ in range(2 + len(rule.states)))
    before = [array.copy() for array in (p, g, *states)]
    formula = rule.of_its_states(reference.FORMULAS[rule.update.__name__], rule.options)
    results = formula(p, g, *states, step=2, lr=0.1, **rule.memory, **rule.defaults)
    assert isinstance(results, tuple)
    assert len(results) == 1 + len(states)
    for result in results:
        assert result.dtype == dtype
        assert result.shape == p.shape
        assert not any(np.shares_memory(result, given) for given in (p, g, *states))
    assert all(np.array_equal(a, b) for a, b in zip((p, g, *states), before, strict=True))


def test_prepared_by_hand() -> None:
    p, g = np.array([2.0]), np.array([4.0])
    plain: dict[str, Any] = {"lr": 0.25, "weight_decay": 0.0, "decoupled": False, "maximize": False, "grad_scale": 1.0}

    def prepared(**changes: Any) -> tuple[float, float]:
        new_p, new_g = reference.prepared(p, g, **{**plain, **changes})
        return float(new_p[0]), float(new_g[0])

    assert prepared() == (2.0, 4.0)
    assert prepared(grad_scale=2.0) == (2.0, 2.0)
    assert prepared(maximize=True) == (2.0, -4.0)
    assert prepared(weight_decay=0.5) == (2.0, 5.0)
    assert prepared(weight_decay=0.5, decoupled=True) == (1.75, 4.0)
    assert prepared(weight_decay=0.5, decoupled=True, maximize=True, grad_scale=4.0) == (1.75, -1.0)
    assert prepared(weight_decay=0.5, maximize=True) == (2.0, -3.0)
    assert prepared(clip_value=1.5) == (2.0, 1.5)
    assert prepared(clip_value=1.5, grad_scale=4.0) == (2.0, 1.0)
    assert prepared(clip_value=1.5, maximize=True, weight_decay=0.5) == (2.0, -0.5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finished_by_hand(dtype: Any) -> None:
    tiny = np.finfo(dtype).tiny
    p, m, v = (np.array([1.0, tiny / 2, -0.0, -tiny], dtype) for _ in range(3))
    assert reference.finished(p, m, v)[0] is p
    assert reference.finished(p, m, v)[2] is v
    new_p, new_m, new_v = reference.finished(p, m, v, flush_denormals=True)
    assert new_p is p, "only states are flushed"
    for new in (new_m, new_v):
        assert new.dtype == dtype
        assert new.tolist() == [1.0, 0.0, 0.0, -tiny]
        assert not np.signbit(new[:3]).any()
    assert m.tolist() == v.tolist() == p.tolist()


def test_averaged_by_hand() -> None:
    tiny = float(np.finfo(np.float64).tiny)
    p, ema = np.array([1.0, 0.0]), np.array([2.0, tiny])
    assert [x.tolist() for x in reference.finished(p, ema=ema, ema_decay=0.75)] == [[1.0, 0.0], [1.75, 0.75 * tiny]]
    assert [x.tolist() for x in reference.finished(p, p, ema=ema, ema_decay=0.75, flush_denormals=True)][1:] == [[1.0, 0.0], [1.75, 0.0]]
    assert ema.tolist() == [2.0, tiny]
