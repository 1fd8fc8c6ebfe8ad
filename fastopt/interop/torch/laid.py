"""An optimizer's parameter groups and states laid out for steps: what is looked at before each one, and the step itself."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import is_
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastopt import backends
from fastopt.global_norm import factor
from fastopt.host.threads import at_most
from fastopt.interop.torch import looks
from fastopt.interop.torch.kinds import Kind
from fastopt.interop.torch.states import States
from fastopt.interop.torch.tensors import MovedError, TensorMemory, let_go, parameters, stands_for_others, viewed
from fastopt.optimizers import shares
from fastopt.optimizers.shares import Share
from fastopt.plan import Plan
from fastopt.rules.domain import NON_NEGATIVE
from fastopt.rules.family import Settled
from fastopt.slots import Slot
from fastopt.storage.choice import Choice
from fastopt.structure import Structure
from fastopt.uninterrupted import uninterrupted

__all__ = ["Laid", "Own", "check"]

Group = MutableMapping[str, Any]


@dataclass(slots=True)
class Own:
    """What a drop-in takes beside torch's arguments: checked, but for what depends on the parameters."""

    max_norm: float | None = None
    state_dtype: str | None = None
    backend: str = "auto"
    num_threads: int | None = None


class Followed:
    """A parameter group as it was read last; `unbound` says that slots have to bind its hyperparameters anew."""

    def __init__(self, kind: Kind, group: Group, own: MutableMapping[str, Any]) -> None:
        self.kind, self.own = kind, own
        self.raw = kind.read(group)
        self.fixed = _fixed(self.raw)
        self.values = kind.values(self.raw)
        self.settled = kind.settled(self.values, own)
        self.unbound = False

    def change(self, group: Group) -> list[Callable[[], Any]] | None:
        """The calls that follow what was written into the group since; None if it asks for another rule. Raises TypeError or ValueError."""
        raw = self.kind.read(group)
        if self.fixed and all(map(is_, raw, self.raw)):
            return []
        values = self.kind.values(raw)
        before, settings = self.values, self.settled.settings
        new = {"raw": raw, "fixed": _fixed(raw), "values": values}
        if values == before:
            return [partial(self.__dict__.update, new)]
        calls: list[Callable[[], Any]]
        if {**values, "lr": before["lr"]} == before:
            calls = settings.learning_at(NON_NEGATIVE.checked(values["lr"], "lr"))
        else:
            settled = self.kind.settled(values, self.own)
            if settled.rule is not self.settled.rule or settled.settings.stages != settings.stages:
                return None
            calls = settings.becoming(settled.settings)
            new["unbound"] = True
        return [*calls, partial(self.__dict__.update, new)]


def _fixed(raw: tuple[Any, ...]) -> bool:
    """Whether nobody can write into these values, so that they need not be looked into each time."""
    parts = chain.from_iterable((value, *value) if isinstance(value, tuple) else (value,) for value in raw)
    return not any(isinstance(part, torch.Tensor | list) for part in parts)


def check(kind: Kind, group: Group, own: Own, arguments: MutableMapping[str, Any], label: str) -> None:
    """Raises TypeError or ValueError for a group that no step can be made of; what is wrong with several together is found later."""
    if group.get("max_norm") is not None:  # ZeroRedundancyOptimizer hands all options to its groups, and to each rank a share of them
        raise ValueError(
            f"max_norm: expected one for all groups of an optimizer that has all parameters, received one of {label}; "
            "torch.nn.utils.clip_grad_norm_ before the step clips for the ranks of a ZeroRedundancyOptimizer"
        )
    settled = Followed(kind, group, arguments).settled
    params = group["params"]
    structure = Structure("sequence", tuple(range(len(params))))
    views = parameters(params, structure.labels(label))
    if len(set(map(id, params))) != len(params):
        raise ValueError(f"{label}: expected each parameter once in a group, received one that came before")
    kernels = shares.kernels([_share(list(structure.keys), settled, own)], views, structure)
    _, backend = backends.choose(own.backend, dict.fromkeys(kernels))
    backend.thread_count(own.num_threads)


def _share(positions: list[int], settled: Settled, own: Own) -> Share:
    return Share(positions, settled, Choice(own.state_dtype), None)


class CountedPlan(Plan):
    """A plan that has torch's step counts go with its own.

    Attributes
    ----------
    states
        Where those are.
    present
        1 for each parameter that has a gradient in the coming step, 0 for others.
    """

    states: States
    present: NDArray[Any]

    def counting(self) -> list[Callable[[], Any]]:
        """The calls that count a step, here and in the optimizer's dictionary."""
        return [*super().counting(), *self.states.counting(self.present, self.slot_of)]


