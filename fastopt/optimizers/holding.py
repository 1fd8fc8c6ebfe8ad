"""What an optimizer holds: arrays in groups, their states and the plan of a step; how that is built and changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments, backends, memory
from fastopt.kernel import Kernel
from fastopt.optimizers import groups as grouping
from fastopt.optimizers import shares
from fastopt.optimizers.accumulation import Accumulation
from fastopt.optimizers.attributes import Attributes
from fastopt.optimizers.construction import OPTIONS
from fastopt.optimizers.shares import Share
from fastopt.optimizers.turns import in_turn, new_turn
from fastopt.plan import Plan
from fastopt.rules.family import Family, Settled
from fastopt.schedules.schedule import Schedule
from fastopt.slots import Slot
from fastopt.structure import Structure
from fastopt.uninterrupted import uninterrupted

__all__ = ["Holding"]

NONFINITE = ("propagate", "skip", "raise")
NOTHING: Mapping[str, Any] = {}


class Others(Protocol):
    """Who holds other parts of the same arrays (`fastopt.interop.mpi`). All of them ask each other at the same steps."""

    def sums(self, own: NDArray[np.float64]) -> NDArray[np.float64]:
        """Everybody's sums of squares of blocks, in the order of the arrays."""

    def first(self, position: int | None) -> int | None:
        """The least of everybody's positions, None where nobody has one."""


