"""The contenders on a GPU compute Adam, as far as that can be seen on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bench.device import contenders
from bench.device.contenders import CONTENDERS
from bench.peers import verify
from bench.peers.pytorch import TorchFused

ON_THE_CPU = [name for name in CONTENDERS if name != "fastopt" and name not in contenders.missing("cpu")]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ON_THE_CPU)
def test_it_agrees_with_the_reference(name: str) -> None:
    assert verify(CONTENDERS[name], "cpu") < 2e-6


def test_one_that_computes_something_else_is_refused() -> None:
    pytest.importorskip("torch")

    class Wrong(TorchFused):
        name = "wrong"

        def build(self) -> Any:
            import torch

            return torch.optim.Adam(self.params, lr=2e-3)

    with pytest.raises(AssertionError, match="wrong: parameters differ from the reference by"):
        verify(Wrong)


def test_one_that_keeps_its_first_gradients_is_refused() -> None:
    pytest.importorskip("torch")

    class Stale(TorchFused):
        name = "stale"

        def new_gradients(self, grads: Sequence[Any]) -> None:
            if self.params[0].grad is None:
                super().new_gradients(grads)

    with pytest.raises(AssertionError, match="stale: parameters differ"):
        verify(Stale)
