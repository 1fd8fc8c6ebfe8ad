"""What an optimizer keeps of each group: its arguments, the kernel of each of its arrays, and their states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from fastopt import storage
from fastopt.kernel import Kernel, kernel_of
from fastopt.memory import Memory
from fastopt.optimizers import scheduled
from fastopt.rules.entry import COPY, Rule
from fastopt.rules.family import Family, Settled
from fastopt.settings import Settings
from fastopt.storage import STORAGES, Storage
from fastopt.structure import Structure

__all__ = ["STORAGE", "Share", "kernels", "share_of", "states", "taken"]

STORAGE = ("state_dtype", "grad_dtype")
"""The arguments that say how states and gradients lie in memory, which no family knows of."""


@dataclass(slots=True)
class Share:
    """A group.

    Attributes
    ----------
    positions
        Of its arrays among all.
    settled
        Its arguments and what they come to; the learning rate may have been set since, in its settings.
    state, gradient
        How states and gradients lie in memory; None for the compute dtype, and for the parameter's own.
    schedules
        Of the arguments that have one by name (`fastopt.optimizers.scheduled`). What is settled for them is of the step that was made last.
    """

    positions: list[int]
    settled: Settled
    state: Storage | None
    gradient: Storage | None
    schedules: dict[str, Any] = field(default_factory=dict)

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return self.settled.rule

    @property
    def settings(self) -> Settings:
        """What a step needs to know besides the arrays."""
        return self.settled.settings

    @property
    def values(self) -> dict[str, Any]:
        """Every argument by its name, as it was given: a schedule where there is one."""
        storages = (None if found is None else found.name for found in (self.state, self.gradient))
        return {**self.settled.values, "lr": self.settings.lr, **dict(zip(STORAGE, storages, strict=True)), **self.schedules}

    def value_at(self, name: str, steps: int) -> Any:
        """An argument as the step after so many uses it. Raises ValueError as `at`."""
        if name not in self.schedules:
            return self.values[name]
        return scheduled.values_at({name: self.schedules[name]}, steps, self.settled.family)[name]

    def moved(self, steps: int) -> dict[str, Any]:
        """What the schedules come to after so many steps. Raises ValueError for a value that its argument cannot have."""
        return scheduled.values_at(self.schedules, steps, self.settled.family)

    def at(self, steps: int, now: dict[str, Any] | None = None) -> Share:
        """The same group, settled for the step after so many, as what `moved` says. Raises ValueError for a value that cannot be used."""
        if not self.schedules:
            return self
        now = self.moved(steps) if now is None else now
        try:
            settled = self.settled.changed({"lr": self.settings.lr, **now}, scheduled.standing(now, self.settled.family))
        except (TypeError, ValueError) as error:  # a form may take less than its family, and some do not go together
            raise ValueError(f"{error}, of its schedule after {steps} steps") from error
        return replace(self, settled=settled)

    def observing(self, loss: float) -> Share:
        """The same group, whose schedules were told a loss."""
        return replace(self, schedules=scheduled.observing(self.schedules, loss))

    def changed(self, changes: Mapping[str, Any], steps: int) -> Share:
        """The same group with some arguments changed, after so many steps. Raises TypeError or ValueError."""
        own = Settled(self.settled.family, self.rule, {**self.settled.values, "lr": self.settings.lr}, self.settings)
        kept = {name: value for name, value in self.values.items() if name in STORAGE or name in self.schedules}
        return taken(self.positions, {**kept, **changes}, own.family, own.changed, steps)

    def state_of(self, own: Storage) -> Storage:
        """How the states beside a parameter lie in memory."""
        return STORAGES[own.compute] if self.state is None else self.state


def taken(positions: list[int], given: Mapping[str, Any], family: Family, settle: Callable[..., Settled], steps: int) -> Share:
    """A group of these arguments, checked, for the step after so many; `settle` takes all but those of storage."""
    own = dict(given)
    state, gradient = (
        None if value is None else storage.find(value, name) for name, value in [(name, own.pop(name, None)) for name in STORAGE]
    )
    schedules = scheduled.among(own, family)
    if not schedules:
        return Share(positions, settle(own), state, gradient)
    now = scheduled.values_at(schedules, steps, family)
    settled = settle({**own, **now}, standing=scheduled.standing(now, family))
    for name, given in schedules.items():
        if name in settled.rule.initial_values.values():
            raise ValueError(f"{name}: expected a number, as a state begins with it, received {given!r}")
    return Share(positions, settled, state, gradient, schedules)


def share_of(shares: Sequence[Share], count: int) -> list[int]:
    """Of each of so many arrays the number of its group."""
    found = [0] * count
    for k, share in enumerate(shares):
        for i in share.positions:
            found[i] = k
    return found


def kernels(shares: Sequence[Share], views: Sequence[Any], structure: Structure) -> list[Kernel]:
    """Of each array its kernel. Raises ValueError for storage that does not go with an array's."""
    found: dict[int, Kernel] = {}
    for share in shares:
        by_dtype: dict[np.dtype[Any], Kernel] = {}
        for i in share.positions:
            dtype = views[i].dtype
            if dtype not in by_dtype:
                by_dtype[dtype] = _kernel(share, _storage(views[i]), partial(structure.label, i, "params"))
            found[i] = by_dtype[dtype]
    return [found[i] for i in range(len(views))]


def _kernel(share: Share, own: Storage, label: Callable[[], str]) -> Kernel:
    state, gradient = share.state_of(own), own if share.gradient is None else share.gradient
    for name, chosen in (("state_dtype", state), ("grad_dtype", gradient)):
        if chosen.compute != own.compute:
            raise ValueError(
                f"{name}: expected one that is computed with in {own.compute}, as {label()} of {own.name} is, received {chosen.name}"
            )
    return kernel_of(share.rule, share.settings.coupled, own.name, gradient.name, state.name)


def _storage(view: Any) -> Storage:
    found = storage.of(view.dtype)
    assert found is not None
    return found


def states(share: Share, views: Sequence[Any], memory: Memory, before: Mapping[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The states of these arrays of a group, of their initial values; those that stand in `before` by name stay as they are."""
    missing = [name for name in share.rule.states if name not in before]
    by_dtype: dict[np.dtype[Any], list[int]] = {}
    for k, view in enumerate(views):
        by_dtype.setdefault(view.dtype, []).append(k)
    made: list[list[Any]] = [[]] * len(views)
    for places in by_dtype.values():
        some = [views[k] for k in places]
        zeros = memory.zeros_beside(some, share.state_of(_storage(some[0])).dtype, len(missing))
        for k, own in zip(places, zeros, strict=True):
            made[k] = own
    for n, name in enumerate(missing):
        value = share.rule.initial(name, share.settings.hyperparameters)
        if value != 0.0:
            for own, view in zip(made, views, strict=True):
                _fill(own[n], value, view, memory)
    if not before:
        return list(map(tuple, made))
    there = {**before, **dict(zip(missing, zip(*made, strict=True), strict=True))}
    every = [there[name] for name in share.rule.states]
    return list(zip(*every, strict=True)) if every else [()] * len(views)


def _fill(state: Any, value: Any, view: Any, memory: Memory) -> None:
    beginning = memory.to_host(view).astype(state.dtype) if value is COPY else np.full(view.shape, value, state.dtype)
    memory.assign(state, beginning)