class Holding(Attributes):
    """The arrays of an optimizer and all that belongs to them; `Saving` saves them, `Optimizer` makes steps on them.

    Every change is made as a whole, or not at all where it raises.
    """

    _given: dict[str, Any]
    _nonfinite: str
    _max_norm: float | None
    _accumulate: int
    _accumulation: Accumulation | None
    _num_threads: int | None
    _asked_for: str
    _turn: Any
    _grad_norm: Any
    _structure: Structure
    _params: list[Any]
    _grouped: bool
    _list_of: int | None
    _plain: bool
    _scheduled: bool
    _rate: Schedule | None

    _others: Others | None = None
    """Those who hold the rest of the arrays; None where all of them are here."""

    family: ClassVar[Family | None] = None
    """What a named optimizer is made of: its constructor takes the family's arguments."""

    def _begin(self, params: Any, family: Family, given: dict[str, Any], options: dict[str, Any]) -> None:
        """What every constructor comes to: the arguments of a family that were given, and every other option by its name."""
        own = dict(options)
        # straight into the dictionary, here and where arrays are laid out: to look at each name takes a twentieth of building
        self.__dict__.update(_family=family, _given={**given, **{name: own.pop(name) for name in shares.STORAGE}})
        self._build(*grouping.divided(params, own.pop("groups")), **own)

    def _build(
        self,
        structure: Structure,
        arrays: list[Any],
        divided: list[tuple[list[int], dict[str, Any]]],
        grouped: bool,
        *,
        max_norm: float | None,
        accumulate: int,
        nonfinite: str,
        backend: str,
        num_threads: int | None,
    ) -> None:
        self.__dict__.update(
            _nonfinite=arguments.choice(nonfinite, "nonfinite", NONFINITE),
            _max_norm=None if max_norm is None else arguments.max_norm(max_norm),
            _accumulate=arguments.whole_number(accumulate, "accumulate", 1),
            _accumulation=None,
            _num_threads=num_threads,
            _asked_for=backend,
            _turn=new_turn(),
            _grad_norm=None,
            _structure=structure,
            _params=arrays,
            _grouped=grouped,
        )
        self._shares = [
            shares.taken(positions, {**self._given, **options}, self._family, self._settle, 0) for positions, options in divided
        ]
        self._declare_arguments()
        labels = structure.labels("params")
        self._memory = memory.of(arrays, labels)
        self._views = self._memory.views(arrays, labels)
        if self._nonfinite != "propagate" and self._memory is not memory.host:
            raise ValueError(f"nonfinite: expected 'propagate' for arrays in {self._memory.name}, received {self._nonfinite!r}")
        self._kernels = self._kernels_of(self._shares)
        self._backend_name, self._backend = backends.choose(backend, dict.fromkeys(self._kernels), self._memory)
        self._threads = self._backend.thread_count(num_threads)
        self._states: list[tuple[Any, ...]] = [()] * len(arrays)
        for share in self._shares:
            self._make_states(share)
        slots = [Slot(share.rule, share.settings) for share in self._shares]
        self._lay_out([slots[k] for k in shares.share_of(self._shares, len(arrays))])

    def _settle(self, given: Mapping[str, Any], standing: Mapping[str, Any] = NOTHING) -> Settled:
        return self._family.settle(given, ("params", "rule", *OPTIONS), standing)

    def _kernels_of(self, every: Sequence[Share]) -> list[Kernel]:
        return shares.kernels(every, self._views, self._structure, self._accumulate > 1)

    def _make_states(self, share: Share, before: Sequence[Mapping[str, Any]] = ()) -> None:
        views, kernels = ([every[i] for i in share.positions] for every in (self._views, self._kernels))
        made = shares.states(share, views, kernels, self._memory, before)
        for i, own in zip(share.positions, made, strict=True):
            self._states[i] = own

    def _lay_out(self, slots: Sequence[Slot]) -> None:
        """Gets ready to step. Raises ValueError where arrays overlap or lie on different devices."""
        self._plan = Plan(
            self._memory, self._backend, self._structure, self._views, self._states, self._kernels, slots, self._threads, self._turn
        )
        flat = self._structure.kind == "sequence" and not self._structure.parts
        self.__dict__.update(_list_of=self._structure.length if flat else None, **self._holds(self._shares))
        if self._max_norm is not None and self._memory is not memory.host:
            self._plan.get_ready_to_clip()
        if self._accumulate > 1:
            self._accumulation = Accumulation(
                self._accumulate,
                self._memory,
                self._backend,
                self._structure,
                self._views,
                self._kernels,
                shares.gradients(self._shares, self._views),
                self._threads,
                self._plan.written,
                self._accumulation,
            )

    def _holds(self, every: list[Share]) -> dict[str, Any]:
        """The groups, and what a step asks of them: whether there are schedules, whether one call makes it, and with which one of `lr`."""
        scheduled = any(share.schedules for share in every)
        plain = self._nonfinite == "propagate" and self._max_norm is None and self._accumulate == 1
        rate = every[0].schedules.get("lr") if plain and len(every) == len(every[0].schedules) == 1 else None
        return {"_shares": every, "_scheduled": scheduled, "_plain": plain and not scheduled, "_rate": rate}

    def _value_of(self, share: Share, name: str) -> Any:
        return share.value_at(name, self._turn.steps)

    @in_turn
    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Adds parameters `{"params": ..., **options}`, with states of their initial values and a step count of their own.

        Gradients come as a list with an entry for each group from then on. Raises TypeError or ValueError, with nothing changed.
        """
        structure, arrays, options = grouping.one(group, "group")
        start = len(self._params)
        positions = list(range(start, start + len(arrays)))
        share = shares.taken(positions, {**self._given, **options}, self._family, self._settle, self._turn.steps)
        parts = self._structure.parts if self._grouped else (self._structure,)
        whole = Structure.together([*parts, structure])
        labels = structure.labels("group['params']")
        if memory.of([*self._params, *arrays], whole.labels("params")) is not self._memory:
            raise TypeError(f"group['params']: expected arrays in {self._memory.name}, as those before; received others")
        views = self._memory.views(arrays, labels)
        slot = Slot(share.rule, share.settings)
        with self._unless_it_fails():
            self._structure, self._grouped = whole, True
            self._params, self._views = [*self._params, *arrays], [*self._views, *views]
            self._states = [*self._states, *([()] * len(arrays))]
            self._shares = [*self._shares, share]
            self._kernels = self._kernels_of(self._shares)
            self._make_states(share)
            self._lay_out([*self._plan.slot_of, *(slot for _ in arrays)])

    def configure(self, **changes: Any) -> None:
        """Changes the learning rate or other arguments of all groups from the next step on; all of them or, on an error, none.

        A number takes the place of a schedule, and a schedule that of a number.

        What the constructor refuses is refused in the same words. Where a change asks for another form (AMSGrad, say), states go on by
        their names, and those that were not kept before begin.
        """
        self._configure(range(len(self._shares)), changes)

    @in_turn
    def _configure(self, which: Iterable[int], changes: Mapping[str, Any]) -> None:
        changed = list(self._shares)
        for k in which:
            changed[k] = changed[k].changed(changes, self._turn.steps)
            for name, own in vars(self._shares[k].stored).items():
                if getattr(changed[k].stored, name) != own:
                    raise ValueError(f"{name}: expected {own!r}, as the states are; received another")
        self._apply(changed)

    def _apply(self, changed: list[Share]) -> None:
        """Takes these groups in the place of the present ones, which have the same arrays."""
        kernels = self._kernels_of(changed)
        slots = []
        of = shares.share_of(changed, len(self._params))
        made: dict[tuple[int, int], Slot] = {}
        for slot, k in zip(self._plan.slot_of, of, strict=True):
            key = id(slot), k
            if key not in made:
                same = slot.rule is changed[k].rule
                made[key] = Slot(changed[k].rule, changed[k].settings, slot.steps, slot.memory if same else None)
            slots.append(made[key])
        if kernels == self._kernels:
            uninterrupted([*self._plan.replacing(slots), partial(self.__dict__.update, self._holds(changed))])
            return
        with self._unless_it_fails():
            before, self._shares = self._shares, changed
            held = [own.held for own in self._kernels]
            self._kernels, self._states = kernels, list(self._states)
            for old, new in zip(before, changed, strict=True):
                if old.rule is not new.rule or old.states != new.states:
                    self._make_states(new, [dict(zip(held[i], self._states[i], strict=True)) for i in new.positions])
            self._lay_out(slots)

    @contextmanager
    def _unless_it_fails(self) -> Iterator[list[None]]:
        """Everything as it was, if what is done within raises; but not if something was put into the list, after which it stays."""
        before, at_once, stays = dict(self.__dict__), self._turn.at_once, list[None]()
        try:
            yield stays
        except BaseException:
            if not stays:
                self.__dict__.clear()
                self.__dict__.update(before)
                self._turn.at_once = at_once
            raise
