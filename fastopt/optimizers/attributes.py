"""An optimizer's arguments as its attributes: what may be configured may be read and set by its name, and nothing else is taken for it.

Each argument is a descriptor of the class. A `__getattr__` would be less, and would make every access to any attribute dearer: a step
of 100 parameters took 1.04 us with one, and 0.92 without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from fastopt.optimizers.shares import STORAGE

if TYPE_CHECKING:
    from fastopt.optimizers.shares import Share
    from fastopt.rules.family import Family

__all__ = ["Attributes"]


class Attributes:
    """Arguments of all groups as attributes. A subclass may have others, but for what reads like a misspelled argument.

    >>> opt = fastopt.AdamW(params, weight_decay=0.1)
    >>> opt.weight_decay = 0.01  # as opt.configure(weight_decay=0.01)
    """

    _shares: list[Share]
    _family: Family
    _arguments_of: str

    if TYPE_CHECKING:  # `Holding` has it

        def _value_of(self, share: Share, name: str) -> Any: ...

        def _configure(self, which: Iterable[int], changes: Mapping[str, Any]) -> None: ...

    def _declare_arguments(self) -> None:
        """Has the class know the arguments of this optimizer, which depend on its rule."""
        kind, rule = type(self), self._shares[0].rule.name
        if kind.__dict__.get("_arguments_of") != rule:
            for name in self._shares[0].values:
                if not hasattr(kind, name):
                    setattr(kind, name, _Argument(name))
            kind._arguments_of = rule

    def __setattr__(self, name: str, value: Any) -> None:
        if name[:1] == "_" or hasattr(type(self), name) or "_family" not in self.__dict__:  # a subclass may begin with what is its own
            object.__setattr__(self, name, value)
            return
        what = self._family.unknown(name)
        if type(self).__module__.startswith("fastopt.") or "did you mean" in what:
            _refuse(self, name, what)
        object.__setattr__(self, name, value)

    def __dir__(self) -> Iterable[str]:
        others = {name for name in dir(type(self)) if isinstance(getattr(type(self), name, None), _Argument)}
        return [*(set(super().__dir__()) - others), *self._shares[0].values]


class _Argument:
    """One argument of an optimizer, that of all its groups."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Attributes | None, kind: type | None = None) -> Any:
        if optimizer is None:
            return self
        if any(self.name not in share.values for share in optimizer._shares):
            raise AttributeError(f"{type(optimizer).__name__!r} object has no attribute {self.name!r}", name=self.name, obj=optimizer)
        values = [optimizer._value_of(share, self.name) for share in optimizer._shares]
        if any(value != values[0] for value in values[1:]):
            raise AttributeError(f"{self.name}: the groups have different ones; see groups[i].{self.name}", name=self.name, obj=optimizer)
        return values[0]

    def __set__(self, optimizer: Attributes, value: Any) -> None:
        if self.name in STORAGE or self.name not in optimizer._shares[0].values:
            _refuse(optimizer, self.name, optimizer._family.unknown(self.name))
        optimizer._configure(range(len(optimizer._shares)), {self.name: value})


def _refuse(optimizer: Attributes, name: str, what: str) -> NoReturn:
    raise AttributeError(f"{what}; attributes of its own are for a subclass, which may declare them", name=name, obj=optimizer)
