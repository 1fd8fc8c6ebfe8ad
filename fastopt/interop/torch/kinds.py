"""What a torch class is in fastopt's terms: its family, which entries of a group decide on a step, and what its states are called.

torch's groups are plain dictionaries that anybody may write to between steps (a scheduler does), with numbers, flags or tensors of one
element. Here they become a family's checked arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

import torch

from fastopt.rules.family import FAMILIES, Family, Settled

__all__ = ["KINDS", "Kind", "number"]

REFUSED = {
    "differentiable": "a step here is no part of an autograd graph; torch's own class is, with differentiable=True",
    "capturable": "it is for CUDA graphs, and parameters here lie in host memory",
}
"""Flags that ask for another kind of step, and why there is none. `foreach` and `fused` say how torch makes it, and not what it is."""

FLAGS = ("maximize", "nesterov", "amsgrad", "centered", "decoupled_weight_decay")


def number(value: Any) -> Any:
    """A tensor of one element as a Python number, a sequence as a tuple of such; anything else as it is."""
    if isinstance(value, torch.Tensor):
        return value.item()
    if isinstance(value, tuple | list):
        return tuple(map(number, value))
    return value


@dataclass(frozen=True)
class Kind:
    """One of torch's classes.

    Attributes
    ----------
    family
        fastopt's.
    names
        The entries of a group that decide on a step; both call them alike.
    states
        What torch calls the states (ours -> theirs).
    counted
        Whether torch keeps a step count beside them.
    memory
        What torch calls the scalars that a rule remembers, in the rule's order.
    refused
        Those of `REFUSED` that its groups have.
    """

    family: Family
    names: tuple[str, ...]
    states: Mapping[str, str]
    counted: bool = True
    memory: tuple[str, ...] = ()
    refused: tuple[str, ...] = tuple(REFUSED)

    @cached_property
    def read(self) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
        """The entries of a group that decide on a step, and the flags that are refused, as they stand in it. Raises KeyError."""
        return itemgetter(*self.names, *self.refused)

    def values(self, raw: tuple[Any, ...]) -> dict[str, Any]:
        """What was read as numbers and flags. Raises ValueError for a flag that asks for another kind of step."""
        found = dict(zip((*self.names, *self.refused), map(number, raw), strict=True))
        for name in self.refused:
            if found.pop(name):
                raise ValueError(f"{name}: expected False, received True; {REFUSED[name]}")
        for name in FLAGS:
            if name in found:
                found[name] = bool(found[name])
        return found

    def settled(self, values: Mapping[str, Any], own: Mapping[str, Any]) -> Settled:
        """All that a step needs to know besides the arrays; `own` are arguments beside the group's. Raises TypeError or ValueError."""
        given = {**values, **own}
        if given.get("momentum") == 0 and "dampening" in given:
            given["dampening"] = 0.0  # torch takes any, and never looks at it
        return self.family.settle(given)


def _kind(family: str, *names: str, **options: Any) -> Kind:
    found = FAMILIES[family]
    states = found.conventions["torch"].states if "torch" in found.conventions else {"m": "exp_avg"}
    return Kind(found, ("lr", "maximize", *names), states, **options)


KINDS = {
    "SGD": _kind("SGD", "momentum", "dampening", "weight_decay", "nesterov", counted=False, refused=("differentiable",)),
    "RMSprop": _kind("RMSProp", "alpha", "eps", "weight_decay", "momentum", "centered"),
    "Adagrad": _kind("AdaGrad", "lr_decay", "weight_decay", "eps", refused=("differentiable",)),
    "Adadelta": _kind("AdaDelta", "rho", "eps", "weight_decay"),
    "Adam": _kind("Adam", "betas", "eps", "weight_decay", "amsgrad", "decoupled_weight_decay"),
    "NAdam": _kind("NAdam", "betas", "eps", "weight_decay", "momentum_decay", "decoupled_weight_decay", memory=("mu_product",)),
    "RAdam": _kind("RAdam", "betas", "eps", "weight_decay", "decoupled_weight_decay"),
    "Adamax": _kind("AdaMax", "betas", "eps", "weight_decay"),
    "Rprop": _kind("Rprop", "etas", "step_sizes"),
    "Lion": _kind("Lion", "betas", "weight_decay", counted=False),
}
"""By the name of torch's class; AdamW is Adam with `decoupled_weight_decay`, there as here."""
