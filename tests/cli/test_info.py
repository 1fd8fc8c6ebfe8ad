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


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("FASTOPT_NUM_THREADS", "abc", "FASTOPT_NUM_THREADS: expected an integer from 1 to 1024, received 'abc'"),
        ("FASTOPT_BACKEND", "gpu", "FASTOPT_BACKEND: expected one of auto, numpy, numba, cython, cuda; received 'gpu'"),
    ],
)
def test_an_environment_that_cannot_be_used_is_said_in_a_line(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        main(["info", "--no-measure"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(f"fastopt: error: {words}\n")


def test_auto_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FASTOPT_BACKEND", "numpy")
    assert main(["info", "--no-measure"]) == 0
    assert "auto picks   numpy: FASTOPT_BACKEND says so" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"fastopt {fastopt.__version__}\n"
