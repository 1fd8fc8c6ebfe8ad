"""PyTorch's tensors as gradients: asked for their addresses and no more, since a step asks a thousand of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from fastopt import layout
from fastopt.cuda import arrays
from fastopt.cuda.arrays import DeviceArray

try:
    from fastopt.cuda._gather import Gatherer
except ImportError:  # no compiler at hand when fastopt was installed
    Gatherer = None

__all__ = ["Tensors"]

FLOAT, BFLOAT = 2, 4
"""DLPack's codes of types: kDLFloat and kDLBfloat."""


class Tensors:
    """PyTorch's tensors, asked for just what is needed, in compiled code where it was built and PyTorch has the C functions for it."""

    def __init__(self, params: Sequence[DeviceArray], gradient_dtype: np.dtype[Any]) -> None:
        import torch

        self.kind = torch.Tensor
        self.params = [p.owner for p in params]
        self.at = [p.address for p in params]
        self.shapes = [p.owner.shape for p in params]
        self.strides = [p.strides for p in params]
        self.dtype, self.device = getattr(torch, gradient_dtype.name), self.params[0].get_device()
        self.compiled = None
        if Gatherer is not None:
            code = BFLOAT if gradient_dtype.name == "bfloat16" else FLOAT
            with suppress(ValueError):  # a PyTorch without the functions that it takes
                where = self.params[0].__dlpack_device__()
                self.compiled = Gatherer(self.params, self.kind, code, 8 * gradient_dtype.itemsize, *where)

    @classmethod
    def of(cls, params: Sequence[DeviceArray], gradient_dtype: np.dtype[Any]) -> Tensors | None:
        """None where not all are PyTorch's."""
        return cls(params, gradient_dtype) if all(p.foreign and arrays.torch_tensor(p.owner) for p in params) else None

    def addresses(self, gradients: Sequence[Any]) -> list[int | None] | None:
        """Where the gradients lie, None for one that is None; or None if any of them, or a parameter, is not as it should be."""
        return self.compiled(gradients) if self.compiled is not None else self.looked_at(gradients)

    def looked_at(self, gradients: Sequence[Any]) -> list[int | None] | None:
        """The same in Python."""
        found: list[int | None] = []
        try:
            for p, at, shape, strides, g in zip(self.params, self.at, self.shapes, self.strides, gradients, strict=True):
                if p.data_ptr() != at or p.shape != shape or not layout.same(shape, p.stride(), strides):
                    return None
                if g is None:
                    found.append(None)
                    continue
                if type(g) is not self.kind or g.get_device() != self.device or g.shape != shape or g.dtype is not self.dtype:
                    return None
                if not layout.same(shape, g.stride(), strides):
                    return None
                found.append(g.data_ptr())
        except (RuntimeError, NotImplementedError):  # a sparse tensor has no such thing as an address
            return None
        return found
