"""One parameter's own step, on the arrays and counts of the optimizer that it belongs to.

A layout (`fastopt.interop.torch.laid`) steps all parameters in one call. Here each has a work list and a slot of its own over the same
states, so that it can be stepped when its gradient is there, whenever that is; torch's dictionary stays the one place where states and
counts stand.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import setitem
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastopt import backends
from fastopt.interop.torch.laid import Laid
from fastopt.interop.torch.tensors import TensorMemory, view
from fastopt.uninterrupted import uninterrupted

__all__ = ["Single", "singles"]


class Single:
    """A parameter of a layout.

    Attributes
    ----------
    index
        Its place among those of the layout.
    slot
        Its settings, which are its group's own, and its step count.
    """

    def __init__(self, laid: Laid, index: int, work: Any, runner: Any) -> None:
        self.index, self.param = index, laid.params[index]
        self.states, self.in_numpy = laid.states, laid.in_numpy
        self.work, self.runner = work, runner
        self.slot = laid.plan.slot_of[index].apart()
        self.shown = bool(laid.states.published[index])
        self.freeing = partial(setattr, self.param, "grad", None)

    @property
    def quick(self) -> tuple[Any, ...] | None:
        """What a compiled hook makes the next steps with (`fastopt.interop.torch.hooks`); None where it cannot."""
        gather, launch = getattr(self.work, "_compiled", None), getattr(self.runner, "update", None)
        if gather is None or launch is None or self.slot.memory or not self.shown:
            return None
        return gather, launch, self.slot, self.states.counts if self.states.kind.counted else None, self.index

    def step(self, gradient: Any, clip: float, clip_value: float | None, sums: NDArray[np.float64] | None) -> None:
        """Makes a step, counts it and lets go of the parameter's gradient: all of that, or nothing where this raises.

        The gradient is multiplied by `clip`, after its elements were limited to `clip_value`, in place. Where there are `sums`, those of
        its squares before `clip` are written to its blocks among them.

        Raises MovedError, TypeError, ValueError or RuntimeError for a gradient that cannot be used.
        """
        work, slot = self.work, self.slot
        given = [gradient]
        if not work.gather(given):
            work.refresh(given)
        try:
            if clip_value is not None:
                work.taken[0].clamp_(-clip_value, clip_value)
            if self.in_numpy:
                given = [view(work.taken[0])]
            if sums is not None:
                self.runner.squares(given, sums)
            calls = self.runner.ready(given, [slot], 1.0, clip)
            calls += slot.advancing()
            if self.states.kind.counted:
                calls += self._counting()
            if not self.shown:
                calls += self._showing()
            calls.append(self.freeing)
            torch.autograd.graph.increment_version(self.param)
            uninterrupted(calls, self.runner.around)
        finally:
            work.taken = []

    def _counting(self) -> list[Callable[[], Any]]:
        """The calls that count a step where torch's dictionary has it."""
        states, slot = self.states, self.slot
        calls: list[Callable[[], Any]] = [partial(setitem, states.counts, self.index, slot.steps + 1)]
        if slot.memory:
            calls.append(partial(setitem, states.remembered, (slice(None), self.index), slot.coming))
        return calls

    def _showing(self) -> list[Callable[[], Any]]:
        """The calls that have the states appear in torch's dictionary.

        `Laid.stands` looks for what it knows to be there, in order: a new entry is the last one. In an entry that somebody made before
        they are not where it looks, and so all is laid out anew at the next pass, from what stands there.
        """
        states = self.states
        calls: list[Callable[[], Any]] = [partial(setattr, self, "shown", True), partial(setitem, states.published, self.index, True)]
        entry = states._tensors(self.index)
        if entry:
            own = states.state.setdefault(self.param, {})
            calls += [partial(own.update, entry), partial(states.held.extend, list(entry.values()))]
        return calls


def singles(laid: Laid) -> list[Single]:
    """Every parameter of a layout by itself."""
    backend = backends.choose(laid.own.backend, dict.fromkeys(batch.work.kernel for batch in laid.plan.batches))[1]
    found: list[Any] = [None] * len(laid.params)
    for batch in laid.plan.batches:
        kernel, threads = batch.work.kernel, batch.work.threads
        blocks = batch.work.addresses[:, -2].tolist()
        for k, i in enumerate(batch.positions):
            memory = TensorMemory({id(laid.views[i]): laid.params[i]})
            labels = [laid.structure.labels(name, [i]) for name in ("params", "grads")]
            work = memory.work_list(kernel, [laid.views[i]], [laid.states.arrays[i]], *labels, threads, [blocks[k]])
            found[i] = Single(laid, i, work, backend.prepare(kernel, work))
    return found
