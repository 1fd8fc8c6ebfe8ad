"""What an optimizer keeps of each group: its arguments, the kernel of each of its arrays, and their states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from fastopt import layout, storage
from fastopt.kernel import CORRECTION, Kernel, kernel_of
from fastopt.memory import Memory
from fastopt.optimizers import scheduled
from fastopt.rules.entry import COPY, Rule
from fastopt.rules.family import Family, Settled
from fastopt.settings import Settings
from fastopt.storage import STORAGES, Storage, blocks, choice
from fastopt.storage.choice import Choice
from fastopt.storage.split import joined
from fastopt.structure import Structure

__all__ = ["STORAGE", "Share", "gradients", "kernels", "share_of", "states", "taken"]

STORAGE = (*choice.ARGUMENTS, "grad_dtype")
"""The arguments that say how parameters, states and gradients lie in memory, which no family knows of."""


@dataclass(slots=True)
class Share:
    """A group.

    Attributes
    ----------
    positions
        Of its arrays among all.
    settled
        Its arguments and what they come to; the learning rate may have been set since, in its settings.
    stored, gradient
        How parameters and states lie in memory, and gradients; None for the gradient that lies as its parameter does.
    schedules
        Of the arguments that have one by name (`fastopt.optimizers.scheduled`). What is settled for them is of the step that was made last.
    """

    positions: list[int]
    settled: Settled
    stored: Choice
    gradient: Storage | None
    schedules: dict[str, Any] = field(default_factory=dict)

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return self.settled.rule

    @property
    def states(self) -> tuple[str, ...]:
        """The names of its states, in the order in which they are kept: the rule's, and those of the stages."""
        return (*self.rule.states, *self.settings.stages.states)

    @property
    def settings(self) -> Settings:
        """What a step needs to know besides the arrays."""
        return self.settled.settings

    @property
    def values(self) -> dict[str, Any]:
        """Every argument by its name, as it was given: a schedule where there is one."""
        storages = {**vars(self.stored), "grad_dtype": None if self.gradient is None else self.gradient.name}
        return {**self.settled.values, "lr": self.settings.lr, **storages, **self.schedules}

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


def taken(positions: list[int], given: Mapping[str, Any], family: Family, settle: Callable[..., Settled], steps: int) -> Share:
    """A group of these arguments, checked, for the step after so many; `settle` takes all but those of storage."""
    own = dict(given)
    stored = choice.taken(*(own.pop(name, None) for name in choice.ARGUMENTS))
    named = own.pop("grad_dtype", None)
    gradient = None if named is None else storage.find(named, "grad_dtype")
    schedules = scheduled.among(own, family)
    if not schedules:
        return Share(positions, settle(own), stored, gradient)
    now = scheduled.values_at(schedules, steps, family)
    settled = settle({**own, **now}, standing=scheduled.standing(now, family))
    for name, given in schedules.items():
        if name in settled.rule.initial_values.values():
            raise ValueError(f"{name}: expected a number, as a state begins with it, received {given!r}")
    return Share(positions, settled, stored, gradient, schedules)


def share_of(shares: Sequence[Share], count: int) -> list[int]:
    """Of each of so many arrays the number of its group."""
    found = [0] * count
    for k, share in enumerate(shares):
        for i in share.positions:
            found[i] = k
    return found


def gradients(shares: Sequence[Share], views: Sequence[Any]) -> list[Storage]:
    """Of each array how its gradients lie in memory."""
    of = share_of(shares, len(views))
    return [shares[k].gradient or _storage(view) for k, view in zip(of, views, strict=True)]


def kernels(shares: Sequence[Share], views: Sequence[Any], structure: Structure, summed: bool = False) -> list[Kernel]:
    """Of each array its kernel, for gradients as they come, or `summed`. Raises ValueError for storage that does not go with an array's."""
    found: dict[int, Kernel] = {}
    for share in shares:
        alike: dict[tuple[np.dtype[Any], bool], Kernel] = {}
        least = share.stored.least
        for i in share.positions:
            view = views[i]
            key = view.dtype, view.size < least
            if key not in alike:
                alike[key] = _kernel(share, _storage(view), view.size, partial(structure.label, i, "params"), summed)
            found[i] = alike[key]
            if found[i].blocked:
                _lies_in_c_order(view, partial(structure.label, i, "params"))
        share.stored.refuse_together([STORAGES[dtype.name] for dtype in dict.fromkeys(dtype for dtype, _ in alike)])
    return [found[i] for i in range(len(views))]


