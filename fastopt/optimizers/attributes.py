"""An optimizer's arguments as its attributes: what may be configured may be read and set by its name, and nothing else is taken for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

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

    def _configure(self, which: Iterable[int], changes: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        shares = self.__dict__.get("_shares") or ()
        if name.startswith("_") or not shares or not any(name in share.values for share in shares):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        values = [share.values.get(name) for share in shares]
        if any(value != values[0] for value in values[1:]):
            raise AttributeError(f"{name}: the groups have different ones; see groups[i].{name}", name=name, obj=self)
        return values[0]

    def __setattr__(self, name: str, value: Any) -> None:
        if name[:1] == "_" or hasattr(type(self), name):
            object.__setattr__(self, name, value)
        elif name in self._shares[0].values and name not in STORAGE:
            self._configure(range(len(self._shares)), {name: value})
        else:
            what = self._family.unknown(name)
            if type(self).__module__.startswith("fastopt.") or "did you mean" in what:
                raise AttributeError(f"{what}; attributes of its own are for a subclass, which may declare them", name=name, obj=self)
            object.__setattr__(self, name, value)

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self._shares[0].values]
