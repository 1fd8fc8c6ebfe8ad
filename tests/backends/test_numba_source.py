"""What the numba backend generates."""

from __future__ import annotations

import ast

import pytest

from fastopt.backends import numba_source
from fastopt.rules.entry import RULES, Rule
from tests.kernels import kernel

EVERY = [pytest.param(rule, coupled, id=rule.name + "_l2" * coupled) for rule in RULES.values() for coupled in (False, True)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rule", "coupled"), EVERY)
def test_source_has_no_number_in_its_arithmetic(rule: Rule, coupled: bool, dtype: str) -> None:
    """`1.0 - beta` in float32 is float64 arithmetic in Numba; indices are whole numbers."""
    source = numba_source.kernel_source(kernel(rule, coupled, dtype), True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float), node.value
    assert 'error_model="numpy"' in source
    assert "fastmath" not in source
    assert source.count("cache=True") == 1
    assert "cache=False" not in source
    assert "cache=True" not in numba_source.kernel_source(kernel(rule, coupled, dtype), False)