def _kernel(share: Share, own: Storage, size: int, label: Callable[[], str], summed: bool) -> Kernel:
    share.stored.refuse(own, label)
    gradient = own if share.gradient is None else share.gradient
    if gradient.compute != own.compute:
        raise ValueError(
            f"grad_dtype: expected one that is computed with in {own.compute}, as {label()} of {own.name} is, received {gradient.name}"
        )
    states = tuple(state.name for state in share.stored.of(share.rule, own, size))
    taken = own.compute if summed else gradient.name
    return kernel_of(share.rule, share.settings.stages, share.stored.of_parameter(own).name, taken, states)


def _lies_in_c_order(view: Any, label: Callable[[], str]) -> None:
    """Raises ValueError if it does not: blocks are of elements in the order of memory, which files and pickles do not keep."""
    strides = layout.of(view)
    if not layout.same(view.shape, strides, layout.contiguous(view.shape)):
        raise ValueError(
            f"state_dtype: expected C-contiguous parameters beside int8, received {label()} of shape {tuple(view.shape)} and "
            f"strides {strides} in elements; bfloat16 takes every dense layout"
        )


def _storage(view: Any) -> Storage:
    found = storage.of(view.dtype)
    assert found is not None
    return found


def states(
    share: Share, views: Sequence[Any], kernels: Sequence[Kernel], memory: Memory, before: Sequence[Mapping[str, Any]] = ()
) -> list[tuple[Any, ...]]:
    """What is held for these arrays of a group (`Kernel.held`), of its initial value; what was there before stays."""
    made: list[dict[str, Any]] = [dict(own) for own in before] or [{} for _ in views]
    alike: dict[Kernel, list[int]] = {}
    for k, kernel in enumerate(kernels):
        alike.setdefault(kernel, []).append(k)
    for kernel, places in alike.items():
        some = [views[k] for k in places]
        missing = [name for name in kernel.held if name not in made[places[0]]]
        stored = dict(zip(kernel.states, kernel.storages[2:], strict=True))
        by_dtype: dict[np.dtype[Any], list[str]] = {}
        for name in missing:
            if name in stored:
                by_dtype.setdefault(stored[name].dtype, []).append(name)
        for dtype, names in by_dtype.items():
            for k, own in zip(places, memory.zeros_beside(some, dtype, len(names)), strict=True):
                made[k].update(zip(names, own, strict=True))
        if kernel.split is not None and CORRECTION in missing:
            for k, own in zip(places, memory.corrections_beside(some, np.dtype(kernel.split.dtype)), strict=True):
                made[k][CORRECTION] = own
        scales = [name for name in missing if name not in stored and name != CORRECTION]
        if scales:
            for k, own in zip(places, memory.scales_beside(some, len(scales)), strict=True):
                made[k].update(zip(scales, own, strict=True))
        for name in filter(stored.__contains__, missing):
            value = COPY if name in kernel.stages.states else share.rule.initial(name, share.settings.hyperparameters)
            if value != 0.0:
                for k in places:
                    _fill(made[k], name, kernel, value, views[k], memory)
    return [tuple(map(own.__getitem__, kernel.held)) for own, kernel in zip(made, kernels, strict=True)]


def _fill(own: Mapping[str, Any], name: str, kernel: Kernel, value: Any, view: Any, memory: Memory) -> None:
    state, stored = own[name], kernel.storages[2 + kernel.states.index(name)]
    if stored.code is not None:
        numbers = np.full(view.size, value, np.float32)
        codes, scales = blocks.encode(stored.code, numbers)
        memory.assign(own[f"{name}_scale"], scales)
        memory.assign(state, codes.reshape(view.shape))  # they are all the same
    elif value is COPY:
        parameter = memory.to_host(view)
        whole = parameter if kernel.split is None else joined(kernel.split, parameter, memory.to_host(own[CORRECTION]))
        memory.assign(state, whole.astype(state.dtype))
    else:
        memory.assign(state, np.full(view.shape, value, state.dtype))