class Laid:
    """Groups, states and plan.

    Parameters
    ----------
    kind
        The class.
    groups, state
        The optimizer's `param_groups` and `state`.
    own
        The options that are not torch's.
    arguments
        Of the family, beside those of the groups.
    turn
        The optimizer's.
    before
        The states of an earlier layout.

    Raises TypeError or ValueError for what a step cannot be made of; nothing was changed then.
    """

    def __init__(
        self,
        kind: Kind,
        groups: Sequence[Group],
        state: MutableMapping[Any, Any],
        own: Own,
        arguments: MutableMapping[str, Any],
        turn: Any,
        before: States | None,
    ) -> None:
        self.kind, self.own, self.turn = kind, own, turn
        self.params: list[Any] = [p for group in groups for p in group["params"]]
        self.structure = Structure.together([Structure("sequence", tuple(range(len(group["params"])))) for group in groups])
        labels = self.structure.labels("params")
        self.views = parameters(self.params, labels)
        self.sharded: Any = None
        if any(map(stands_for_others, self.params)):
            from fastopt.interop.torch.sharded import Sharded

            self.sharded = Sharded(self.params, labels, self.structure.labels("grads"))
        self.followed = [Followed(kind, group, arguments) for group in groups]
        ends = np.cumsum([0, *(len(group["params"]) for group in groups)]).tolist()
        self.groups = [
            _share(list(range(start, end)), followed.settled, own)
            for start, end, followed in zip(ends, ends[1:], self.followed, strict=False)
        ]
        self.inference = any(p.is_inference() for p in self.params)
        kernels = shares.kernels(self.groups, self.views, self.structure)
        name, backend = backends.choose(own.backend, dict.fromkeys(kernels))
        self.in_numpy = name == "numpy"
        threads = backend.thread_count(own.num_threads)
        if own.num_threads is None:
            threads = at_most(torch.get_num_threads(), threads)
        self.states = States(kind, self.params, self.views, self.groups, kernels, state, labels, before)
        made: dict[tuple[Any, ...], Slot] = {}
        slots: list[Slot] = []
        for i, k in enumerate(shares.share_of(self.groups, len(self.params))):
            key = k, self.states.steps[i], self.states.memory[i]
            if key not in made:
                made[key] = Slot(self.groups[k].rule, self.groups[k].settings, *key[1:])
            slots.append(made[key])
        memory: Any = TensorMemory({id(found): p for found, p in zip(self.views, self._tensors(), strict=True)})
        self.plan = CountedPlan(memory, backend, self.structure, self.views, self.states.arrays, kernels, slots, threads, turn)
        self.plan.states = self.states
        self.plan.present = np.zeros(len(self.params), self.states.counts.dtype)
        self.changing: list[Any] = []

    def _tensors(self) -> list[Any]:
        """What lies in memory: the parameters, or their parts."""
        found: list[Any] = self.params if self.sharded is None else self.sharded.tensors
        return found

    def stands(self, groups: Sequence[Group], state: Any) -> bool:
        """Whether a step can be made on this layout; settings that were written into the groups are followed.

        Raises TypeError or ValueError for one that cannot be used, with nothing changed.
        """
        if len(groups) != len(self.followed):
            return False
        if not looks.same([group["params"] for group in groups], self.params) or not self.states.unchanged(state):
            return False
        changes = [followed.change(group) for followed, group in zip(self.followed, groups, strict=True)]
        calls: list[Callable[[], Any]] = []
        for change in changes:
            if change is None:
                return False
            calls += change
        if calls:
            uninterrupted(calls)
        if any(followed.unbound for followed in self.followed):
            for slot in {id(slot): slot for slot in (*self.plan.active, *self.plan.slot_of)}.values():
                slot.bound_for = None
            for followed in self.followed:
                followed.unbound = False
        return True

    def step(self, gradients: list[Any], grad_scale: float, max_norm: float | None) -> float | None:
        """Makes a step; the norm of all gradients where there is a `max_norm`.

        Raises MovedError, TypeError, ValueError or RuntimeError before anything is written.
        """
        if self.inference and not torch.is_inference_mode_enabled():
            raise RuntimeError("params: expected a step within torch.inference_mode(), as some parameters are inference tensors")
        try:
            return self._step(gradients, grad_scale, max_norm)
        finally:
            let_go(self.plan.batches)

    def _step(self, gradients: list[Any], grad_scale: float, max_norm: float | None) -> float | None:
        plan, sharded = self.plan, self.sharded
        if sharded is not None:
            if not sharded.stands():
                raise MovedError
            if max_norm is not None:
                sharded.check_norm()
            gradients = sharded.gradients(gradients)
        plan.take(gradients)
        if any(batch.work.came for batch in plan.batches):
            self._look_who_came()
        given: list[Any] = viewed(plan.batches, gradients) if self.in_numpy else gradients
        norm, clip = None, 1.0
        if max_norm is not None:
            norm = plan.norm(given, None if sharded is None else sharded.together) / grad_scale
            clip = factor(norm, max_norm)
        torch.autograd.graph.increment_version(self.changing)
        plan.run(given, grad_scale, clip)
        return norm

    def _look_who_came(self) -> None:
        """Which parameters have a gradient, and which of them their first one."""
        for batch in self.plan.batches:
            self.plan.present[batch.positions] = batch.work.absent[:-1] == 0
        self.changing = [self.params[i] for i in np.flatnonzero(self.plan.present).tolist()]
        self.states.arriving(self.plan.present)
        for batch in self.plan.batches:
            batch.work.came = False
