"""NumPy's own operations with `out=` and kept buffers: `bench.in_place`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..in_place import NAME, InPlace
from .peer import BETAS, EPS, LR, Peer

__all__ = ["NumpyInPlace"]


class NumpyInPlace(Peer):
    """In one thread, which is all that NumPy has."""

    name = NAME

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        super().__init__(params, grads)
        self.optimizer = InPlace(self.params, "adam", LR, betas=BETAS, eps=EPS)

    @staticmethod
    def missing(device: str) -> str | None:
        """NumPy is there."""
        return None

    def step(self) -> object:
        """One step."""
        self.optimizer.step(self.grads)
        return None
