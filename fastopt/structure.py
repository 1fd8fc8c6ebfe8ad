"""How parameters were given: one array, a sequence, or a mapping by name, which may nest. Gradients must come the same way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fastopt import memory

__all__ = ["Labels", "Structure"]


@dataclass(frozen=True)
class Structure:
    """The shape of an argument.

    Attributes
    ----------
    kind
        "array", "sequence" or "mapping".
    keys
        The names of a mapping; 0, 1, ... for a sequence.
    parts
        What stands there; empty where all are arrays.
    """

    kind: str
    keys: tuple[Any, ...] = ()
    parts: tuple[Structure, ...] = ()

    @classmethod
    def of(cls, params: Any, label: str = "params") -> tuple[Structure, list[Any]]:
        """The structure of `params`, and its arrays in order. Raises TypeError for what is none of the three, ValueError if empty."""
        structure, arrays = cls._of(params)
        if structure.kind == "array" and not memory.is_array(params):
            raise TypeError(f"{label}: expected an array, a sequence of arrays or a mapping of them, received {type(params).__name__}")
        if not arrays:
            raise ValueError(f"{label}: expected at least one array, received an empty {structure.kind}")
        return structure, arrays

    @classmethod
    def _of(cls, value: Any) -> tuple[Structure, list[Any]]:
        if memory.is_array(value):
            return ARRAY, [value]
        if isinstance(value, Mapping):
            return cls._joined("mapping", tuple(value), list(value.values()))
        if isinstance(value, Iterable) and not isinstance(value, str | bytes):
            values = list(value)
            return cls._joined("sequence", tuple(range(len(values))), values)
        return ARRAY, [value]  # no array: refused as a parameter later, by its name

    @classmethod
    def _joined(cls, kind: str, keys: tuple[Any, ...], values: list[Any]) -> tuple[Structure, list[Any]]:
        if all(memory.is_array(value) for value in values):
            return cls(kind, keys), values
        parts, arrays = [], []
        for value in values:
            part, own = cls._of(value)
            parts.append(part)
            arrays += own
        return cls(kind, keys, tuple(parts) if any(part.kind != "array" for part in parts) else ()), arrays

    @classmethod
    def together(cls, parts: Sequence[Structure]) -> Structure:
        """A sequence of structures."""
        return cls("sequence", tuple(range(len(parts))), tuple(parts))

    @cached_property
    def _flat_keys(self) -> tuple[Any, ...]:
        """The names of a mapping of arrays; of any other structure none, which no gradients fit."""
        return self.keys if self.kind == "mapping" and not self.parts else ()

    @cached_property
    def length(self) -> int:
        """How many arrays there are."""
        if self.kind == "array":
            return 1
        return sum(part.length for part in self.parts) if self.parts else len(self.keys)

    def flatten(self, values: Any, argument: str) -> list[Any]:
        """The arrays of `values` in the order of the parameters. Raises TypeError or ValueError where the structure differs."""
        keys = self._flat_keys
        if keys and values.__class__ is dict and len(values) == len(keys):
            try:
                return [values[key] for key in keys]
            except KeyError:
                pass  # `_mapping` says which is missing
        if self.kind == "array":
            if not isinstance(values, np.ndarray) and not memory.is_array(values):
                raise TypeError(f"{argument}: expected one array, like params; received {type(values).__name__}")
            return [values]
        found = self._sequence(values, argument) if self.kind == "sequence" else self._mapping(values, argument)
        if not self.parts:
            return found
        arrays: list[Any] = []
        for key, part, value in zip(self.keys, self.parts, found, strict=True):
            arrays += [value] if part.kind == "array" else part.flatten(value, f"{argument}[{key!r}]")
        return arrays

    def _sequence(self, values: Any, argument: str) -> list[Any]:
        expected = len(self.keys)
        if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping) and not memory.is_array(values):
            found: list[Any] = list(values)
        else:
            raise TypeError(f"{argument}: expected a sequence of {expected} arrays, like params; received {type(values).__name__}")
        if len(found) != expected:
            raise ValueError(f"{argument}: expected {expected} arrays, one for each parameter; received {len(found)}")
        return found

    def _mapping(self, values: Any, argument: str) -> list[Any]:
        if not isinstance(values, Mapping):
            raise TypeError(f"{argument}: expected a mapping with the names of params; received {type(values).__name__}")
        missing = [key for key in self.keys if key not in values]
        if missing:
            raise ValueError(f"{argument}: expected the names of params; {missing[0]!r} is missing ({len(missing)} in all)")
        if len(values) != len(self.keys):
            known = set(self.keys)
            unexpected = [key for key in values if key not in known]
            raise ValueError(f"{argument}: expected the names of params; received {unexpected[0]!r} besides ({len(unexpected)} in all)")
        return [values[key] for key in self.keys]

    def paths(self) -> Iterator[tuple[Any, ...]]:
        """Of each array the keys that lead to it."""
        if self.kind == "array":
            yield ()
        elif not self.parts:
            yield from ((key,) for key in self.keys)
        else:
            for key, part in zip(self.keys, self.parts, strict=True):
                yield from ((key, *path) for path in part.paths())

    @cached_property
    def _paths(self) -> list[tuple[Any, ...]]:
        return list(self.paths())

    def label(self, index: int, argument: str) -> str:
        """How the array at `index` is called in an error: `grads`, `grads[3]` or `grads['layer']['weight']`."""
        return argument + "".join(f"[{key!r}]" for key in self._paths[index])

    def labels(self, argument: str, positions: Sequence[int] | None = None) -> Labels:
        """What the arrays at these positions are called, or all of them."""
        return Labels(self, argument, range(self.length) if positions is None else positions)

    def restore(self, arrays: Iterable[Any]) -> Any:
        """Arrays in the order of the parameters, put back into the structure (a list for any sequence)."""
        left = iter(arrays)
        if self.kind == "array":
            return next(left)
        values = [part.restore(left) for part in self.parts] if self.parts else [next(left) for _ in self.keys]
        return values if self.kind == "sequence" else dict(zip(self.keys, values, strict=True))


ARRAY = Structure("array")


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
