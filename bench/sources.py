"""Who makes the arrays: the framework that a peer works with, so that each has its own kind, on the host or on a device.

All give random normal values: gradients that are not small keep the moments away from denormal numbers, however many steps
are made.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .arrays import random_arrays

__all__ = ["OfCupy", "OfJax", "OfNumpy", "OfTorch", "Shape", "Source", "elements"]

Shape = int | tuple[int, ...]


class Source(Protocol):
    """A maker of arrays."""

    name: str

    def random(self, shapes: Sequence[Shape], dtype: str, seed: int) -> list[Any]:
        """One array of random normal values for each shape, made on the device where the framework can."""

    def place(self, arrays: Sequence[NDArray[Any]]) -> list[Any]:
        """Host arrays as the framework has them: the same memory where it can work on that, else copies."""

    def fetch(self, array: Any) -> NDArray[Any]:
        """A host copy."""


def elements(shapes: Sequence[Shape]) -> int:
    """How many parameters there are in all."""
    return sum(s if isinstance(s, int) else math.prod(s) for s in shapes)


class OfNumpy:
    """NumPy arrays."""

    name = "numpy"

    def random(self, shapes: Sequence[Shape], dtype: str, seed: int) -> list[Any]:
        """See `Source`."""
        return list(random_arrays(shapes, dtype, seed))

    def place(self, arrays: Sequence[NDArray[Any]]) -> list[Any]:
        """See `Source`."""
        return list(arrays)

    def fetch(self, array: Any) -> NDArray[Any]:
        """See `Source`."""
        return np.array(array)


class OfTorch:
    """PyTorch tensors."""

    name = "torch"

    def __init__(self, device: str = "cuda") -> None:
        import torch

        self.torch, self.device = torch, device

    def random(self, shapes: Sequence[Shape], dtype: str, seed: int) -> list[Any]:
        """See `Source`."""
        generator = self.torch.Generator(self.device)
        generator.manual_seed(seed)
        kind = getattr(self.torch, dtype)
        return [self.torch.randn(shape, dtype=kind, device=self.device, generator=generator) for shape in shapes]

    def place(self, arrays: Sequence[NDArray[Any]]) -> list[Any]:
        """See `Source`."""
        return [self.torch.from_numpy(array).to(self.device) for array in arrays]

    def fetch(self, array: Any) -> NDArray[Any]:
        """See `Source`."""
        return np.array(array.detach().cpu().numpy())


class OfCupy:
    """CuPy arrays."""

    name = "cupy"

    def __init__(self) -> None:
        import cupy

        self.cupy = cupy

    def random(self, shapes: Sequence[Shape], dtype: str, seed: int) -> list[Any]:
        """See `Source`."""
        self.cupy.random.seed(seed)
        return [self.cupy.random.standard_normal(shape, dtype=np.dtype(dtype)) for shape in shapes]

    def place(self, arrays: Sequence[NDArray[Any]]) -> list[Any]:
        """See `Source`."""
        return [self.cupy.asarray(array) for array in arrays]

    def fetch(self, array: Any) -> NDArray[Any]:
        """See `Source`."""
        return np.asarray(self.cupy.asnumpy(array))


class OfJax:
    """JAX arrays. Asked to, JAX takes memory as it needs it; else it would take three quarters of the device at once."""

    name = "jax"

    def __init__(self, device: str = "cuda") -> None:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jax

        self.jax, self.device = jax, jax.devices({"cuda": "gpu"}.get(device, device))[0]

    def random(self, shapes: Sequence[Shape], dtype: str, seed: int) -> list[Any]:
        """See `Source`."""
        keys = self.jax.random.split(self.jax.device_put(self.jax.random.key(seed), self.device), len(shapes))
        sizes = [shape if isinstance(shape, tuple) else (shape,) for shape in shapes]
        return [self.jax.random.normal(key, size, dtype) for key, size in zip(keys, sizes, strict=True)]

    def place(self, arrays: Sequence[NDArray[Any]]) -> list[Any]:
        """See `Source`."""
        return [self.jax.device_put(self.jax.numpy.array(array), self.device) for array in arrays]

    def fetch(self, array: Any) -> NDArray[Any]:
        """See `Source`."""
        return np.array(array)
