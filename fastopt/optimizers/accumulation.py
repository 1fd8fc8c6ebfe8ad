"""Gradients of several calls summed up, for one step on their mean: the sums, and the passes that begin and go on with them.

A pass that begins the sums writes the gradient down, one that goes on reads and writes the sum beside it: 8 and 12 bytes an element of
float32. Between steps the sums are nothing that anybody needs, and there is nothing to make 0. (With `zero_grads` the step leaves its own
gradients, which are the sums, as 0 too: its kernel is the one that does so.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments
from fastopt.apart import Apart
from fastopt.extents import Extents
from fastopt.host import arrays
from fastopt.kernel import Kernel, kernel_of
from fastopt.optimizers.turns import new_turn
from fastopt.plan import Plan
from fastopt.rules.sums import BEGIN, GO_ON
from fastopt.settings import Settings
from fastopt.slots import Slot
from fastopt.stages import Stages
from fastopt.structure import Structure

__all__ = ["SUM", "Accumulation"]

SUM = "grad_sum"
"""What the sums are called where states are saved."""


@dataclass(frozen=True)
class Saved:
    """How many gradients were summed up, what they were multiplied by, and the sum for each parameter that had one."""

    count: int
    grad_scale: float
    sums: list[Any]


class Accumulation:
    """The sums of an optimizer's gradients since its last step.

    Parameters
    ----------
    every
        How many gradients make a step.
    memory, backend, structure, views, threads
        Those of the optimizer.
    kernels, gradients
        Of each parameter the kernel of its step, whose gradient is the sum, and the storage of what is added to that.
    written
        What the step writes: no gradient may share memory with it.
    before
        The sums that there were of the first parameters, when others are added or arguments change.

    Attributes
    ----------
    sums
        One for each parameter, of the dtype that steps are computed in.
    there
        Of each parameter, whether there was a gradient for it since the last step.
    count
        How many there were in all.
    grad_scale
        What they were all multiplied by.
    """

    def __init__(
        self,
        every: int,
        memory: Any,
        backend: Any,
        structure: Structure,
        views: Sequence[Any],
        kernels: Sequence[Kernel],
        gradients: Sequence[Any],
        threads: int,
        written: Extents,
        before: Accumulation | None,
    ) -> None:
        self.every, self._memory = every, memory
        self.sums: list[Any] = [] if before is None else list(before.sums)
        new = range(len(self.sums), len(views))
        for compute in dict.fromkeys(kernels[i].compute for i in new):
            own = [i for i in new if kernels[i].compute == compute]
            zeros = memory.zeros_beside([views[i] for i in own], np.dtype(compute), 1)
            self.sums += [None] * (len(views) - len(self.sums))
            for i, (array,) in zip(own, zeros, strict=True):
                self.sums[i] = array
        self.there = np.zeros(len(views), bool)
        self.count, self.grad_scale = 0, 1.0
        if before is not None:
            self.there[: len(before.there)] = before.there
            self.count, self.grad_scale = before.count, before.grad_scale
        self._plans = []
        for rule in (BEGIN, GO_ON):
            settings = {zeroed: Settings(0.0, {}, zero_grads=zeroed) for zeroed in (False, True)}
            slots = {zeroed: Slot(rule, own) for zeroed, own in settings.items()}
            own_kernels = [
                kernel_of(rule, Stages(zeroed=kernel.stages.zeroed), kernel.compute, gradient.name, ())
                for kernel, gradient in zip(kernels, gradients, strict=True)
            ]
            own_slots = [slots[kernel.stages.zeroed] for kernel in kernels]
            states: list[tuple[Any, ...]] = [()] * len(views)
            plan = Plan(memory, backend, structure, self.sums, states, own_kernels, own_slots, threads, new_turn())
            plan.guard(written)
            self._plans.append(plan)

    @property
    def complete(self) -> bool:
        """Whether there are as many as make a step."""
        return self.count >= self.every

    @property
    def means_of(self) -> float:
        """What a step has to divide the sums by."""
        return self.grad_scale * self.every

    def gradients(self) -> list[Any]:
        """What to step on: the sum for each parameter that had a gradient, else None."""
        return [own if there else None for own, there in zip(self.sums, self.there, strict=True)]

    def take(self, gradients: list[Any], grad_scale: float, stream: Any) -> list[tuple[Plan, list[Any]]]:
        """The passes that add these gradients. Raises TypeError, ValueError or RuntimeError for those that cannot be added."""
        if self.count and grad_scale != self.grad_scale:
            raise ValueError(
                f"grad_scale: expected {self.grad_scale!r}, as for the {self.count} gradient(s) that were accumulated before, "
                f"received {grad_scale!r}"
            )
        there = self.there if self.count else np.zeros_like(self.there)
        shares = [[g if has == goes_on else None for g, has in zip(gradients, there, strict=True)] for goes_on in (False, True)]
        taken: list[tuple[Plan, list[Any]]] = []
        for plan, share in zip(self._plans, shares, strict=True):
            if any(g is not None for g in share) or (not taken and plan is self._plans[-1]):
                plan.take(share, stream)
                if plan.recording:
                    raise RuntimeError("accumulate: expected a step outside of the capture of a CUDA graph, as the host counts gradients")
                taken.append((plan, share))
        if len(taken) > 1:  # each has looked at its own
            Apart([batch.work for plan, _ in taken for batch in plan.batches]).check()
        return taken

    def add(self, gradients: list[Any], grad_scale: float, taken: list[tuple[Plan, list[Any]]]) -> None:
        """Adds what was taken last, and counts it: both, or neither where this raises."""
        given = np.array([g is not None for g in gradients], bool)
        there = self.there | given if self.count else given
        calls: list[Callable[[], Any]] = [call for plan, share in taken for call in plan.ready(share, 1.0, 1.0)]
        calls.append(partial(self.__dict__.update, there=there, grad_scale=grad_scale, count=self.count + 1))
        taken[0][0].make(calls)

    def skip(self, gradients: list[Any]) -> None:
        """Leaves those gradients as 0 that would have been."""
        self._plans[1].skip(gradients)

    def all_finite(self, taken: list[tuple[Plan, list[Any]]]) -> bool:
        """Whether every element of every gradient taken is finite."""
        return all(plan.all_finite(share) for plan, share in taken)

    def restarting(self) -> list[Callable[[], Any]]:
        """The calls that begin anew."""
        return [partial(self.__dict__.update, count=0)]

    def exported(self) -> dict[str, Any]:
        """What there is besides the sums, by the key that it is saved under; nothing where there are none."""
        return {"accumulated": {"gradients": self.count, "grad_scale": self.grad_scale}} if self.count else {}

    def copied(self) -> dict[str, list[NDArray[Any] | None]]:
        """The sums by their name, as copies in host memory; nothing where there are none."""
        if not self.count:
            return {}
        return {SUM: [self._memory.to_host(own) if there else None for own, there in zip(self.sums, self.there, strict=True)]}

    def taking(self, saved: Saved) -> list[Callable[[], Any]]:
        """The calls that take over what was saved, and the sums with it."""
        copies = [(own, value) for own, value in zip(self.sums, saved.sums, strict=True) if value is not None]
        there = np.array([value is not None for value in saved.sums], bool)
        now = partial(self.__dict__.update, there=there, grad_scale=saved.grad_scale, count=saved.count)
        return [*self._memory.assigning(copies), now]


def split_off(given: Any, own: Accumulation | None, structure: Structure) -> tuple[Any, Saved | None]:
    """A dictionary of `Optimizer.state_dict` without what belongs to sums of gradients, and that, checked; None where there is nothing.

    Raises TypeError or ValueError for what an optimizer with this accumulation cannot take over.
    """
    if not isinstance(given, Mapping) or "accumulated" not in given:
        return given, None
    label, counts = "state_dict['accumulated']", given["accumulated"]
    if not isinstance(counts, Mapping) or set(counts) != {"gradients", "grad_scale"} or not isinstance(given.get("state"), Mapping):
        raise ValueError(f"{label}: expected a mapping with gradients, grad_scale, and sums beside the states; received {counts!r}")
    count = arguments.whole_number(counts["gradients"], f"{label}['gradients']", 1)
    if own is None or count >= own.every:
        fewer = 1 if own is None else own.every
        raise ValueError(f"{label}['gradients']: expected fewer than {fewer}, as a step takes (accumulate), received {count}")
    states = dict(given["state"])
    sums = structure.flatten(states.pop(SUM, None), f"state_dict['state'][{SUM!r}]")
    for i, value in enumerate(sums):
        if value is not None:
            arrays.copied_from(value, structure.label(i, f"state_dict['state'][{SUM!r}]"), own.sums[i], structure.label(i, "params"))
    rest = {name: value for name, value in given.items() if name != "accumulated"}
    return {**rest, "state": states}, Saved(count, arguments.grad_scale(counts["grad_scale"]), sums)
