"""Modules compiled at run time: whole or not at all, and with the last words of what failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fastopt.backends import cython_build, cython_helper
from fastopt.backends.cython_module import build_module
from tests.conftest import a_compiler_at_hand

SOURCE = "KERNELS = {{'answer': ({}, '')}}\n"
FAILED = r"^compiling broken failed \(it takes Cython, setuptools and a C compiler\): "


@pytest.fixture(autouse=True)
def _compiler() -> None:
    a_compiler_at_hand()


def test_it_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build_module("whole", SOURCE.format(1), tmp_path, "baseline").KERNELS["answer"][0] == 1
    monkeypatch.setattr(cython_helper, "compile_module", lambda job: "not again")
    assert build_module("whole", SOURCE.format(1), tmp_path, "baseline").KERNELS["answer"][0] == 1
    assert len(list(tmp_path.iterdir())) == 2, "something was left beside the library and its seal"


def test_the_last_words_of_cython(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match=FAILED):
        build_module("broken", "cdef nonsense(:\n", tmp_path, "baseline")
    assert not list(tmp_path.iterdir()), "a failed build left something behind"
    assert capfd.readouterr() == ("", "")
    assert build_module("whole", SOURCE.format(1), tmp_path, "baseline").KERNELS["answer"][0] == 1


def test_the_last_words_of_the_c_compiler(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = 'cdef extern from *:\n    """\n    #error no such luck\n    """\n'
    with pytest.raises(RuntimeError, match=FAILED + "(.|\n)*no such luck"):
        build_module("broken", source, tmp_path, "baseline")
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_a_compiler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError, match=FAILED + "(.|\n)*nowhere"):
        build_module("broken", SOURCE.format(1), tmp_path / "kept", "baseline")


@pytest.mark.parametrize("missing", ["Cython", "setuptools"])
def test_a_package_that_is_not_there(tmp_path: Path, missing: str) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / f"{missing}.py").write_text(f"raise ImportError('no {missing} here')\n")
    text = "import sys; from pathlib import Path; from fastopt.backends.cython_module import build_module\n"
    text += f"import os; os.environ['PYTHONPATH'] = {str(hidden)!r}\n"
    text += f"build_module('broken', 'pass', Path({str(tmp_path)!r}, 'kept'), 'baseline')"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == f"RuntimeError: compiling broken failed (it takes Cython, setuptools and a C compiler): no {missing} here"


def test_what_no_flag_undoes_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-Ofast` while linking brings in code that has the process flush denormals to zero."""
    compiler = tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/commands\nexec cc "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    monkeypatch.setenv("LDSHARED", f"{compiler} -shared")
    monkeypatch.setenv("CFLAGS", "-Ofast -DKEPT")
    monkeypatch.setenv("LDFLAGS", "-ffast-math")
    build_module("fast", SOURCE.format(1), tmp_path, "baseline")
    commands = (tmp_path / "commands").read_text().splitlines()
    assert len(commands) == 2, "compiled, linked"
    assert "-DKEPT" in commands[0].split()
    assert not any(flag in command.split() for command in commands for flag in cython_build.FAST_FLAGS)
