"""What a Keras class is in fastopt's terms: its family, which attributes decide on a step, and where its states are.

Keras keeps arguments as plain attributes, which anybody may write to between steps, and a list of variables for each state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any

import keras

from fastopt.rules.family import FAMILIES, Family, Settled

__all__ = ["KINDS", "Kind", "number"]


def number(value: Any) -> Any:
    """A variable or an array of one element as a Python number; anything else as it is."""
    if isinstance(value, keras.Variable):
        value = value._value
    return value.item() if hasattr(value, "item") else value


@dataclass(frozen=True)
class Kind:
    """One of Keras's classes.

    Attributes
    ----------
    family
        fastopt's.
    names
        The attributes that decide on a step besides the weight decay (theirs -> ours). Two of one name are the parts of a pair.
    states
        The attributes that have the variables of a state, one for each parameter (ours -> theirs).
    memory
        The attribute that has what the rule's scalars remember.
    """

    family: Family
    names: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    memory: str | None = None

    @cached_property
    def read(self) -> Callable[[Any], tuple[Any, ...]]:
        """The attributes of an optimizer that decide on a step, as they stand there. Raises AttributeError."""
        return attrgetter("weight_decay", *self.names)

    def values(self, raw: tuple[Any, ...]) -> dict[str, Any]:
        """What was read as arguments of the family."""
        found: dict[str, Any] = {"weight_decay": 0.0 if raw[0] is None else number(raw[0])}
        for ours, value in zip(self.names.values(), map(number, raw[1:]), strict=True):
            found[ours] = (found[ours], value) if ours in found else value
        if "nesterov" in found:  # Keras never looks at it without a momentum
            found["nesterov"] = bool(found["nesterov"]) and found["momentum"] != 0
        return found

    def settled(self, values: Mapping[str, Any], lr: float) -> Settled:
        """All that a step needs to know besides the arrays. Raises TypeError or ValueError."""
        return self.family.settle({**values, "lr": lr, "convention": "keras"})


BETAS = {"beta_1": "betas", "beta_2": "betas"}
MOMENTS = {"m": "_momentums", "v": "_velocities"}
EPS = {"epsilon": "eps"}

KINDS = {
    "SGD": Kind(FAMILIES["SGD"], {"momentum": "momentum", "nesterov": "nesterov"}, {"b": "momentums"}),
    "RMSprop": Kind(
        FAMILIES["RMSProp"],
        {"rho": "alpha", "momentum": "momentum", **EPS, "centered": "centered"},
        {"v": "_velocities", "a": "_average_gradients", "b": "_momentums"},
    ),
    "Adagrad": Kind(FAMILIES["AdaGrad"], {"initial_accumulator_value": "initial_accumulator_value", **EPS}, {"h": "_accumulators"}),
    "Adadelta": Kind(FAMILIES["AdaDelta"], {"rho": "rho", **EPS}, {"v": "_accumulated_grads", "u": "_accumulated_delta_vars"}),
    "Adam": Kind(FAMILIES["Adam"], {**BETAS, **EPS, "amsgrad": "amsgrad"}, {**MOMENTS, "v_max": "_velocity_hats"}),
    "Adamax": Kind(FAMILIES["AdaMax"], {**BETAS, **EPS}, {"m": "_m", "u": "_u"}),
    "Nadam": Kind(FAMILIES["NAdam"], {**BETAS, **EPS}, MOMENTS, "_u_product"),
    "Lion": Kind(FAMILIES["Lion"], BETAS, {"m": "_momentums"}),
}
"""By the name of Keras's class; AdamW is Adam here, as decay is decoupled in all of them."""
