"""That the cython backend has every rule built, and does not use a kernel that was built from another text."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.backends import cython_backend, cython_helper
from fastopt.rules.entry import RULES, Rule
from tests.backends.test_cython_source import changed_sgd
from tests.conftest import a_compiler_at_hand, needed
from tests.kernels import kernel


def test_what_was_built_is_what_the_rules_say() -> None:
    needed("cython")
    listed = cython_backend._kernels().KERNELS
    for rule in RULES.values():
        for own in cython_backend.ahead(rule):
            assert cython_backend.has_kernel(own), f"{own.name}: the extension is older than the rules, build it again"
            address, _ = listed[own.name]
            assert cython_backend.kernel_address(own) == address, "compiled again what was compiled ahead"


@pytest.mark.usefixtures("nothing_derived")
def test_a_changed_formula_does_not_run_the_kernel_that_was_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needed("cython")
    a_compiler_at_hand()
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))
    changed = changed_sgd()
    assert not cython_backend.has_kernel(kernel(changed))
    assert cython_backend.has_kernel(kernel("sgd"))
    for rule, expected in ((changed, 1.5), (RULES["sgd"], 0.5)):
        p = np.ones(1)
        fastopt.Optimizer(p, rule, 0.5, backend="cython").step(np.ones(1))
        assert p[0] == expected
    built = sorted(path.suffix for path in (tmp_path / "cython").glob(f"fastopt_sgd_{cython_backend.isa()}_*"))
    assert built == [".seal", ".so"] or sys.platform == "win32"


@pytest.mark.usefixtures("nothing_derived")
def test_a_built_kernel_of_another_fingerprint_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade of fastopt in place, with the old extension still there."""
    needed("cython")

    listed = cython_backend._kernels().KERNELS
    stale = SimpleNamespace(KERNELS={name: (address, "0" * 16) for name, (address, _) in listed.items()})
    monkeypatch.setattr(cython_backend, "_kernels", lambda: stale)
    assert not cython_backend.has_kernel(kernel("sgd"))
    assert fastopt.backends.pick(kernel("sgd"))[0] != "cython"
    asked: list[Rule] = []

    def compiled_now(rule: Rule, storages: Any) -> Any:
        asked.append(rule)
        raise RuntimeError("would be compiled now")

    monkeypatch.setattr(cython_backend, "_compiled_now", compiled_now)
    with pytest.raises(RuntimeError, match="would be compiled now"):
        fastopt.SGD(np.ones(1), backend="cython")
    assert asked == [RULES["sgd"]]


@pytest.mark.usefixtures("nothing_derived")
def test_a_rule_is_compiled_once_and_found_again_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needed("cython")
    a_compiler_at_hand()
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))
    compiled: list[Any] = []
    compile_module = cython_helper.compile_module
    monkeypatch.setattr(cython_helper, "compile_module", lambda *given: compiled.append(given) or compile_module(*given))
    changed = changed_sgd()
    for fresh in (False, True):
        if fresh:  # as another process would
            changed.derived.clear()
        for dtype in (np.float32, np.float64):
            p = np.ones(1, dtype)
            fastopt.Optimizer(p, changed, 0.5, backend="cython", weight_decay=0.5).step(np.ones(1, dtype))
            assert p[0] == 1.75
    assert len(compiled) == 1
    assert len(list((tmp_path / "cython").iterdir())) == 2, "something was left beside the library and its seal"
