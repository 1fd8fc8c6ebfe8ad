"""Optimizers of others that keep Adam's states narrow and step on the CPU.

They are peers as those of `bench.peers` are, but do not make the same step as float32 does: how far theirs is from it stands beside their
time. Each names what it needs; one that is installed and cannot make a step here is absent too, with what it said.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..peers import BETAS, EPS, LR, Handed
from ..peers.deepspeed import DeepSpeed
from ..peers.peer import Peer, needs
from ..peers.pytorch import Torch, TorchFused
from ..sources import OfTorch, Source

__all__ = ["PEERS", "Bitsandbytes", "DeepSpeedBfloat16", "TorchAo", "absent", "present"]


class TorchAo(Torch):
    """`torchao.optim.Adam8bit`: blocks of 256, compiled by torch.compile."""

    name = "torchao Adam8bit"

    def build(self) -> Any:
        """The optimizer."""
        from torchao.optim import Adam8bit

        return Adam8bit(self.params, lr=LR, betas=BETAS, eps=EPS)

    @staticmethod
    def missing(device: str) -> str | None:
        """PyTorch and torchao."""
        return needs("torch", "torchao")


class Bitsandbytes(Torch):
    """`bitsandbytes.optim.Adam8bit`: a map of 256 values, blocks of 256; on the CPU since March 2026 (pull request 1901)."""

    name = "bitsandbytes Adam8bit"

    def build(self) -> Any:
        """The optimizer."""
        from bitsandbytes.optim import Adam8bit

        return Adam8bit(self.params, lr=LR, betas=BETAS, eps=EPS)

    @staticmethod
    def missing(device: str) -> str | None:
        """PyTorch and bitsandbytes."""
        return needs("torch", "bitsandbytes")


class OfBfloat16(OfTorch):
    """PyTorch's tensors of bfloat16."""

    def place(self, arrays: Sequence[NDArray[Any]]) -> list[Any]:
        """See `bench.sources.Source`."""
        return [tensor.bfloat16() for tensor in super().place(arrays)]

    def fetch(self, array: Any) -> NDArray[Any]:
        """See `bench.sources.Source`; in float32."""
        return super().fetch(array.float())


class DeepSpeedBfloat16(DeepSpeed):
    """`DeepSpeedCPUAdam(fp32_optimizer_states=False)`: moments in the dtype of the parameters, which are bfloat16."""

    name = "DeepSpeed CPUAdam, all bfloat16"

    def build(self) -> Any:
        """The optimizer."""
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        options = {"weight_decay": 0.0, "adamw_mode": False, "fp32_optimizer_states": False}
        return DeepSpeedCPUAdam(self.params, lr=LR, betas=BETAS, eps=EPS, **options)

    @staticmethod
    def source(device: str) -> Source:
        """PyTorch's tensors, narrow."""
        return OfBfloat16(device)


PEERS: tuple[type[Peer], ...] = (TorchFused, TorchAo, Bitsandbytes, DeepSpeedBfloat16)
"""What is measured beside fastopt where it is installed: float32 first."""


def present() -> list[type[Peer]]:
    """Those that can make a step here."""
    return [kind for kind in PEERS if _why_not(kind) is None]


def absent() -> dict[str, str]:
    """The others by name, and why."""
    reasons = {kind.name: _why_not(kind) for kind in PEERS}
    return {name: why for name, why in reasons.items() if why is not None}


@cache
def _why_not(kind: type[Peer]) -> str | None:
    """What it needs, or what it says when it is to make a step."""
    if reason := kind.missing("cpu"):
        return reason
    try:
        Handed(kind, [np.ones(8_192, np.float32)], [np.ones(8_192, np.float32)]).step()
    except Exception as error:  # whatever it is that somebody else's step fails with
        return f"fails here: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:100]}"
    return None
