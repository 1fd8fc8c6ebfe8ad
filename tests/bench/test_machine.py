"""The machine in the record."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fastopt
from bench import machine
from fastopt.host import threads


def test_versions_are_of_what_is_installed_and_none_for_what_is_not() -> None:
    assert machine.versions(["numpy", "a-package-that-is-not-there"]) == {"numpy": np.__version__, "a-package-that-is-not-there": None}


def test_it_says_what_this_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTOPT_NUM_THREADS", "3")
    described = machine.describe()
    assert described["threads"] == 3
    assert described["cores"] == threads.available()
    assert described["backends"] == fastopt.available_backends()
    assert described["packages"]["numpy"] == np.__version__
    assert json.loads(json.dumps(described)) == described


def test_without_git_there_is_no_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert machine.describe()["revision"] is None
