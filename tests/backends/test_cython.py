"""What the cython backend generates and builds, and that a kernel built from another text is not used."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shutil
import sysconfig
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.backends import cython_backend, cython_build, cython_source
from fastopt.rules.entry import RULES, Rule
from fastopt.transcribe import loop_body
from tests.conftest import needed

# ruff: noqa: ANN202  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"

EVERY = [pytest.param(rule, coupled, id=rule.name + "_l2" * coupled) for rule in RULES.values() for coupled in (False, True)]


def changed_sgd() -> Rule:
    """The package's sgd with another sign, as after an edit of the file."""

    def sgd(p, g, lr):
        return (p + lr * g,)

    return dataclasses.replace(RULES["sgd"], update=sgd)


def a_compiler_at_hand() -> None:
    for module in ("Cython", "setuptools"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: kernels cannot be compiled now")
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no C compiler ({compiler})")


# --------------------------------------------------------------------------------------------------------------- source


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rule", "coupled"), EVERY)
def test_kernel_source_has_no_number_in_its_arithmetic(rule: Rule, coupled: bool, dtype: str) -> None:
    source = cython_source._kernel_source(loop_body(rule, coupled), dtype)
    assert not re.search(r"\d\.\d|\d\.(?!\w)|\de[-+]?\d", source), "a number with a point is a double in C"
    real, other = ("float", "double") if dtype == "float32" else ("double", "float")
    assert f"cdef {real} " in source
    assert not re.search(rf"\b{other}\b", source)
    assert ("sqrtf(" in source) <= (dtype == "float32")
    assert not re.search(r"\bsqrt\(", source) or dtype == "float64"


def test_module_source_lists_every_kernel_with_its_fingerprint() -> None:
    source = cython_source.module_source(RULES.values())
    listed = dict(re.findall(r'^    "(\w+)": \(<size_t> &\w+, "(\w*)"\),$', source, re.MULTILINE))
    expected = {
        cython_source.kernel_name(body, dtype): cython_source.kernel_fingerprint(body, dtype)
        for rule in RULES.values()
        for body in (loop_body(rule, coupled) for coupled in (False, True))
        for dtype in cython_source.DTYPES
    }
    assert listed == {**expected, "all_finite_float32": "", "all_finite_float64": ""}
    assert len(set(expected.values())) == len(expected)


def test_a_fingerprint_changes_with_the_formula_the_dtype_and_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    body = loop_body(RULES["sgd"], coupled=False)
    own = cython_source.kernel_fingerprint(body, "float32")
    assert own == cython_source.kernel_fingerprint(loop_body(RULES["sgd"], coupled=False), "float32")
    others = [
        cython_source.kernel_fingerprint(body, "float64"),
        cython_source.kernel_fingerprint(loop_body(RULES["sgd"], coupled=True), "float32"),
        cython_source.kernel_fingerprint(loop_body(changed_sgd(), coupled=False), "float32"),
    ]
    monkeypatch.setattr(cython_source, "HEAD", cython_source.HEAD + "\n")
    others.append(cython_source.kernel_fingerprint(body, "float32"))
    assert len({own, *others}) == 5


# ------------------------------------------------------------------------------------------------------- stale kernels


def test_what_was_built_is_what_the_rules_say() -> None:
    needed("cython")
    listed = cython_backend._kernels().KERNELS
    for rule in RULES.values():
        assert cython_backend.has_kernel(rule), f"{rule.name}: the extension is older than the rules, build it again"
        for coupled in (False, True):
            for dtype in cython_source.DTYPES:
                address, _ = listed[cython_source.kernel_name(loop_body(rule, coupled), dtype)]
                assert cython_backend.kernel_address(rule, coupled, dtype) == address, "compiled again what was compiled ahead"


@pytest.mark.usefixtures("nothing_derived")
def test_a_changed_formula_does_not_run_the_kernel_that_was_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needed("cython")
    a_compiler_at_hand()
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))
    changed = changed_sgd()
    assert not cython_backend.has_kernel(changed)
    assert cython_backend.has_kernel(RULES["sgd"])
    for rule, expected in ((changed, 1.5), (RULES["sgd"], 0.5)):
        p = np.ones(1)
        fastopt.Optimizer(p, rule, 0.5, backend="cython").step(np.ones(1))
        assert p[0] == expected
    built = [path.name for path in (tmp_path / "cython").iterdir()]
    assert [name.startswith(f"fastopt_sgd_{cython_backend.isa()}_") for name in built] == [True], built


