"""States in another storage: the numbers that a dictionary's stand for, as an optimizer keeps its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import layout, storage
from fastopt.kernel import CORRECTION, Kernel
from fastopt.storage import Storage, blocks
from fastopt.storage.blocks import SIGNED, UNSIGNED
from fastopt.storage.split import Split
from fastopt.structure import Structure

__all__ = ["correction_as", "numbers", "states"]

CODES = {code.dtype: code for code in (SIGNED, UNSIGNED)}


def numbers(values: NDArray[Any], scales: NDArray[Any] | None) -> NDArray[Any]:
    """What a state stands for, in its own shape and layout: of codes with their scales, or of a storage that has a dtype of its own."""
    if scales is None:
        found = storage.of(values.dtype)
        return values if found is None else found.decode(values)
    return layout.lying_like(values, blocks.decode(CODES[values.dtype.name], layout.flat(values), scales))


def states(given: Mapping[str, Any], kernels: Sequence[Kernel], own: Sequence[Sequence[Any]], structure: Structure) -> dict[str, Any]:
    """Each state by name, and the scales, as these kernels keep them.

    What cannot be read, a state that is missing or of another shape, is left as it is, for the caller to refuse.
    """
    flat = {name: structure.flatten(values, f"state_dict['state'][{name!r}]") for name, values in given.items()}
    left_out = [name for name in flat if name.endswith("_scale") or name == CORRECTION]
    found: dict[str, list[Any]] = {name: list(values) for name, values in flat.items() if name not in left_out}
    for i, kernel in enumerate(kernels):
        if kernel.split is not None:
            correction, beside = own[i][kernel.held.index(CORRECTION)], flat.get(CORRECTION, [None] * len(kernels))[i]
            taken = correction_as(kernel.split, beside, correction.shape)
            found.setdefault(CORRECTION, [None] * len(kernels))[i] = taken
        for name, state, stored in zip(kernel.states, own[i], kernel.storages[2:], strict=False):
            value, scales = (flat.get(key, [None] * len(kernels))[i] for key in (name, f"{name}_scale"))
            if _readable(value, scales, state.shape):
                value, scales = _kept(numbers(value, scales), state, stored)
            for key, kept in ((name, value), (f"{name}_scale", scales)):
                if kept is not None:
                    found.setdefault(key, [None] * len(kernels))[i] = kept
    return {name: structure.restore(values) for name, values in found.items()}


def correction_as(split: Split, given: Any, shape: tuple[int, ...]) -> Any:
    """A correction of another width or of none as this one: zeros for None, and of another width what the numbers come to.

    What is no correction is left as it is, for the caller to refuse.
    """
    if given is None:
        return np.zeros(shape, split.dtype)
    if not isinstance(given, np.ndarray) or given.dtype.name not in ("int8", "int16") or given.dtype.name == split.dtype:
        return given
    if split.dtype == "int16":
        return given.astype(np.int16) * np.int16(256)
    return np.clip(np.rint(given / 256.0), -128, 127).astype(np.int8)


def _readable(value: Any, scales: Any, shape: tuple[int, ...]) -> bool:
    if not isinstance(value, np.ndarray) or value.shape != tuple(shape) or not layout.dense(value.shape, value.strides, value.itemsize):
        return False
    if value.dtype.name in CODES:
        return isinstance(scales, np.ndarray) and scales.dtype == np.float32 and scales.shape == (-(-value.size // blocks.BLOCK),)
    return scales is None and storage.of(value.dtype) is not None


def _kept(values: NDArray[Any], state: Any, stored: Storage) -> tuple[NDArray[Any], NDArray[Any] | None]:
    if stored.code is None:
        with np.errstate(all="ignore"):
            return values.astype(stored.dtype), None
    lying = np.empty(values.shape, np.float32) if not isinstance(state, np.ndarray) else np.empty_like(state, np.float32)
    lying[...] = values
    codes, scales = blocks.encode(stored.code, layout.flat(lying))
    return layout.lying_like(lying, codes), scales
