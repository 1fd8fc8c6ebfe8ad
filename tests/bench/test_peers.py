"""The peers compute what they are timed for, and one that does not is found out."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import ours, test_first_step
from bench import test_peers as beside
from bench.peers import PEERS, Handed, Peer, absent, measured_on, verify
from bench.peers.scikit_learn import ScikitLearn
from fastopt import backends
from tests.documents import ROOT

INSTALLED = [name for name in measured_on("cpu") if name not in absent()]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "DeepSpeed CPUAdam"])  # it would compile for a minute
def test_an_installed_peer_agrees_with_the_reference(name: str) -> None:
    assert verify(PEERS[name]) < 2e-6


def test_a_peer_that_does_something_else_is_refused() -> None:
    class Wrong(ScikitLearn):
        name = "wrong"

        def step(self) -> object:
            for p, g in zip(self.params, self.grads, strict=True):
                p -= np.float32(1e-3) * g
            return None

    with pytest.raises(AssertionError, match="wrong: parameters differ from the reference by"):
        verify(Wrong)


class _Elsewhere(ScikitLearn):
    name = "elsewhere"
    slow = True

    @staticmethod
    def missing(device: str) -> str | None:
        return "needs no_such_framework"


def test_absent_peers_are_named_with_what_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEERS, "elsewhere", _Elsewhere)
    assert absent()["elsewhere"] == "needs no_such_framework"
    assert "scikit-learn" not in absent()
    assert "elsewhere" not in beside._contenders(1_000)


def test_new_gradients_are_the_ones_the_next_step_uses() -> None:
    for name in ("scikit-learn", *(n for n in ("torch fused", "optax jit", "thinc") if n in INSTALLED)):
        params: list[Any] = [np.ones(4, np.float32)]
        peer = Handed(PEERS[name], params, [np.ones(4, np.float32)], threads=1)
        peer.new_gradients([np.full(4, -1, np.float32)])
        peer.step()
        assert (peer.result()[0] > 1).all(), name


def test_a_peer_is_a_file_that_is_found_by_being_there(tmp_path: Path) -> None:
    """In a copy of the benchmark: one more file is one more contender of every row that is not too large for it."""
    shutil.copytree(ROOT / "bench", tmp_path / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "bench" / "peers" / "made_up.py").write_text(MADE_UP)
    code = "from bench import test_peers; print(test_peers._contenders(1_000)); print(test_peers._contenders(10**8))"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    small, large = done.stdout.splitlines()
    assert "'made up'" in small
    assert "'made up'" not in large


MADE_UP = """
from bench.peers.peer import Peer


class MadeUp(Peer):
    name = "made up"
    slow = True

    @staticmethod
    def missing(device):
        return None

    def step(self):
        return None
"""


def test_a_new_host_backend_is_measured_wherever_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "on_host", lambda: ["numpy", "numba", "made_up"])
    assert ours.here() == ["fastopt numba", "fastopt numpy", "fastopt made_up"]
    assert beside._contenders(1_000)[:3] == ours.here()
    assert [case for case in importlib.reload(test_first_step).CASES if case[0] == "made_up"] == [("made_up", "-")]
    monkeypatch.undo()
    importlib.reload(test_first_step)


def test_every_peer_says_what_it_is_called_and_where_it_is_measured() -> None:
    for name, kind in PEERS.items():
        assert issubclass(kind, Peer)
        assert kind.name == name
        assert set(kind.devices) <= {"cpu", "cuda"}
    assert [kind.slow for kind in PEERS.values()] == sorted(kind.slow for kind in PEERS.values())