@pytest.mark.usefixtures("nothing_derived")
def test_a_built_kernel_of_another_fingerprint_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade of fastopt in place, with the old extension still there."""
    needed("cython")

    listed = cython_backend._kernels().KERNELS
    stale = SimpleNamespace(KERNELS={name: (address, "0" * 16) for name, (address, _) in listed.items()})
    monkeypatch.setattr(cython_backend, "_kernels", lambda: stale)
    assert not cython_backend.has_kernel(RULES["sgd"])
    assert fastopt.backends.pick(RULES["sgd"])[0] != "cython"
    asked: list[Rule] = []

    def compiled_now(rule: Rule) -> Any:
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
    runs: list[Any] = []
    run = cython_build.subprocess.run

    def counted(command: Any, **options: Any) -> Any:
        runs.append(command)
        return run(command, **options)

    monkeypatch.setattr(cython_build.subprocess, "run", counted)
    changed = changed_sgd()
    for fresh in (False, True):
        if fresh:  # as another process would
            changed.derived.clear()
        for dtype in (np.float32, np.float64):
            p = np.ones(1, dtype)
            fastopt.Optimizer(p, changed, 0.5, backend="cython", weight_decay=0.5).step(np.ones(1, dtype))
            assert p[0] == 1.75
    assert len(runs) == 1
    assert len(list((tmp_path / "cython").iterdir())) == 1, "something was left beside the library"


# ---------------------------------------------------------------------------------------------------------------- build


def test_flags_keep_the_bits() -> None:
    flags = cython_build.flags("unix")
    assert "-ffp-contract=off" in flags
    assert "-O3" in flags
    assert "-fno-math-errno" in flags
    assert not any(flag in ("-ffast-math", "-Ofast", "-funsafe-math-optimizations", "-march=native") for flag in flags)
    assert "/fp:precise" in cython_build.flags("msvc")
    for extra in cython_build.ISA_FLAGS.values():
        assert not any("native" in flag or "fast" in flag for flag in extra)


class Compiler:
    """Stands for setuptools' object: compiles what a test lets it."""

    compiler_type = "unix"

    def __init__(self, able: Any) -> None:
        self.able = able

    def compile(self, sources: list[str], output_dir: str, extra_preargs: list[str], **_: Any) -> list[str]:
        if not self.able(Path(sources[0]).read_text(), extra_preargs):
            raise OSError("the compiler said no")
        return ["probe.o"]

    def link_executable(self, objects: list[str], name: str, output_dir: str, extra_preargs: list[str], **_: Any) -> None:
        if not self.able("link", extra_preargs):
            raise OSError("the linker said no")


def test_probe_of_a_compiler_that_can_do_nothing() -> None:
    found = cython_build.probe(Compiler(lambda text, flags: False))
    assert not found.compiler
    assert not found.isas
    assert len(found.missing) == 1
    assert "C compiler" in found.missing[0]


def test_probe_of_a_compiler_that_can_do_everything() -> None:
    found = cython_build.probe(Compiler(lambda text, flags: True))
    assert found.compiler
    assert "baseline" in found.isas
    assert not found.missing
    if sysconfig.get_platform().endswith("x86_64"):
        assert found.isas == ["baseline", "v3", "v4"]


def test_probe_of_a_compiler_without_threads_or_newer_instructions() -> None:
    def able(text: str, flags: list[str]) -> bool:
        threads = "pthread" in text or "omp.h" in text or "stdatomic" in text or any("pthread" in f or "openmp" in f for f in flags)
        return not threads and not any("v4" in flag for flag in flags)

    found = cython_build.probe(Compiler(able))
    assert found.compiler
    assert "v4" not in found.isas
    assert any("one thread" in words for words in found.missing)
    if sysconfig.get_platform().endswith("x86_64"):
        assert found.isas == ["baseline", "v3"]
        assert any("-march=x86-64-v4" in words for words in found.missing)


def test_a_build_that_fails_tells_the_compilers_last_words(tmp_path: Path) -> None:
    a_compiler_at_hand()
    with pytest.raises(RuntimeError, match=r"^compiling broken failed \(it takes Cython, setuptools and a C compiler\): "):
        cython_build.build_module("broken", "cdef nonsense(:\n", tmp_path, "baseline")
    assert not list(tmp_path.iterdir()), "a failed build left something behind"
