"""Compilers, asked for what they can do: flags that keep the bits, and words for what is missing."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

from fastopt.backends import cython_build


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
