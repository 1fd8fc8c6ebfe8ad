"""`thinc.api.Adam`, one call a tensor, as spaCy trains with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .peer import BETAS, EPS, LR, Peer, needs

__all__ = ["Thinc"]


class Thinc(Peer):
    """It multiplies the gradients by 0: left so, the moments would decay into denormals."""

    name = "thinc"
    slow = True
    uses_up_gradients = True

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        from thinc.api import Adam

        super().__init__(params, grads)
        self.optimizer = Adam(LR, beta1=BETAS[0], beta2=BETAS[1], eps=EPS, L2=0.0, grad_clip=0.0, use_averages=False)

    @staticmethod
    def missing(device: str) -> str | None:
        """Thinc itself."""
        return needs("thinc")

    def step(self) -> object:
        """One step."""
        for i, (p, g) in enumerate(zip(self.params, self.grads, strict=True)):
            self.params[i], _ = self.optimizer((i, "parameter"), p, g)
        return self.optimizer.step_schedules()
