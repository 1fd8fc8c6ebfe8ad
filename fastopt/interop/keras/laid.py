"""An optimizer's variables laid out for steps: what is looked at before each one, and the step itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from operator import is_
from typing import Any

import keras
import numpy as np

from fastopt import backends
from fastopt.global_norm import factor
from fastopt.host.threads import at_most
from fastopt.interop.keras.kinds import Kind
from fastopt.optimizers import shares
from fastopt.optimizers.shares import Share
from fastopt.plan import Plan
from fastopt.rules.domain import NON_NEGATIVE
from fastopt.rules.family import Settled
from fastopt.slots import Slot
from fastopt.storage.choice import Choice
from fastopt.structure import Structure
from fastopt.uninterrupted import uninterrupted

room: Any = import_module(f"fastopt.interop.keras.{'tensors' if keras.backend.backend() == 'torch' else 'ndarrays'}")
"""What is particular to the memory that variables lie in."""

__all__ = ["Laid", "room", "same", "structure"]


def same(some: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether two sequences have the very same objects."""
    return len(some) == len(others) and all(map(is_, some, others))


def structure(variables: Sequence[Any]) -> Structure:
    """What the variables are called: by their paths, unless two have one."""
    paths = tuple(v.path for v in variables)
    return Structure("mapping", paths) if len(set(paths)) == len(paths) else Structure("sequence", tuple(range(len(paths))))


class CountedPlan(Plan):
    """A plan that counts in Keras's variables too, where there is `also` something to count with."""

    also: Callable[[], list[Callable[[], Any]]]
    distinct: Sequence[Slot] = ()
    """The slots, each once."""

    def _settle(self) -> None:
        super()._settle()
        self.distinct = list(dict.fromkeys((*self.slot_of, *self.active)))

    def counting(self) -> list[Callable[[], Any]]:
        """The calls that count a step."""
        return [*super().counting(), *self.also()]


