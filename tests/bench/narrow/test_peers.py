"""Others' narrow optimizers: found, refused, or named with what they need. (None of them has to be installed: what stands in says so.)"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bench.narrow import peers
from bench.peers import Handed
from bench.peers.numpy_in_place import NumpyInPlace


class Elsewhere(NumpyInPlace):
    name = "elsewhere"

    @staticmethod
    def missing(device: str) -> str | None:
        return "needs no_such_framework"


class Broken(NumpyInPlace):
    name = "broken"

    def step(self) -> object:
        raise NotImplementedError("no CPU kernel\nfor this")


def test_who_is_there_and_why_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PEERS", (NumpyInPlace, Elsewhere, Broken))
    assert peers.present() == [NumpyInPlace]
    assert peers.absent() == {"elsewhere": "needs no_such_framework", "broken": "fails here: NotImplementedError: no CPU kernel"}


def test_each_names_what_it_needs() -> None:
    needed = {kind.name: kind.missing("cpu") for kind in peers.PEERS}
    assert list(needed) == ["torch fused", "torchao Adam8bit", "bitsandbytes Adam8bit", "DeepSpeed CPUAdam, all bfloat16"]
    assert set(needed.values()) <= {None, "needs torch", "needs torchao", "needs bitsandbytes", "needs deepspeed"}


@pytest.mark.parametrize(
    ("kind", "module", "made", "options"),
    [
        (peers.TorchAo, "torchao.optim", "Adam8bit", {}),
        (peers.Bitsandbytes, "bitsandbytes.optim", "Adam8bit", {}),
        (
            peers.DeepSpeedBfloat16,
            "deepspeed.ops.adam",
            "DeepSpeedCPUAdam",
            {"weight_decay": 0.0, "adamw_mode": False, "fp32_optimizer_states": False},
        ),
    ],
)
def test_each_is_asked_for_what_is_compared(
    monkeypatch: pytest.MonkeyPatch, kind: Any, module: str, made: str, options: dict[str, Any]
) -> None:
    """A stand-in says what it was given, and makes steps of gradient descent."""
    torch = pytest.importorskip("torch")
    asked: dict[str, Any] = {}

    def stand_in(params: Any, **given: Any) -> Any:
        asked.update(given, dtype=params[0].dtype)
        return torch.optim.SGD(params, lr=1.0)

    parts = module.split(".")
    for k in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:k]), ModuleType(".".join(parts[:k])))
    monkeypatch.setattr(sys.modules[module], made, stand_in, raising=False)
    peer = Handed(kind, [np.ones(3, np.float32)], [np.full(3, 0.25, np.float32)])
    peer.step()
    peer.new_gradients([np.full(3, 0.5, np.float32)])
    peer.step()
    assert peer.result()[0].tolist() == [0.25] * 3
    assert peer.result()[0].dtype == np.float32
    narrow = kind is peers.DeepSpeedBfloat16
    assert asked == {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, **options, "dtype": torch.bfloat16 if narrow else torch.float32}
