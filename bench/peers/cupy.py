"""A `cupy.ElementwiseKernel` written by hand, one launch a tensor: what a CuPy user would write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..sources import OfCupy, Source
from .peer import BETAS, EPS, LR, Peer, needs

__all__ = ["Cupy"]


class Cupy(Peer):
    """CuPy is on the GPU or nowhere."""

    name = "CuPy kernel"
    devices = ("cuda",)
    bytes_of_own = 16  # parameters and gradients of its own

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        import cupy

        super().__init__(params, grads)
        self.moments = [(cupy.zeros_like(p), cupy.zeros_like(p)) for p in self.params]
        self.steps = 0
        self.kernel = cupy.ElementwiseKernel(
            "float32 g, float32 rest_1, float32 rest_2, float32 rate, float32 correction, float32 eps",
            "float32 p, float32 m, float32 v",
            "m += rest_1 * (g - m); v += rest_2 * (g * g - v); p -= rate * m / (sqrt(v) * correction + eps)",
            "adam",
        )

    @staticmethod
    def missing(device: str) -> str | None:
        """A GPU, and CuPy itself."""
        return "needs a GPU" if device != "cuda" else needs("cupy")

    @staticmethod
    def source(device: str) -> Source:
        """CuPy's arrays."""
        return OfCupy()

    def step(self) -> object:
        """One step."""
        self.steps += 1
        first, second = (1 - beta**self.steps for beta in BETAS)
        rate, correction = LR / first, second**-0.5
        for p, g, (m, v) in zip(self.params, self.grads, self.moments, strict=True):
            self.kernel(g, 1 - BETAS[0], 1 - BETAS[1], rate, correction, EPS, p, m, v)
        return None
