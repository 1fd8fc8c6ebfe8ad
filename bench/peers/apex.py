"""`apex.optimizers.FusedAdam`, in the mode that is Adam and not AdamW."""

from __future__ import annotations

from typing import Any

from .peer import BETAS, EPS, LR, needs
from .pytorch import Torch

__all__ = ["Apex"]


class Apex(Torch):
    """Apex is on the GPU or nowhere, and has its kernels only where it was built with them (`amp_C`)."""

    name = "apex FusedAdam"
    devices = ("cuda",)

    def build(self) -> Any:
        """The optimizer."""
        from apex.optimizers import FusedAdam

        return FusedAdam(self.params, lr=LR, betas=BETAS, eps=EPS, adam_w_mode=False, weight_decay=0.0)

    @staticmethod
    def missing(device: str) -> str | None:
        """A GPU, and Apex itself."""
        if device != "cuda":
            return "needs a GPU"
        return "needs apex, built with its CUDA extensions" if needs("apex", "amp_C") else Torch.missing(device)
