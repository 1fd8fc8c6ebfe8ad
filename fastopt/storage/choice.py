"""Which storage parameters and states are kept in: what somebody asked for, what a tensor has, and what kind of number a state is.

A copy of a parameter (the point that schedule-free optimizers step) stays float32 beside int8: it is no average, and would lose what a
narrow parameter loses. States that are never negative have a code of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from fastopt import arguments
from fastopt.rules.entry import COPY, FLAG, Rule
from fastopt.storage import OF_PARAMETERS, OF_STATES, STORAGES, Storage, find

__all__ = ["ARGUMENTS", "Choice", "taken"]

ARGUMENTS = ("state_dtype", "stochastic_rounding", "narrow_from", "master_bits")
INT8 = "int8"
BFLOAT16 = "bfloat16"
MASTER_BITS = (32, 24)
WHOLE_BELOW = 4096
"""Elements below which a tensor's states stay in the compute dtype beside int8, if nobody says otherwise: they are no bytes to speak of,
and biases and scales of normalizations are most sensitive."""


@dataclass(frozen=True)
class Choice:
    """What the arguments of a group come to, as they were given.

    Attributes
    ----------
    state_dtype
        The name of a storage, "int8", or None for the compute dtype.
    stochastic_rounding
        True for parameters and states of bfloat16 and states of int8, False, or None: of states alone.
    narrow_from
        Elements from which a tensor's states are narrow; None for 4,096 with int8, and all with others.
    master_bits
        How many of a float32's bits are kept of a parameter of bfloat16, in it and its correction; None for the 16 that it has.
    """

    state_dtype: str | None = None
    stochastic_rounding: bool | None = None
    narrow_from: int | None = None
    master_bits: int | None = None

    @property
    def least(self) -> int:
        """Elements from which states are narrow."""
        if self.narrow_from is None:
            return WHOLE_BELOW if self.state_dtype == INT8 else 0
        return self.narrow_from

    def refuse(self, own: Storage, label: Callable[[], str]) -> None:
        """Raises ValueError where a parameter of that storage, or the states beside it, cannot be kept so."""
        if self.master_bits is not None and own.name == "float16":
            raise ValueError(f"master_bits: expected None beside float16, which has no correction, received {label()} of float16")
        if self.state_dtype is None:
            return
        compute = "float32" if self.state_dtype == INT8 else STORAGES[self.state_dtype].compute
        if compute != own.compute:
            raise ValueError(
                f"state_dtype: expected one that is computed with in {own.compute}, as {label()} of {own.name} is, "
                f"received {self.state_dtype}"
            )

    def refuse_together(self, every: Collection[Storage]) -> None:
        """Raises ValueError for what none of a group's parameters, which are of these storages, has a use for."""
        names = ", ".join(dict.fromkeys(own.name for own in every)) or "none"
        if self.master_bits is not None and every and not any(own.name == BFLOAT16 for own in every):
            raise ValueError(f"master_bits: expected None without parameters of bfloat16, received {self.master_bits} beside {names}")
        if self.stochastic_rounding and self.state_dtype not in (BFLOAT16, INT8) and not any(self.of_parameter(own).draws for own in every):
            raise ValueError(
                f"stochastic_rounding: expected None or False beside state_dtype={self.state_dtype!r}, master_bits={self.master_bits} and "
                f"parameters of {names}, where nothing is rounded to bfloat16, int8 or 24 bits; received True"
            )

    def of_parameter(self, own: Storage) -> Storage:
        """The storage of a parameter whose array has that one."""
        if own.name != BFLOAT16:
            return own
        drawn = self.stochastic_rounding is True
        if self.master_bits is None:
            return OF_PARAMETERS["drawn_bfloat16"] if drawn else own
        return OF_PARAMETERS["drawn_split24" if drawn and self.master_bits == 24 else f"split{self.master_bits}"]

    def of(self, rule: Rule, own: Storage, size: int) -> tuple[Storage, ...]:
        """The storage of each state of a rule beside a parameter of so many elements."""
        whole = STORAGES[own.compute]
        if self.state_dtype is None or size < self.least:
            return (whole,) * len(rule.states)
        if self.state_dtype != INT8:
            drawn = self.state_dtype == BFLOAT16 and self.stochastic_rounding is not False
            return (OF_STATES["drawn_bfloat16"] if drawn else STORAGES[self.state_dtype],) * len(rule.states)
        codes = OF_STATES["signed8"], OF_STATES["unsigned8"]
        return tuple(whole if rule.initial_values.get(state) is COPY else codes[state in rule.non_negative] for state in rule.states)


def taken(state_dtype: Any, stochastic_rounding: Any, narrow_from: Any, master_bits: Any) -> Choice:
    """The arguments, checked. Raises TypeError or ValueError naming the one that cannot be used."""
    name = None if state_dtype is None else _named(state_dtype)
    if stochastic_rounding is not None:
        stochastic_rounding = FLAG.checked(stochastic_rounding, "stochastic_rounding")
        if not stochastic_rounding and name == INT8:
            raise ValueError(
                "stochastic_rounding: expected None or True beside state_dtype='int8', whose averages would stand still; received False"
            )
    if narrow_from is not None:
        narrow_from = arguments.whole_number(narrow_from, "narrow_from", 0)
        if name is None:
            raise ValueError(f"narrow_from: expected None without a state_dtype, received {narrow_from}")
    if master_bits is not None:
        master_bits = arguments.whole_number(master_bits, "master_bits", 0)
        if master_bits not in MASTER_BITS:
            raise ValueError(f"master_bits: expected 32, 24 or None, received {master_bits}")
    return Choice(name, stochastic_rounding, narrow_from, master_bits)


def _named(state_dtype: Any) -> str:
    if isinstance(state_dtype, str) and state_dtype == INT8:
        return INT8
    try:
        return find(state_dtype, "state_dtype").name
    except ValueError as error:
        raise ValueError(str(error).replace(", ".join(STORAGES), ", ".join((*STORAGES, INT8)))) from None
