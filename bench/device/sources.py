"""Arrays on the device that are fastopt's own, what fastopt is measured on, and giving memory back."""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from fastopt.cuda import memory

from ..arrays import filled
from ..sources import OfCupy, OfTorch, Shape, Source
from . import card

__all__ = ["Own", "for_fastopt", "release"]


class Own:
    """Memory of fastopt's own, where no framework is there."""

    name = "fastopt"

    def random(self, shapes: Sequence[Shape], dtype: str, seed: int) -> list[Any]:
        """See `Source`."""
        return [memory.from_host(filled(shape, dtype, seed + i)) for i, shape in enumerate(shapes)]

    def place(self, arrays: Sequence[NDArray[Any]]) -> list[Any]:
        """See `Source`."""
        return [memory.from_host(array) for array in arrays]

    def fetch(self, array: Any) -> NDArray[Any]:
        """See `Source`."""
        return memory.to_host(array)


def for_fastopt() -> Source:
    """What fastopt is measured on: PyTorch's tensors where PyTorch has CUDA, else CuPy's arrays, else its own."""
    if not card.emulated():
        if importlib.util.find_spec("torch") is not None:
            import torch

            if torch.cuda.is_available():
                return OfTorch()
        if importlib.util.find_spec("cupy") is not None:
            return OfCupy()
    return Own()


def release() -> None:
    """Gives memory that nothing uses back to the device, from those frameworks that would keep it."""
    gc.collect()
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if cupy is not None:
        cupy.get_default_memory_pool().free_all_blocks()
