"""What the cython backend generates, and the fingerprint by which it knows it again."""

from __future__ import annotations

import dataclasses
import re

import pytest

from fastopt.backends import cython_backend, cython_source
from fastopt.rules.entry import RULES, Rule
from fastopt.storage import STORAGES
from tests.kernels import kernel

# ruff: noqa: ANN202  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"

EVERY = [pytest.param(rule, coupled, id=rule.name + "_l2" * coupled) for rule in RULES.values() for coupled in (False, True)]


def changed_sgd() -> Rule:
    """The package's sgd with another sign, as after an edit of the file."""

    def sgd(p, g, lr):
        return (p + lr * g,)

    return dataclasses.replace(RULES["sgd"], update=sgd)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rule", "coupled"), EVERY)
def test_kernel_source_has_no_number_in_its_arithmetic(rule: Rule, coupled: bool, dtype: str) -> None:
    source = cython_source._kernel_source(kernel(rule, coupled, dtype))
    assert not re.search(r"\d\.\d|\d\.(?!\w)|\de[-+]?\d", source), "a number with a point is a double in C"
    real, other = ("float", "double") if dtype == "float32" else ("double", "float")
    assert f"cdef {real} " in source
    assert not re.search(rf"\b{other}\b", source)
    assert ("sqrtf(" in source) <= (dtype == "float32")
    assert not re.search(r"\bsqrt\(", source) or dtype == "float64"


def test_module_source_lists_every_kernel_with_its_fingerprint() -> None:
    kernels = [own for rule in RULES.values() for own in cython_backend.ahead(rule)]
    source = cython_source.module_source(kernels)
    listed = dict(re.findall(r'^    "(\w+)": \(<size_t> &\w+, "(\w*)"\),$', source, re.MULTILINE))
    expected = {own.name: cython_source.kernel_fingerprint(own) for own in kernels}
    of_gradients = {f"{question}_{storage}": "" for question in ("all_finite", "squares_of") for storage in STORAGES}
    assert listed == {**expected, **of_gradients}
    assert len(set(expected.values())) == len(expected) == len(kernels) > 6 * len(RULES)


def test_a_fingerprint_changes_with_the_formula_the_dtype_and_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    own = cython_source.kernel_fingerprint(kernel("sgd"))
    assert own == cython_source.kernel_fingerprint(kernel("sgd"))
    others = [
        cython_source.kernel_fingerprint(kernel("sgd", dtype="float64")),
        cython_source.kernel_fingerprint(kernel("sgd", coupled=True)),
        cython_source.kernel_fingerprint(kernel("sgd", gradient="bfloat16")),
        cython_source.kernel_fingerprint(kernel(changed_sgd())),
    ]
    monkeypatch.setattr(cython_source, "HEAD", cython_source.HEAD + "\n")
    kernel("sgd").derived.clear()
    others.append(cython_source.kernel_fingerprint(kernel("sgd")))
    kernel("sgd").derived.clear()
    assert len({own, *others}) == 6
