"""How parameters were given: one array, a sequence, or a mapping by name. Gradients must come the same way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastopt import memory

__all__ = ["Labels", "Structure"]


@dataclass(frozen=True)
class Structure:
    """The shape of an argument: `kind` is "array", "sequence" or "mapping"; `keys` are the names of a mapping."""

    kind: str
    length: int
    keys: tuple[Any, ...] = ()

    @classmethod
    def of(cls, params: Any) -> tuple[Structure, list[Any]]:
        """The structure of `params`, and its arrays in order. Raises TypeError for what is none of the three, ValueError if empty."""
        if memory.is_array(params):
            return cls("array", 1), [params]
        if isinstance(params, Mapping):
            if not params:
                raise ValueError("params: expected at least one array, received an empty mapping")
            return cls("mapping", len(params), tuple(params)), list(params.values())
        if isinstance(params, Iterable) and not isinstance(params, str | bytes):
            arrays = list(params)
            if not arrays:
                raise ValueError("params: expected at least one array, received an empty sequence")
            return cls("sequence", len(arrays)), arrays
        raise TypeError(f"params: expected an array, a sequence of arrays or a mapping of them, received {type(params).__name__}")

    def flatten(self, values: Any, argument: str) -> list[Any]:
        """The arrays of `values` in the order of the parameters. Raises TypeError or ValueError where the structure differs."""
        if self.kind == "array":
            if not isinstance(values, np.ndarray) and not memory.is_array(values):
                raise TypeError(f"{argument}: expected one array, like params; received {type(values).__name__}")
            return [values]
        if self.kind == "sequence":
            if values.__class__ is list:
                arrays = values
            elif isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping) and not memory.is_array(values):
                arrays = list(values)
            else:
                raise TypeError(f"{argument}: expected a sequence of {self.length} arrays, like params; received {type(values).__name__}")
            if len(arrays) != self.length:
                raise ValueError(f"{argument}: expected {self.length} arrays, one for each parameter; received {len(arrays)}")
            return arrays
        return self._flatten_mapping(values, argument)

    def _flatten_mapping(self, values: Any, argument: str) -> list[Any]:
        if values.__class__ is dict and len(values) == self.length:
            arrays = [values[key] for key in self.keys if key in values]
            if len(arrays) == self.length:
                return arrays
        if not isinstance(values, Mapping):
            raise TypeError(f"{argument}: expected a mapping with the names of params; received {type(values).__name__}")
        missing = [key for key in self.keys if key not in values]
        if missing:
            raise ValueError(f"{argument}: expected the names of params; {missing[0]!r} is missing ({len(missing)} in all)")
        if len(values) != self.length:
            unexpected = [key for key in values if key not in self.keys]
            raise ValueError(f"{argument}: expected the names of params; received {unexpected[0]!r} besides ({len(unexpected)} in all)")
        return [values[key] for key in self.keys]

    def label(self, index: int, argument: str) -> str:
        """How the array at `index` is called in an error: `grads`, `grads[3]` or `grads['weight']`."""
        if self.kind == "array":
            return argument
        return f"{argument}[{index if self.kind == 'sequence' else repr(self.keys[index])}]"

    def labels(self, argument: str, positions: Sequence[int] | None = None) -> Labels:
        """What the arrays at these positions are called, or all of them."""
        return Labels(self, argument, range(self.length) if positions is None else positions)

    def restore(self, arrays: list[Any]) -> Any:
        """Arrays in the order of the parameters, put back into the structure (a list for any sequence)."""
        if self.kind == "array":
            return arrays[0]
        return arrays if self.kind == "sequence" else dict(zip(self.keys, arrays, strict=True))


@dataclass(frozen=True)
class Labels(Sequence[str]):
    """Names for errors, made when an error asks for one: to make a thousand takes longer than a step of a thousand tensors."""

    structure: Structure
    argument: str
    positions: Sequence[int]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: Any) -> Any:
        return self.structure.label(self.positions[index], self.argument)
