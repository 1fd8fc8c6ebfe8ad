"""When the numba backend compiles, and that what was compiled of another text is not taken for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.rules.entry import RULES
from tests.conftest import needed
from tests.kernels import kernel

pytest.importorskip("numba", reason="numba is not installed")

from fastopt.backends import numba_backend

# ruff: noqa: ANN202  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"


@pytest.mark.usefixtures("nothing_derived", "without_launcher")
def test_no_kernel_is_compiled_before_it_is_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba_backend, "_modules", {})
    optimizer = fastopt.Optimizer(np.ones(3), "sgd", backend="numba")
    module: Any = numba_backend.module_of(kernel("sgd", dtype="float64"))
    assert not module.entries
    optimizer.step(np.ones(3))
    assert set(module.entries) == {"kernel"}
    calls = numba_backend._calls()
    assert set(calls.entries) == {"serial"}, "the form for several threads was compiled for a step of one"
    for dispatcher in (calls.parallel, calls.serial):
        assert dispatcher.targetoptions["error_model"] == "numpy"
        assert dispatcher.targetoptions["nogil"]


@pytest.mark.usefixtures("nothing_derived", "without_launcher", "threads_for_all_sizes")
def test_what_calls_kernels_in_several_threads_is_compiled_for_all_of_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """It takes longer than any kernel."""
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba_backend, "_modules", {})
    for rule in ("sgd", "momentum"):
        p = np.ones(3000)
        fastopt.Optimizer(p, rule, 0.5, backend="numba", num_threads=2).step(np.ones(3000))
        assert (p == 0.5).all()
    assert sorted({name.rsplit("_", 1)[0] for name in numba_backend._modules}) == ["calls", "momentum_float64", "sgd_float64"]
    assert set(numba_backend._calls().entries) == {"parallel"}
    assert len(list(tmp_path.rglob("calls_*.parallel*.nbc"))) == 1, "each process would compile it again"


def test_one_module_a_text() -> None:
    assert numba_backend.module_of(kernel("adam")) is numba_backend.module_of(kernel("adam"))
    kernels = [kernel("adam", coupled, dtype) for coupled in (False, True) for dtype in ("float32", "float64")]
    kernels += [kernel("adam", gradient="bfloat16"), kernel("adam", state="bfloat16")]
    assert len({id(numba_backend.module_of(own)) for own in kernels}) == 6


def test_another_text_under_the_same_name_is_another_kernel() -> None:
    import dataclasses

    def sgd(p, g, lr):
        return (p + lr * g,)

    changed = dataclasses.replace(RULES["sgd"], update=sgd)
    assert numba_backend.module_of(kernel(changed, dtype="float64")) is not numba_backend.module_of(kernel("sgd", dtype="float64"))
    for rule, expected in ((RULES["sgd"], 0.5), (changed, 1.5)):
        p = np.ones(1)
        fastopt.Optimizer(p, rule, 0.5, backend="numba").step(np.ones(1))
        assert p[0] == expected


@pytest.mark.usefixtures("nothing_derived")
def test_what_generated_modules_import_is_in_their_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba's own cache looks at a module's file, and not at what it imports."""
    before = numba_backend.module_of(kernel("sgd", dtype="float64"))
    monkeypatch.setattr(numba_backend, "_primitives_fingerprint", lambda: "changed")
    kernel("sgd", dtype="float64").derived.clear()
    assert numba_backend.module_of(kernel("sgd", dtype="float64")) is not before


@pytest.mark.usefixtures("nothing_derived")
def test_the_version_of_numba_is_in_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba_backend, "_modules", {})
    numba_backend.module_of(kernel("sgd", dtype="float64"))
    monkeypatch.setattr(numba_backend, "_numba_version", lambda: "99.9")
    kernel("sgd", dtype="float64").derived.clear()
    monkeypatch.setattr(numba_backend, "_modules", {})
    numba_backend.module_of(kernel("sgd", dtype="float64"))
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert len(folders) == 2
    assert folders[1].startswith("numba-99.9-python")


@pytest.mark.usefixtures("without_launcher")
def test_numbas_own_threads_begin_at_their_own_threshold() -> None:
    rule = RULES["adam"]
    edge = numba_backend.PARALLEL_FROM // rule.bytes_per_parameter(4)
    for size, several in ((edge - 1000, False), (edge + 1000, True)):
        optimizer = fastopt.Adam(np.zeros(size, np.float32), backend="numba", num_threads=2)
        runner = optimizer._plan.batches[0].runner
        assert isinstance(runner, numba_backend.NumbaRunner)
        assert runner.several is several


def test_it_is_absent_where_numba_is(monkeypatch: pytest.MonkeyPatch) -> None:
    needed("numba")
    monkeypatch.setattr(numba_backend.importlib.util, "find_spec", lambda name: None)
    assert numba_backend.unavailable.__wrapped__() == "numba is not installed"


def test_a_kernel_is_compiled_for_the_first_optimizer_and_never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at every call, nor for other sizes or numbers of tensors."""
    needed("numba")

    @fastopt.rule(default_lr=1e-3)
    def compiled_once(p, g, lr):
        return (p - lr * (g + g),)

    def steps(*shapes: int, lr: float = 0.5) -> None:
        optimizer = fastopt.Optimizer([np.ones(n) for n in shapes], compiled_once, lr, backend="numba", num_threads=1)
        for _ in range(3):
            optimizer.step([np.ones(n) for n in shapes], grad_scale=2.0)

    compiled: list[Any] = []
    whole = numba_backend._compiled
    monkeypatch.setattr(numba_backend, "_compiled", lambda module, compile_it: (compiled.append(module), whole(module, compile_it))[1])
    steps(5)
    assert len(compiled) == 1
    steps(5)
    steps(1, 300, 7, lr=0.25)
    assert len(compiled) == 1
