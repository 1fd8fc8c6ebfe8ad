"""Which storage a state is kept in: what somebody asked for, what kind of number the state is, and how many elements it has.

A copy of a parameter (the point that schedule-free optimizers step) stays float32 beside int8: it is no average, and would lose what a
narrow parameter loses. States that are never negative have a code of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastopt import arguments
from fastopt.rules.entry import COPY, FLAG, Rule
from fastopt.storage import OF_STATES, STORAGES, Storage, find

__all__ = ["ARGUMENTS", "StateStorage", "taken"]

ARGUMENTS = ("state_dtype", "stochastic_rounding", "narrow_from")
INT8 = "int8"
WHOLE_BELOW = 4096
"""Elements below which a tensor's states stay in the compute dtype beside int8, if nobody says otherwise: they are no bytes to speak of,
and biases and scales of normalizations are most sensitive."""


@dataclass(frozen=True)
class StateStorage:
    """What the arguments of a group come to, as they were given.

    Attributes
    ----------
    state_dtype
        The name of a storage, "int8", or None for the compute dtype.
    stochastic_rounding
        True, False, or None: where states are bfloat16 or int8.
    narrow_from
        Elements from which a tensor's states are narrow; None for 4,096 with int8, and all with others.
    """

    state_dtype: str | None = None
    stochastic_rounding: bool | None = None
    narrow_from: int | None = None

    @property
    def least(self) -> int:
        """Elements from which states are narrow."""
        if self.narrow_from is None:
            return WHOLE_BELOW if self.state_dtype == INT8 else 0
        return self.narrow_from

    def refuse(self, own: Storage, label: Callable[[], str]) -> None:
        """Raises ValueError where states beside a parameter of that storage cannot be kept so."""
        if self.state_dtype is None:
            return
        compute = "float32" if self.state_dtype == INT8 else STORAGES[self.state_dtype].compute
        if compute != own.compute:
            raise ValueError(
                f"state_dtype: expected one that is computed with in {own.compute}, as {label()} of {own.name} is, "
                f"received {self.state_dtype}"
            )

    def of(self, rule: Rule, own: Storage, size: int) -> tuple[Storage, ...]:
        """The storage of each state of a rule beside a parameter of so many elements."""
        whole = STORAGES[own.compute]
        if self.state_dtype is None or size < self.least:
            return (whole,) * len(rule.states)
        if self.state_dtype != INT8:
            drawn = self.state_dtype == "bfloat16" and self.stochastic_rounding is not False
            return (OF_STATES["drawn_bfloat16"] if drawn else STORAGES[self.state_dtype],) * len(rule.states)
        codes = OF_STATES["signed8"], OF_STATES["unsigned8"]
        return tuple(whole if rule.initial_values.get(state) is COPY else codes[state in rule.non_negative] for state in rule.states)


def taken(state_dtype: Any, stochastic_rounding: Any, narrow_from: Any) -> StateStorage:
    """The arguments, checked. Raises TypeError or ValueError naming the one that cannot be used."""
    name = None if state_dtype is None else _named(state_dtype)
    if stochastic_rounding is not None:
        stochastic_rounding = FLAG.checked(stochastic_rounding, "stochastic_rounding")
        if stochastic_rounding and name not in ("bfloat16", INT8):
            raise ValueError(f"stochastic_rounding: expected None or False beside state_dtype={name!r}, as bfloat16 and int8 have it alone")
        if not stochastic_rounding and name == INT8:
            raise ValueError(
                "stochastic_rounding: expected None or True beside state_dtype='int8', whose averages would stand still; received False"
            )
    if narrow_from is not None:
        narrow_from = arguments.whole_number(narrow_from, "narrow_from", 0)
        if name is None:
            raise ValueError(f"narrow_from: expected None without a state_dtype, received {narrow_from}")
    return StateStorage(name, stochastic_rounding, narrow_from)


def _named(state_dtype: Any) -> str:
    if isinstance(state_dtype, str) and state_dtype == INT8:
        return INT8
    try:
        return find(state_dtype, "state_dtype").name
    except ValueError as error:
        raise ValueError(str(error).replace(", ".join(STORAGES), ", ".join((*STORAGES, INT8)))) from None
