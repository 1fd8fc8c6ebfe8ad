"""Copies of parameters, and of an optimizer's whole state, to be put back in place later."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastopt.rules.domain import describe
from fastopt.structure import Structure

__all__ = ["ArrayCopies", "Snapshot", "parameters_of"]


def parameters_of(owner: Any, name: str) -> Any:
    """The arrays of an optimizer (`params`; PyTorch's `param_groups`), or the arrays themselves, in their structure."""
    if hasattr(owner, "params"):
        return owner.params
    if hasattr(owner, "param_groups"):
        return [list(group["params"]) for group in owner.param_groups]
    if isinstance(owner, str | bytes):
        raise TypeError(f"{name}: expected an optimizer, or arrays in a structure; received {describe(owner)}")
    return owner


class ArrayCopies:
    """Copies of arrays that lie where the arrays do: NumPy's, PyTorch's (on any device), CuPy's.

    Raises TypeError or ValueError for arrays that cannot be copied, or written to in place.
    """

    def __init__(self, owner: Any, name: str) -> None:
        structure, self.arrays = Structure.of(parameters_of(owner, name), name)
        self._labels = structure.labels(name)
        for i, array in enumerate(self.arrays):
            if not (torch_tensor(array) or (hasattr(array, "copy") and hasattr(type(array), "__setitem__") and hasattr(array, "shape"))):
                raise TypeError(f"{self._labels[i]}: expected an array that can be written to, received {describe(array)}")
            if getattr(getattr(array, "flags", None), "writeable", True) is False:
                raise ValueError(f"{self._labels[i]}: expected an array that can be written to, received one that is read-only")
        self.copies: list[Any] | None = None

    def take(self) -> None:
        """Copies the arrays as they are now, over the copies before."""
        if self.copies is None:
            self.copies = [_copied(array) for array in self.arrays]
        else:
            for kept, array in zip(self.copies, self.arrays, strict=True):
                _assign(kept, array)

    def copied(self) -> list[Any] | None:
        """Copies of the copies, or None before the first `take`."""
        return None if self.copies is None else [_copied(kept) for kept in self.copies]

    def take_over(self, copies: Sequence[Any] | None, label: str) -> None:
        """Copies what `copied` gave, in the place of the copies before. Raises TypeError or ValueError, with nothing changed."""
        if copies is None:
            self.copies = None
            return
        if not isinstance(copies, Sequence) or len(copies) != len(self.arrays):
            raise ValueError(f"{label}: expected {len(self.arrays)} arrays, received {describe(copies)}")
        for i, (kept, array) in enumerate(zip(copies, self.arrays, strict=True)):
            if getattr(kept, "shape", None) != array.shape or getattr(kept, "dtype", None) != array.dtype:
                raise ValueError(
                    f"{label}[{i}]: expected {array.dtype} of shape {tuple(array.shape)}, as {self._labels[i]}; received {describe(kept)}"
                )
        self.copies = [_copied(kept) for kept in copies]

    def put_back(self) -> None:
        """Writes the copies into the arrays, in place. There has to have been a `take`."""
        assert self.copies is not None
        for array, kept in zip(self.arrays, self.copies, strict=True):
            _assign(array, kept)


class Snapshot:
    """An optimizer as it is when this is made: its parameters, its states, its step count and its arguments; `put_back` restores all of it.

    Takes an optimizer of fastopt's, one of PyTorch's, or arrays alone.
    """

    def __init__(self, owner: Any, name: str) -> None:
        self._owner = owner
        self._arrays = ArrayCopies(owner, name)
        self._arrays.take()
        stateful = hasattr(owner, "load_state_dict") and not isinstance(owner, Mapping)
        # PyTorch's dictionary refers to the states themselves
        self._state = copy.deepcopy(owner.state_dict()) if stateful else None

    def put_back(self) -> None:
        """Everything as it was."""
        self._arrays.put_back()
        if self._state is not None:
            self._owner.load_state_dict(self._state)


def torch_tensor(value: Any) -> bool:
    """Whether a value is PyTorch's; what is known of device arrays is loaded when such a one may be there."""
    if isinstance(value, np.ndarray):
        return False
    from fastopt.cuda.arrays import torch_tensor

    return torch_tensor(value)


def _copied(array: Any) -> Any:
    return array.detach().clone() if torch_tensor(array) else array.copy()


def _assign(array: Any, values: Any) -> None:
    if torch_tensor(array):
        array.detach().copy_(values.detach())
    else:
        array[...] = values
