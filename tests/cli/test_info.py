"""`fastopt info`: what it found, and why something is missing."""

from __future__ import annotations

import pytest

import fastopt
from fastopt import backends
from fastopt.backends import cython_backend
from fastopt.cli import main
from fastopt.host import launched


def test_it_names_every_backend_and_the_choice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--no-measure"]) == 0
    output = capsys.readouterr().out
    for name in fastopt.available_backends():
        assert f"  {name} " in output
    assert "auto picks" in output


def test_timings_of_each_backend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    output = capsys.readouterr().out
    timed = output[output.index("float32 Adam") :]
    for name in backends.NAMES:
        assert (f"  {name} " in timed) == (name in backends.on_host())


def test_a_missing_extension_is_explained(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(launched, "_launch", None)
    monkeypatch.setattr(launched, "why_not", "no such file", raising=False)
    for function in (cython_backend.build_report, cython_backend.unavailable):
        function.cache_clear()
    monkeypatch.setattr(cython_backend, "build_report", lambda: {"isas": [], "threads": False, "missing": ["a C compiler: not built"]})
    try:
        assert main(["info", "--no-measure"]) == 0
    finally:
        cython_backend.unavailable.cache_clear()
    output = capsys.readouterr().out
    assert "not found    a C compiler: not built" in output
    assert "auto picks   numba" in output
