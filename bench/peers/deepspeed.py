"""`deepspeed.ops.adam.DeepSpeedCPUAdam`: hand-vectorized, with OpenMP; compiled by ninja at its first use."""

from __future__ import annotations

import logging
from typing import Any

from .peer import BETAS, EPS, LR, needs
from .pytorch import Torch

__all__ = ["DeepSpeed"]


class DeepSpeed(Torch):
    """On PyTorch's tensors, on the CPU."""

    name = "DeepSpeed CPUAdam"

    def build(self) -> Any:
        """The optimizer."""
        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        return DeepSpeedCPUAdam(self.params, lr=LR, betas=BETAS, eps=EPS, weight_decay=0.0, adamw_mode=False)

    @staticmethod
    def missing(device: str) -> str | None:
        """DeepSpeed itself."""
        return needs("deepspeed")
