"""Some parameters' own step, on the arrays and counts of the optimizer that they belong to.

A layout (`fastopt.interop.torch.laid`) steps all parameters in one call. A bunch is some of them, with work lists and slots of its own over
the same states, so that they can be stepped when their gradients are there, whenever that is; torch's dictionary stays the one place
where states and counts stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import accumulate
from operator import setitem
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastopt import backends
from fastopt.global_norm import BLOCK
from fastopt.interop.torch.hooks import Arrivals
from fastopt.interop.torch.laid import Laid
from fastopt.interop.torch.tensors import TensorMemory, let_go, viewed
from fastopt.plan import Plan
from fastopt.structure import Structure

__all__ = ["Bunch", "Bunches"]


class _Part:
    """The names of some of a structure's arrays, as a plan asks for them."""

    def __init__(self, structure: Structure, indices: Sequence[int]) -> None:
        self.structure, self.indices = structure, indices

    def labels(self, argument: str, positions: Iterable[int]) -> Sequence[str]:
        """Of those at these positions."""
        return self.structure.labels(argument, [self.indices[k] for k in positions])


class Bunch(Plan):
    """Parameters of a layout.

    Attributes
    ----------
    indices, params
        Their places among those of the layout, and they.
    arrivals
        Which of their gradients are there.
    """

    def __init__(
        self, laid: Laid, indices: Sequence[int], kernels: Sequence[Any], backend: Any, threads: int, blocks: Sequence[int]
    ) -> None:
        self.indices, self.params = list(indices), [laid.params[i] for i in indices]
        self.states, self.in_numpy = laid.states, laid.in_numpy
        self.arrivals = Arrivals(self.params)
        self._firsts = [blocks[i] for i in indices]
        self._there: list[int] = []
        views = [laid.views[i] for i in indices]
        memory: Any = TensorMemory({id(seen): p for seen, p in zip(views, self.params, strict=True)})
        part: Any = _Part(laid.structure, self.indices)
        arrays, slots = [laid.states.arrays[i] for i in indices], [laid.plan.slot_of[i] for i in indices]
        # of its own: the steps that the optimizer counts, and those that it makes at once, are those of its layout
        turn = SimpleNamespace(at_once=None, steps=0)
        super().__init__(memory, backend, part, views, arrays, [kernels[i] for i in indices], slots, threads, turn)
        for batch in self.batches:
            batch.work.addresses[:, -2] = [self._firsts[k] for k in batch.positions]  # by which states are rounded, as in the layout

    @property
    def quick(self) -> tuple[Any, ...] | None:
        """What compiled code makes the next steps with (`fastopt.interop.torch.hooks.Arrivals`); None where it cannot.

        It can where all had a gradient at the last step, and have one kernel and one slot, whose scalars remember nothing.
        """
        if len(self.batches) != 1 or len(self.active) != 1 or len(self._there) != len(self.params):
            return None
        (batch,), (slot,) = self.batches, self.active
        gather, launch = getattr(batch.work, "_compiled", None), getattr(batch.runner, "update", None)
        if gather is None or launch is None or slot.memory or batch.work.kernel.draws or not self.states.published[self.indices].all():
            return None
        index = self.indices[0] if len(self.indices) == 1 else np.array(self.indices)
        return gather, launch, slot, self.states.counts if self.states.kind.counted else None, index

    def step(self, gradients: list[Any], clip: float, clip_value: float | None, sums: NDArray[np.float64] | None) -> None:
        """Makes a step, counts it and lets go of the parameters' gradients: all of that, or nothing where this raises.

        A parameter whose gradient here is None is left alone. The others are multiplied by `clip`, after their elements were limited to
        `clip_value`, in place. Where there are `sums`, those of their squares before `clip` are written to their blocks among them.

        Raises MovedError, TypeError, ValueError or RuntimeError for a gradient that cannot be used.
        """
        self._there = [k for k, gradient in enumerate(gradients) if gradient is not None]
        if not self._there:
            return
        try:
            self.take(gradients)
            if clip_value is not None:
                for batch in self.batches:
                    for taken in batch.work.taken:
                        if taken is not None:
                            taken.clamp_(-clip_value, clip_value)
            given = viewed(self.batches, gradients) if self.in_numpy else gradients
            if sums is not None:
                self._sum_squares(given, sums)
            torch.autograd.graph.increment_version([self.params[k] for k in self._there])
            self.run(given, 1.0, clip)
        finally:
            let_go(self.batches)

    def _sum_squares(self, gradients: list[Any], sums: NDArray[np.float64]) -> None:
        """Only to the blocks of those that are there: the others' may have been summed before."""
        own: NDArray[np.float64] = np.zeros(self._blocks)
        counts = [-(-p.numel() // BLOCK) for p in self.params]
        starts = list(accumulate(counts, initial=0))
        for batch in self.batches:
            firsts = batch.work.addresses[:, -2].copy()
            batch.work.addresses[:, -2] = [starts[k] for k in batch.positions]
            try:
                batch.runner.squares(self.share(batch, gradients), own)
            finally:
                batch.work.addresses[:, -2] = firsts
            for k in batch.positions:
                if gradients[k] is not None:
                    sums[self._firsts[k] : self._firsts[k] + counts[k]] = own[starts[k] : starts[k] + counts[k]]

    def counting(self) -> list[Callable[[], Any]]:
        """The calls that count a step, here and in torch's dictionary, and free the gradients that it was made on."""
        states, there = self.states, self._there
        indices = np.array([self.indices[k] for k in there])
        calls: list[Callable[[], Any]] = [move for slot in self.active for move in slot.advancing()]
        if states.kind.counted:
            slots = [self.slot_of[k] for k in there]
            calls.append(partial(setitem, states.counts, indices, np.array([slot.steps + 1 for slot in slots], states.counts.dtype)))
            if states.kind.memory:
                calls.append(partial(setitem, states.remembered, (slice(None), indices), np.array([slot.coming for slot in slots]).T))
        for k in there:
            if not states.published[self.indices[k]]:
                calls += self._showing(k)
        return calls + [partial(setattr, self.params[k], "grad", None) for k in there]

    def _showing(self, k: int) -> list[Callable[[], Any]]:
        """The calls that have the states of one appear in torch's dictionary.

        `Laid.stands` looks for what it knows to be there, in order: a new entry is the last one. In an entry that somebody made before
        they are not where it looks, and so all is laid out anew at the next pass, from what stands there.
        """
        states, index = self.states, self.indices[k]
        calls: list[Callable[[], Any]] = [partial(setitem, states.published, index, True)]
        entry = states._tensors(index)
        if entry:
            own = states.state.setdefault(self.params[k], {})
            calls += [partial(own.update, entry), partial(states.held.extend, list(entry.values()))]
        return calls


class Bunches:
    """Those of a layout, each parameter in one at the most.

    Attributes
    ----------
    of
        The bunch of each parameter, or None.
    index
        The place of each parameter in the layout, by its id.
    """

    def __init__(self, laid: Laid) -> None:
        self.laid, count = laid, len(laid.params)
        self.of: list[Bunch | None] = [None] * count
        self.index = {id(p): i for i, p in enumerate(laid.params)}
        self._kernels: list[Any] = [None] * count
        for batch in laid.plan.batches:
            for i in batch.positions:
                self._kernels[i] = batch.work.kernel
        self._backend = backends.choose(laid.own.backend, dict.fromkeys(self._kernels))[1]
        self._threads = laid.plan.batches[0].work.threads if count else 1
        self._blocks = [0, *accumulate(-(-seen.size // BLOCK) for seen in laid.views)]

    def form(self, indices: Sequence[int]) -> tuple[Bunch, list[Callable[[], Any]]]:
        """A bunch of parameters that are in none, and the calls (`fastopt.uninterrupted`) that put them into it."""
        bunch = Bunch(self.laid, indices, self._kernels, self._backend, self._threads, self._blocks)
        return bunch, [partial(setitem, self.of, i, bunch) for i in indices]

    def unbind(self) -> None:
        """Has every bunch look at its settings anew."""
        for bunch in {id(bunch): bunch for bunch in self.of if bunch is not None}.values():
            for slot in (*bunch.active, *bunch.slot_of):
                slot.bound_for = None
