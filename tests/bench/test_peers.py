"""The peers compute what they are timed for, and one that does not is found out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.peers import PEERS, ScikitLearn, absent, verify

INSTALLED = [name for name in PEERS if name not in absent()]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "DeepSpeed CPUAdam"])  # it would compile for a minute
def test_an_installed_peer_agrees_with_the_reference(name: str) -> None:
    assert verify(name, 1) < 2e-6


def test_a_peer_that_does_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(ScikitLearn):
        def step(self) -> object:
            for p, g in zip(self.params, self.grads, strict=True):
                p -= np.float32(1e-3) * g
            return None

    monkeypatch.setitem(PEERS, "wrong", Wrong)
    with pytest.raises(AssertionError, match="wrong: parameters differ from the reference by"):
        verify("wrong", 1)


def test_absent_peers_are_named_with_what_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(ScikitLearn):
        needs = "no_such_framework"

    monkeypatch.setitem(PEERS, "elsewhere", Elsewhere)
    assert absent()["elsewhere"] == "no_such_framework"
    assert "scikit-learn" not in absent()


def test_new_gradients_are_the_ones_the_next_step_uses() -> None:
    for name in ("scikit-learn", *(n for n in ("torch fused", "thinc") if n in INSTALLED)):
        params: list[Any] = [np.ones(4, np.float32)]
        peer = PEERS[name](params, [np.ones(4, np.float32)], 1)
        peer.new_gradients([np.full(4, -1, np.float32)])
        peer.step()
        assert (peer.result()[0] > 1).all(), name