class Laid:
    """Variables, states and plan.

    Parameters
    ----------
    kind
        The class.
    optimizer
        Keras's, built.
    lr
        The learning rate of the coming step.
    turn
        The optimizer's.

    Attributes
    ----------
    variables
        Those that are stepped: all of the optimizer's but those that Keras overwrites with their gradients.
    whole
        Whether that is all of them.

    Raises TypeError or ValueError for what a step cannot be made of; nothing was changed then.
    """

    def __init__(self, kind: Kind, optimizer: Any, lr: float, turn: Any) -> None:
        self.kind, self.optimizer = kind, optimizer
        every = optimizer._trainable_variables
        places = [i for i, v in enumerate(every) if not v.overwrite_with_gradient]
        self.variables = [every[i] for i in places]
        self.whole = len(places) == len(every)
        self.place = {id(v): k for k, v in enumerate(self.variables)}
        self.raw = kind.read(optimizer)
        self.values = kind.values(self.raw)
        self.lr = NON_NEGATIVE.checked(lr, "learning_rate")
        settled = kind.settled(self.values, self.lr)
        held = [[getattr(optimizer, kind.states[name])[i] for i in places] for name in self._listed(settled)]
        names = structure(self.variables)
        room.own([v for some in (self.variables, *held) for v in some])
        self.views = room.arrays(self.variables, names.labels("variables"))
        self.shares = self._shared(settled)
        kernels = shares.kernels(self.shares, self.views, names)
        chosen, backend = backends.choose("auto", dict.fromkeys(kernels))
        self.in_numpy = chosen == "numpy"
        threads = at_most(room.threads(), backend.thread_count(None))
        states = self._states(held)
        self.every = [v for some in (self.variables, *held) for v in some]
        self.held = [v._value for v in self.every]
        self.at = room.addresses(self.held[len(places) :])  # those of the parameters are looked at with the gradients'
        slots = [Slot(share.rule, share.settings) for share in self.shares]
        slot_of = [slots[k] for k in shares.share_of(self.shares, len(self.views))]
        memory = room.memory(self.variables, self.views)
        self.inference = room.inference(self.variables)
        self.counts = False
        self.remembered: float | None = None
        self.plan = CountedPlan(memory, backend, names, self.views, states, kernels, slot_of, threads, turn)
        self.plan.also = self._counting

    def _listed(self, settled: Settled) -> list[str]:
        """The states of the rule, each of which Keras has a list of variables for. Raises ValueError where it has none."""
        for name in settled.rule.states:
            if not getattr(self.optimizer, self.kind.states[name], None):
                raise ValueError(
                    f"{self.kind.states[name]}: expected the variables that {type(self.optimizer).__name__} with these arguments keeps, "
                    "received none; Keras makes them when an optimizer is built, so make another optimizer"
                )
        return list(settled.rule.states)

    def _states(self, held: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
        """The arrays beside each parameter. Raises ValueError for one that does not fit it."""
        found = list(zip(*(room.states(some, self.variables) for some in held), strict=True)) or [()] * len(self.variables)
        for states, beside, array in zip(found, zip(*held, strict=True), self.views, strict=False):
            for state, variable in zip(states, beside, strict=True):
                if (state.shape, state.dtype) != (array.shape, array.dtype):
                    raise ValueError(
                        f"{variable.path}: expected shape {array.shape} and dtype {array.dtype}, as its model variable has, "
                        f"received {state.shape} and {state.dtype}"
                    )
        return found

    def _shared(self, settled: Settled) -> list[Share]:
        """The variables that decay, and those that are excluded from that: a group each."""
        count = range(len(self.variables))
        decaying = [self.values["weight_decay"] == 0.0 or self.optimizer._use_weight_decay(v) for v in self.variables]
        exempt = self.kind.settled({**self.values, "weight_decay": 0.0}, self.lr)
        groups = [([k for k in count if decaying[k]], settled), ([k for k in count if not decaying[k]], exempt)]
        found = []
        for positions, own in groups:
            by_dtype: dict[Any, list[int]] = {}
            for k in positions:
                by_dtype.setdefault(self.views[k].dtype, []).append(k)
            # Keras keeps states in their variable's own dtype
            found += [Share(some, own, Choice(dtype.name, False), None) for dtype, some in by_dtype.items()]
        return found

    def stands(self) -> bool:
        """Whether a step can be made on this layout: variables, states and arguments are those that were laid out."""
        raw = self.kind.read(self.optimizer)
        if not same(raw, self.raw) or any(keras.ops.is_tensor(value) for value in raw):
            values = self.kind.values(raw)
            if values != self.values:
                return False
            self.raw = raw
        return same([v._value for v in self.every], self.held) and room.addresses(self.held[len(self.variables) :]) == self.at

    def in_order(self, gradients: list[Any], variables: list[Any]) -> list[Any]:
        """The gradients in the order of all variables, None for those that have none. Raises ValueError for a variable that came twice."""
        if same(variables, self.variables):
            return gradients
        found: list[Any] = [None] * len(self.variables)
        seen: set[int] = set()
        for gradient, variable in zip(gradients, variables, strict=True):
            k = self.place[id(variable)]
            if k in seen:
                raise ValueError(f"trainable_variables: expected each variable once, received {variable.path} twice")
            seen.add(k)
            found[k] = gradient
        return found

    def step(self, gradients: list[Any], lr: float, grad_scale: float, max_norm: float | None, counts: bool) -> None:
        """Makes a step on gradients in order, and counts it in Keras's `iterations` where `counts` says so.

        Raises `room.MovedError`, TypeError, ValueError or RuntimeError before anything is written.
        """
        plan = self.plan
        try:
            self._stand(lr)
            self.counts = counts
            given = room.given(gradients, self.variables)
            plan.take(given)
            if self.in_numpy:
                given = room.viewed(plan.batches, given)
            clip = 1.0
            if max_norm is not None:
                norm = plan.norm(given) / grad_scale
                # as Keras, whose parameters are NaN after a norm that is not finite
                clip = factor(norm, max_norm) if math.isfinite(norm) else math.nan
            room.changing([value for value, g in zip(self.held, given, strict=False) if g is not None], self.inference)
            plan.run(given, grad_scale, clip)
        finally:
            room.let_go(plan.batches)

    def _stand(self, lr: float) -> None:
        """Puts the scalars where Keras's variables say that they are: learning rate, step count and what the rule remembers."""
        if lr != self.lr:
            lr = NON_NEGATIVE.checked(lr, "learning_rate")
            uninterrupted(call for share in self.shares for call in share.settings.learning_at(lr))
            self.lr = lr
        steps = self.optimizer._iterations._value.item()
        if steps < 0:
            raise ValueError(f"iterations: expected a count >= 0, received {steps}")
        steps //= self.optimizer.gradient_accumulation_steps or 1
        memory: tuple[float, ...] = ()
        if self.kind.memory is not None:
            variable = getattr(self.optimizer, self.kind.memory)
            there = variable._value.item()
            if self.remembered is None or np.array(self.remembered).astype(variable.dtype).item() != there:
                self.remembered = there  # float32, maybe, of what is known better
            memory = (self.remembered,)
        for slot in self.plan.distinct:
            slot.steps, slot.memory = steps, memory

    def _counting(self) -> list[Callable[[], Any]]:
        calls = []
        if self.kind.memory is not None:
            (slot,) = {slot.coming: slot for slot in self.plan.active}.values()
            calls.append(room.putting(getattr(self.optimizer, self.kind.memory), slot.coming[0]))
            self.remembered = slot.coming[0]
        if self.counts:
            iterations = self.optimizer._iterations
            calls.append(room.putting(iterations, iterations._value.item() + 1))
        return calls
