"""A plan: all arrays of an optimizer laid out for steps, one call a kernel.

Tensors of one kernel are a batch, whatever groups they belong to. Each tensor has a slot, its group's settings and its own step count
(`fastopt.slots`), and takes that slot's row of the table of scalars; one that has no gradient this time has none, and stays as it is.
Overlap, device and stream are checked once, for the whole plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from operator import setitem
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import backends
from fastopt.apart import Apart
from fastopt.extents import Extents
from fastopt.global_norm import BLOCK
from fastopt.host.norm import total
from fastopt.kernel import Kernel
from fastopt.memory import Memory
from fastopt.slots import Slot
from fastopt.structure import Structure
from fastopt.uninterrupted import uninterrupted

__all__ = ["Batch", "Plan", "Together"]

Together = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From the sums of squares of blocks here to those of all who hold parts of the arrays."""


@dataclass(slots=True)
class Batch:
    """The tensors of one kernel: where they stand among all, their work list, what runs it, and the slots of the coming step."""

    positions: list[int]
    work: Any
    runner: Any
    slots: list[Slot] = field(default_factory=list)


class Plan:
    """Batches over views, states and slots.

    Parameters
    ----------
    memory, backend
        Where the arrays lie, and what runs the steps.
    structure
        What the arrays are called.
    views, states
        Each parameter as a kernel needs it, and its states in the order of its rule.
    kernels, slots
        Of each parameter. A slot may be shared, and is replaced when its tensors part.
    threads
        The most that share a batch.
    turn
        What counts the steps, and holds `at_once`: (the call that takes gradients and makes a step at once, the gatherer that it needs, the
        slot whose scalars it takes), where all is one batch with one slot, and its runner has such a call; else None.

    Attributes
    ----------
    slot_of, active
        The slot of each parameter, and those that have one in the coming step.

    Raises ValueError if any two of the arrays overlap, or lie on different devices.
    """

    def __init__(
        self,
        memory: Memory,
        backend: backends.Backend,
        structure: Structure,
        views: Sequence[Any],
        states: Sequence[Sequence[Any]],
        kernels: Sequence[Kernel],
        slots: Sequence[Slot],
        threads: int,
        turn: Any,
    ) -> None:
        self._memory, self._turn = memory, turn
        self._clipping: Any = None
        self.slot_of = list(slots)
        self.active: list[Slot] = []
        blocks = [0, *accumulate(-(-view.size // BLOCK) for view in views)]
        self._blocks = blocks[-1]
        by_kernel: dict[Kernel, list[int]] = {}
        for i, kernel in enumerate(kernels):
            by_kernel.setdefault(kernel, []).append(i)
        self.batches: list[Batch] = []
        for kernel, positions in by_kernel.items():
            labels, gradients = (structure.labels(argument, positions) for argument in ("params", "grads"))
            params, own, first_blocks = [views[i] for i in positions], [states[i] for i in positions], [blocks[i] for i in positions]
            work = memory.work_list(kernel, params, own, labels, gradients, threads, first_blocks)
            self.batches.append(Batch(positions, work, backend.prepare(kernel, work)))
        if len(self.batches) > 1:
            memory.check_together([batch.work for batch in self.batches])
            self.guard(Extents.together([batch.work.extents for batch in self.batches]))
        self._apart = Apart([batch.work for batch in self.batches])
        self._settle()

    @property
    def written(self) -> Extents:
        """All memory that a step writes, and no gradient may share."""
        return self.batches[0].work.extents if self.batches else Extents([], [], str)

    def guard(self, extents: Extents) -> None:
        """What no gradient may share memory with, from now on."""
        for batch in self.batches:
            batch.work.guard(extents)

    def share(self, batch: Batch, gradients: list[Any]) -> list[Any]:
        """Those of a batch."""
        return gradients if len(self.batches) == 1 else [gradients[i] for i in batch.positions]

    def take(self, gradients: list[Any], stream: Any = None) -> None:
        """Takes the gradients of the coming step, and the stream to run on. Raises TypeError or ValueError for one that cannot be used."""
        changed = False
        for batch in self.batches:
            share = self.share(batch, gradients)
            if stream is not None or not batch.work.gather(share):
                batch.work.refresh(share, stream)
            changed = changed or batch.work.absent[-1]
        self._apart.check()
        if changed:
            self._settle()

    def _settle(self) -> None:
        """Gives every tensor that has a gradient a slot: one for all of a group that made as many steps, and that no other one is in."""
        uninterrupted(self.replacing(self.slot_of))

    def replacing(self, slots: Sequence[Slot]) -> list[Callable[[], Any]]:
        """The calls (`fastopt.uninterrupted`) that take other slots for the parameters, of the same kernels."""
        renewed: dict[tuple[Any, ...], Slot] = {}
        instead: dict[Slot, Slot] = {}
        slot_of = list(slots)
        calls: list[Callable[[], Any]] = []
        for batch in self.batches:
            absent = batch.work.absent.tolist()
            places: dict[Slot, int] = {}
            column = [-1] * len(batch.positions)
            for k, i in enumerate(batch.positions):
                if absent[k]:
                    continue
                before = slot_of[i]
                slot = instead.get(before)
                if slot is None:
                    key = id(before.settings), before.steps, before.memory
                    slot = instead[before] = renewed.setdefault(key, before.apart())
                slot_of[i] = slot
                column[k] = places.setdefault(slot, len(places))
            calls.append(partial(setattr, batch, "slots", list(places)))
            calls.append(partial(setitem, batch.work.slots, slice(None), column))
            calls.append(partial(setitem, batch.work.absent, -1, 0))
        active = list(renewed.values())
        at_once = None
        if len(self.batches) == len(active) == 1 and self.batches[0].runner.at_once is not None:
            at_once = self.batches[0].runner.at_once, self.batches[0].work.gather, active[0]
        calls.append(partial(self.__dict__.update, slot_of=slot_of, active=active))
        calls.append(partial(setattr, self._turn, "at_once", at_once))
        return calls

    def advance(self, grad_scale: float, stream: Any) -> None:
        """Hands a captured step the scalars of the coming one, on a device, and counts it."""
        for batch in self.batches:
            batch.work.choose_stream(stream)
        changed = [batch.work.as_captured() for batch in self.batches]
        if any(changed):
            self._settle()
        for batch in self.batches:
            if batch.slots:
                batch.runner.advance(batch.slots, grad_scale)
        if self._clipping is not None:
            self._clipping.advance(grad_scale)
        uninterrupted(self.counting())

    @property
    def recording(self) -> bool:
        """Whether the coming step is captured into a graph, and so not made now."""
        return any(batch.work.recording for batch in self.batches)

    def all_finite(self, gradients: list[Any]) -> bool:
        """Whether every element of every gradient is finite."""
        return all(batch.runner.all_finite(self.share(batch, gradients)) for batch in self.batches if batch.slots)

    def norm(self, gradients: list[Any], together: Together | None = None) -> float:
        """The root of the sum of the squares of all elements of all gradients, in float64.

        Summed over blocks of 256 elements, in the order of the parameters and in one that is fixed within a block, so that it is the same
        to the last bit on every backend and for every thread count. Where others hold parts of the arrays, `together` makes the sums of
        all out of the blocks' sums here.
        """
        sums: NDArray[np.float64] = np.empty(self._blocks)
        for batch in self.batches:
            batch.runner.squares(self.share(batch, gradients), sums)
        if together is not None:
            sums = together(sums)
        return math.sqrt(total(sums))

    def get_ready_to_clip(self) -> None:
        """Makes what clips gradients on a device, which cannot be made while a graph is captured."""
        if self._clipping is None:
            if self.recording:
                raise RuntimeError(
                    "max_norm: expected a clipped step, or an optimizer with max_norm, before one is captured in a CUDA graph"
                )
            self._clipping = self._memory.clipping([batch.work for batch in self.batches], self._blocks)

    def clip(self, grad_scale: float, max_norm: float) -> Any:
        """Has a device clip the gradients that were taken last; what to hand to `run` for that, which can say the norm when it is known."""
        self.get_ready_to_clip()
        return self._clipping([(batch.runner, batch.slots) for batch in self.batches], grad_scale, max_norm)

    def run(self, gradients: list[Any], grad_scale: float, clip: Any, also: Iterable[Callable[[], Any]] = ()) -> None:
        """Makes a step on the gradients that were taken last, and counts it, and makes other calls: all, or none where this raises.

        While a graph is captured the step is recorded, and not counted.
        """
        calls = self.ready(gradients, grad_scale, clip)
        if not self.recording:
            calls += self.counting()
        self.make([*calls, *also])

    def ready(self, gradients: list[Any], grad_scale: float, clip: Any) -> list[Callable[[], Any]]:
        """The calls that make a step on the gradients that were taken last."""
        calls: list[Callable[[], Any]] = [*getattr(clip, "calls", ())]  # a device's, which finds the norm now
        for batch in self.batches:
            if batch.slots:
                calls += batch.runner.ready(self.share(batch, gradients), batch.slots, grad_scale, clip)
        return calls

    def skip(self, gradients: list[Any]) -> None:
        """Leaves those gradients as 0 that a step would have."""
        zeroed = [g for batch in self.batches if batch.work.kernel.stages.zeroed for g in self.share(batch, gradients) if g is not None]
        uninterrupted([partial(setitem, np.asarray(g), ..., 0) for g in zeroed])

    def make(self, calls: list[Callable[[], Any]]) -> None:
        """Makes calls as a whole (`fastopt.uninterrupted`), on the device where there is one."""
        uninterrupted(calls, self.batches[0].runner.around if self.batches else None)

    def settle(self) -> None:
        """For after a copy that waited for a device: lets go of what steps have read. Raises RuntimeError if something failed there."""
        self._memory.settle([batch.work for batch in self.batches])

    def counting(self) -> list[Callable[[], Any]]:
        """The calls that count a step, for the tensors that had a gradient and for all."""
        of_slots = [move for slot in self.active for move in slot.advancing()]
        return [*of_slots, partial(setattr, self._turn, "steps", self._turn.steps + 1)]
