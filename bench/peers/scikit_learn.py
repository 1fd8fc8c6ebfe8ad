"""The Adam of scikit-learn's multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .peer import BETAS, EPS, LR, Peer, needs

__all__ = ["ScikitLearn"]


class ScikitLearn(Peer):
    """One pass over all arrays, with new arrays for what is in between."""

    name = "scikit-learn"
    slow = True

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

        super().__init__(params, grads)
        self.optimizer = AdamOptimizer(self.params, LR, *BETAS, EPS)

    @staticmethod
    def missing(device: str) -> str | None:
        """Scikit-learn itself."""
        return needs("sklearn")

    def step(self) -> object:
        """One step."""
        return self.optimizer.update_params(self.params, self.grads)
