"""The contenders on a GPU compute Adam, as far as that can be seen on the CPU, and the clocks time what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bench.device import contenders
from bench.device.clock import Timed
from bench.device.contenders import CONTENDERS, TorchFused, verify

ON_THE_CPU = [name for name in CONTENDERS if name != "fastopt" and name not in contenders.missing("cpu")]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ON_THE_CPU)
def test_it_agrees_with_the_reference(name: str) -> None:
    assert verify(name, "cpu") < 2e-6


def test_one_that_computes_something_else_is_refused() -> None:
    pytest.importorskip("torch")

    class Wrong(TorchFused):
        def build(self) -> Any:
            import torch

            return torch.optim.Adam(self.params, lr=2e-3)

    with pytest.raises(AssertionError, match="wrong: parameters differ from the reference by"):
        verify("wrong", "cpu", Wrong)


def test_one_that_keeps_its_first_gradients_is_refused() -> None:
    pytest.importorskip("torch")

    class Stale(TorchFused):
        def new_gradients(self, grads: Sequence[Any]) -> None:
            if self.params[0].grad is None:
                super().new_gradients(grads)

    with pytest.raises(AssertionError, match="stale: parameters differ"):
        verify("stale", "cpu", Stale)


class _Counting:
    """A clock by which every step takes a second."""

    name = "counting"

    def measure(self, step: Callable[[], object], count: int) -> float:
        for _ in range(count):
            step()
        return float(count)


def test_a_block_counts_its_steps_and_not_the_one_before() -> None:
    made: list[str] = []
    timed = Timed(lambda: made.append("step"), clock=_Counting())
    assert timed.block(5) == 5.0
    assert made == ["step"] * 6


def test_fresh_gradients_come_before_every_step_of_a_device_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr("bench.device.clock.synchronize", lambda: made.append("rest"))
    timed = Timed(lambda: made.append("step"), lambda: made.append("new"), clock=_Counting(), takes=1.0)
    assert timed.block(2) == 2.0
    assert made == ["new", "rest", "step", "new", "rest", "step"]


def test_a_rehearsal_makes_blocks_of_one_step() -> None:
    assert Timed(lambda: None, clock=_Counting()).steps_for(4.0) >= 4
    assert Timed(lambda: None, clock=_Counting(), longest=0.0).steps_for(4.0) == 1
