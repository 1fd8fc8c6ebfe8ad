"""Arrays to measure on: touched before the clock starts, laid out alike for every contender."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["GPT2_SMALL", "Array", "at_page_start", "filled", "gpt2_shapes", "random_arrays"]

Array: TypeAlias = NDArray[Any]
PAGE = 4096

GPT2_SMALL = {"vocabulary": 50257, "context": 1024, "width": 768, "layers": 12}
"""Radford et al., 2019: 124 million parameters in 148 tensors."""


def at_page_start(size: int, dtype: Any) -> Array:
    """An uninitialized array that begins where a page does: how arrays lie to each other is part of what is measured."""
    itemsize = np.dtype(dtype).itemsize
    buffer = np.empty(size * itemsize + PAGE, np.uint8)
    start = -buffer.ctypes.data % PAGE
    return buffer[start : start + size * itemsize].view(dtype)


def filled(shape: int | tuple[int, ...], dtype: Any, seed: int) -> Array:
    """Random normal values. From a million on a block repeats: no arithmetic here depends on more, and it is ready sooner."""
    size = int(np.prod(shape))
    block = np.random.default_rng(seed).standard_normal(min(size, 1_000_003)).astype(dtype)
    array = at_page_start(size, dtype) if size * np.dtype(dtype).itemsize >= PAGE * 8 else np.empty(size, dtype)
    for start in range(0, size, max(1, block.size)):
        array[start : start + block.size] = block[: size - start]
    return array.reshape(shape)


def random_arrays(shapes: Sequence[int | tuple[int, ...]], dtype: Any, seed: int = 0) -> list[Array]:
    """One such array for each shape, all different."""
    return [filled(shape, dtype, seed + i) for i, shape in enumerate(shapes)]


def gpt2_shapes(divisor: int) -> list[tuple[int, ...]]:
    """The tensors of a GPT-2 small whose vocabulary and width are divided by `divisor`."""
    width, vocabulary = GPT2_SMALL["width"] // divisor, GPT2_SMALL["vocabulary"] // divisor
    layer = [(width,), (width,), (width, 3 * width), (3 * width,), (width, width), (width,)]
    layer += [(width,), (width,), (width, 4 * width), (4 * width,), (4 * width, width), (width,)]
    return [(vocabulary, width), (GPT2_SMALL["context"], width), *(layer * GPT2_SMALL["layers"]), (width,), (width,)]
