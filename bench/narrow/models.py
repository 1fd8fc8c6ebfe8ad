"""Storages that the package does not have, as models in NumPy: what goes wrong with them is the reason.

Optimizers have the package's defaults, in float32; the second moment goes through the storage after every step, and all else stays as it
is.

    a block of v:   scale = largest root;   code = round(255 sqrt(v) / scale);   stands for (code scale / 255)^2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from ..drawing import COLOURS, INK

__all__ = ["LOOKS", "Blocks", "ModelAdam", "ModelRMSProp"]

CODES = 255

LOOKS: tuple[dict[str, Any], ...] = (
    {"color": COLOURS[6], "marker": "*"},
    {"color": COLOURS[5], "marker": "X"},
    {"color": INK, "marker": "P"},
)
"""Of models, in pictures: none of a storage's."""


@dataclass(frozen=True)
class Blocks:
    """Eight bits an element and a scale a block, both of the root of v.

    Attributes
    ----------
    scale
        The dtype that the scales are kept in, rounded to nearest.
    least
        The smallest code of what is not 0. With 0 it may round to zero; with 1, code 0 is for an exact zero alone.
    size
        Elements in a block.
    """

    scale: Any = np.float32
    least: int = 1
    size: int = 32

    def kept(self, v: Array) -> Array:
        """What stands for these numbers afterwards. Their count is a multiple of the block."""
        roots = np.sqrt(v).reshape(-1, self.size)
        scales = roots.max(axis=1, keepdims=True).astype(self.scale).astype(np.float32)
        with np.errstate(invalid="ignore"):
            codes = np.clip(np.rint(CODES * (roots / scales)), self.least, CODES)
        stored = np.where((roots > 0) & (scales > 0), codes, 0) * scales / np.float32(CODES)
        found: Array = np.square(stored.astype(np.float32)).reshape(v.shape)
        return found


class ModelAdam:
    """Adam whose second moment is stored in blocks: lr 1e-3, betas 0.9 and 0.999, eps 1e-8 if nothing else is said."""

    def __init__(self, p: Array, storage: Blocks, lr: float = 1e-3, beta2: float = 0.999) -> None:
        self.p, self.storage, self.lr, self.betas, self.eps = p, storage, lr, (0.9, beta2), 1e-8
        self.m, self.v, self.steps = np.zeros_like(p), np.zeros_like(p), 0

    def step(self, g: Array) -> None:
        """One step, in place."""
        (beta1, beta2), kind = self.betas, self.p.dtype.type
        self.steps += 1
        c1, c2 = 1.0 - beta1**self.steps, 1.0 - beta2**self.steps
        self.m = kind(beta1) * self.m + kind(1.0 - beta1) * g
        v = kind(beta2) * self.v + kind(1.0 - beta2) * (g * g)
        self.p -= kind(self.lr / c1) * self.m / (np.sqrt(v) * kind(c2**-0.5) + kind(self.eps))
        self.v = self.storage.kept(v)


class ModelRMSProp:
    """RMSProp with v in blocks of eight bits, whose update takes the gradient from memory once more, and so without the decay added to it.

    alpha 0.99, eps 1e-8. With `again` False it takes the one that it has, as it should.
    """

    def __init__(self, p: Array, lr: float, weight_decay: float, again: bool) -> None:
        self.p, self.lr, self.weight_decay, self.again = p, lr, weight_decay, again
        self.storage, self.alpha, self.eps, self.v = Blocks(), 0.99, 1e-8, np.zeros_like(p)

    def step(self, g: Array) -> None:
        """One step, in place."""
        kind = self.p.dtype.type
        decayed = g + kind(self.weight_decay) * self.p
        v = kind(self.alpha) * self.v + kind(1.0 - self.alpha) * (decayed * decayed)
        self.p -= kind(self.lr) * (g if self.again else decayed) / (np.sqrt(v) + kind(self.eps))
        self.v = self.storage.kept(v)
