"""Parameter groups: arrays of one optimizer with options of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from fastopt import memory
from fastopt.optimizers.shares import Share
from fastopt.structure import Structure

if TYPE_CHECKING:
    from fastopt.optimizers.base import Optimizer

__all__ = ["Group", "divided", "one"]


class Group:
    """One group of an optimizer: its arguments are attributes that may be read, and set between steps.

    >>> opt = fastopt.Adam([{"params": weights}, {"params": biases, "lr": 1e-2}])
    >>> opt.groups[1].lr = 5e-3
    """

    __slots__ = ("_index", "_optimizer")
    _index: int
    _optimizer: Optimizer

    def __init__(self, optimizer: Optimizer, index: int) -> None:
        object.__setattr__(self, "_optimizer", optimizer)
        object.__setattr__(self, "_index", index)

    @property
    def _share(self) -> Share:
        return self._optimizer._shares[self._index]

    @property
    def params(self) -> list[Any]:
        """Its arrays."""
        return [self._optimizer._params[i] for i in self._share.positions]

    @property
    def schedules(self) -> dict[str, Any]:
        """Its arguments that follow schedules, by name."""
        return dict(self._share.schedules)

    def configure(self, **changes: Any) -> None:
        """As `Optimizer.configure`, for this group alone."""
        self._optimizer._configure([self._index], changes)

    def __getattr__(self, name: str) -> Any:
        values = self._share.values
        if name in values:
            return self._optimizer._value_of(self._share, name)
        raise AttributeError(f"group {self._index} has no argument {name!r}; there are {', '.join(values)}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._share.values:
            raise AttributeError(f"group {self._index} has no argument {name!r}; there are {', '.join(self._share.values)}")
        self.configure(**{name: value})

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self._share.values]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self._share.values.items())
        return f"<group {self._index} of {len(self._share.positions)} arrays: {values}>"


def divided(
    params: Any, rules: Mapping[str, Mapping[str, Any]] | None
) -> tuple[Structure, list[Any], list[tuple[list[int], dict[str, Any]]], bool]:
    """The structure of parameters, the arrays, for each group its positions and its own options, and whether the structure is of groups.

    `params` with a mapping that has "params" for each group, or with `rules`: options by pattern of names. Raises TypeError or ValueError.
    """
    if _is_groups(params):
        if rules is not None:
            raise TypeError("groups: expected None where params are groups already, received patterns")
        parts: list[Structure] = []
        arrays: list[Any] = []
        groups: list[tuple[list[int], dict[str, Any]]] = []
        for k, given in enumerate(params):
            structure, own, options = one(given, f"params[{k}]")
            groups.append((list(range(len(arrays), len(arrays) + len(own))), options))
            parts.append(structure)
            arrays += own
        return Structure.together(parts), arrays, groups, True
    structure, arrays = Structure.of(params)
    if rules is None:
        return structure, arrays, [(list(range(len(arrays))), {})], False
    return structure, arrays, _by_name(structure, rules), False


def _is_groups(params: Any) -> bool:
    """Whether these are groups: a sequence of mappings, each with "params"."""
    if not isinstance(params, list | tuple) or not params:
        return False
    return all(isinstance(given, Mapping) and "params" in given and not memory.is_array(given) for given in params)


def one(given: Any, label: str) -> tuple[Structure, list[Any], dict[str, Any]]:
    """The structure, the arrays and the options of a group. Raises TypeError or ValueError."""
    if not isinstance(given, Mapping) or "params" not in given:
        raise TypeError(f"{label}: expected a mapping with 'params', and options of its own; received {type(given).__name__}")
    structure, arrays = Structure.of(given["params"], f"{label}['params']")
    return structure, arrays, {name: value for name, value in given.items() if name != "params"}


def _by_name(structure: Structure, rules: Any) -> list[tuple[list[int], dict[str, Any]]]:
    if not isinstance(rules, Mapping) or not all(isinstance(p, str) and isinstance(o, Mapping) for p, o in rules.items()):
        raise TypeError(f"groups: expected a mapping from patterns of names to options, received {type(rules).__name__}")
    if structure.kind != "mapping":
        raise TypeError(f"groups: expected params by name, as patterns look at names; received {structure.kind}")
    names = [".".join(map(str, path)) for path in structure.paths()]
    groups: list[tuple[list[int], dict[str, Any]]] = [([], {}), *(([], dict(options)) for options in rules.values())]
    for i, name in enumerate(names):
        k = next((k for k, pattern in enumerate(rules, start=1) if fnmatchcase(name, pattern)), 0)
        groups[k][0].append(i)
    for (positions, _), pattern in zip(groups[1:], rules, strict=True):
        if not positions:
            raise ValueError(f"groups: expected a pattern that names parameters, received {pattern!r}, which has none left to match")
    return groups if groups[0][0] else groups[1:]
