"""Verdicts in words, and the exception that carries one."""

from __future__ import annotations

import pickle

import pytest

from fastopt.training import REGIMES, Diverged, Verdict


def test_in_words() -> None:
    assert str(Verdict("slow", "the learning rate is too low", {"end": 1.0})) == "slow: the learning rate is too low"
    assert REGIMES == ("diverges", "overshoots", "plateaus", "good", "slow")


def test_the_exception_has_the_verdict_also_from_another_process() -> None:
    verdict = Verdict("diverges", "non-finite loss", {"step": 3.0})
    with pytest.raises(ArithmeticError, match=r"^diverges: non-finite loss$") as caught:
        raise Diverged(verdict)
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, Diverged)
    assert again.verdict == verdict
