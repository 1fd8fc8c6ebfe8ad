"""Backward passes in which parameters are stepped: where one begins and ends, and what is looked at and done then.

torch tells of a gradient (a post-accumulate hook) and of the end of a pass (a callback of its engine's); that another one began is seen by
its number. What stands in groups and states is followed at the first gradient of a pass.

A call costs more than the step of a small parameter, so small ones are stepped together: a hook only notes that the gradient is there.
Those that came one after the other when they came first are a bunch, and from then on are stepped when the last of them is there: autograd
goes through one graph in one order. In another graph, where some of them do not come, the others wait for the end of the pass, or until
as many bytes wait as two bunches may have.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from fastopt.global_norm import factor
from fastopt.host.norm import total
from fastopt.interop.torch import looks
from fastopt.interop.torch.bunch import Bunch, Bunches
from fastopt.interop.torch.dropin import DropIn
from fastopt.interop.torch.hooks import Hook, Pass
from fastopt.interop.torch.tensors import MovedError
from fastopt.optimizers.turns import in_turn
from fastopt.uninterrupted import uninterrupted

__all__ = ["Passes", "refuse_norm"]

NONE = -1
"""No backward pass; torch counts them from 0."""

BUNCH = 1 << 20
"""Bytes of a gradient from which it is stepped as soon as it is there, and the most that smaller ones have together in a bunch.

No share of a model's: the larger that is, the less there is to win. docs/dropins.md has what other limits came to.
"""

_current: Callable[[], int] = torch._C._current_graph_task_id
_increment_version: Callable[[list[Any]], None] = torch._C._increment_version
_at_the_end: Callable[[Callable[[], None]], None] = torch.autograd.Variable._execution_engine.queue_callback
_RUNS = torch.autograd.graph._engine_run_backward.__code__


def refuse_norm() -> None:
    """Raises the ValueError that says why gradients are not clipped to a norm here."""
    raise ValueError(
        "max_norm: expected None, as the norm of all gradients is known when the first ones are gone; "
        "max_norm_of_last_step clips by the norm of the step before, clip_value by value"
    )


def _within_another() -> bool:
    """Whether this pass runs inside of another one, as checkpoints do that begin a pass of their own (`use_reentrant=True`)."""
    frame, runs = sys._getframe(1), 0
    while frame is not None:
        runs += frame.f_code is _RUNS
        frame = frame.f_back  # type: ignore[assignment]
    return runs > 1


class Passes:
    """Those over the parameters of an optimizer.

    Attributes
    ----------
    optimizer, accumulate
        The drop-in, and how many passes make a step of it.
    clip_value, max_norm
        What elements of gradients are limited to, and the norm of the step before from which gradients are made smaller; None for neither.
    grad_norm
        The norm of the last step's gradients, where it was asked for.
    hooks
        By the id of the parameter, with torch's handle of each.
    """

    def __init__(self, optimizer: DropIn, accumulate: int, clip_value: float | None, max_norm: float | None) -> None:
        self.optimizer, self.accumulate = optimizer, accumulate
        self.clip_value, self.max_norm = clip_value, max_norm
        self.grad_norm: float | None = None
        self.hooks: dict[int, tuple[Any, Any]] = {}
        self._turn: Any = optimizer._turn
        self._pass: Any = Pass(self._turn, 2 * BUNCH)
        self._made = 0
        self._laid: Any = None
        self._bunches: Any = None
        self._values: list[dict[str, Any]] = []
        self._new: list[int] = []
        self._room = BUNCH
        self._clip = 1.0
        self._sums: Any = None

    def watch(self, params: Sequence[Any]) -> None:
        """Asks to be told of the gradients of these; one that is frozen is looked for at the end of each pass."""
        for p in params:
            if id(p) not in self.hooks and p.requires_grad:
                hook = Hook(self._pass, p.nbytes, _current, _increment_version, self._arrived)
                self.hooks[id(p)] = hook, p.register_post_accumulate_grad_hook(hook)

    def _arrived(self, param: Any) -> None:
        """A gradient is there, and there is more to do than to note it in compiled code."""
        number = _current()
        if number != self._pass.number or self._pass.stepping:
            self._take(param, number)

    @in_turn
    def _take(self, param: Any, number: int) -> None:
        if number != self._pass.number:
            self._begin(number)
        index = self._bunches.index.get(id(param))
        if not self._pass.stepping or index is None or param.grad is None:  # another hook may have taken it
            return
        hook, _ = self.hooks[id(param)]
        if not hook.note():
            return
        bunch = self._bunches.of[index]
        if bunch is None:
            self._join(index, hook.nbytes)
        elif hook.arrivals.missing <= 0:
            self._step(bunch.indices)
        if self._pass.waiting >= self._pass.most:
            self._step([i for i, p in enumerate(self._laid.params) if self._waits(p)])

    def _waits(self, param: Any) -> bool:
        """Whether a gradient came in this pass."""
        hook, _ = self.hooks.get(id(param), (None, None))
        return hook is not None and hook.number == self._pass.number

    def _join(self, index: int, nbytes: int) -> None:
        """Has a parameter that is in no bunch wait for others, or be one."""
        if nbytes >= BUNCH:
            self._step([index])
            return
        if nbytes > self._room:
            self._step(self._new)
        self._new.append(index)
        self._room -= nbytes

    def _begin(self, number: int) -> None:
        """At the first gradient of a pass. Raises RuntimeError for one that no step can be made in."""
        if torch.is_grad_enabled():
            raise RuntimeError("step_in_backward: expected a backward pass without create_graph=True, whose graph is of the old parameters")
        if _within_another():
            raise RuntimeError(
                "step_in_backward: expected a backward pass that is not within another one, as a weight that is used in both would be "
                "stepped twice; torch.utils.checkpoint begins none with use_reentrant=False"
            )
        self._look()
        _at_the_end(partial(self._end, number))
        self._pass.stepping = self._made + 1 == self.accumulate
        self._start()
        self._pass.number = number

    def _look(self) -> None:
        """Follows what was written into groups and states since the last pass. Raises TypeError or ValueError."""
        optimizer = self.optimizer
        if optimizer.max_norm is not None:
            refuse_norm()
        laid = optimizer._laid
        if laid is None or not laid.stands(optimizer.param_groups, optimizer.state):
            laid = optimizer._lay_out()
        if laid is not self._laid:
            self._lay(laid)
        values = [followed.values for followed in laid.followed]
        if any({**now, "lr": 0.0} != {**then, "lr": 0.0} for now, then in zip(values, self._values, strict=True) if now is not then):
            self._bunches.unbind()
        self._values = values

    def _lay(self, laid: Any) -> None:
        for hook, _ in self.hooks.values():
            hook.arrivals = None
        self.watch(laid.params)
        for p in laid.params:
            if id(p) in self.hooks:
                self.hooks[id(p)][0].nbytes = p.nbytes
        self._new, self._room, self._pass.waiting = [], BUNCH, 0
        self._bunches, self._laid, self._values = Bunches(laid), laid, [followed.values for followed in laid.followed]

    def _start(self) -> None:
        """Begins a step."""
        norm, limit = self.grad_norm, self.max_norm
        self._sums = None if limit is None else np.zeros(self._laid.plan._blocks)
        self._clip = 1.0 if norm is None or limit is None else factor(norm, limit)
        self._new, self._room, self._pass.waiting = [], BUNCH, 0
        self._pass.quick = limit is None and self.clip_value is None

    def _step(self, indices: Sequence[int]) -> None:
        """Steps those of these parameters that have a gradient."""
        try:
            self._step_bunches(indices)
        except MovedError:  # those that wait beside them are found at the end of the pass
            params = [self._laid.params[i] for i in indices]
            self.forget()
            self._lay(self.optimizer._lay_out())
            self._step_bunches([self._bunches.index[id(p)] for p in params])

    def _step_bunches(self, indices: Sequence[int]) -> None:
        params = self._laid.params
        gradients = {i: params[i].grad for i in indices}
        there = [i for i in indices if gradients[i] is not None]
        self._form([i for i in there if self._bunches.of[i] is None])
        bunches = {id(bunch): bunch for bunch in (self._bunches.of[i] for i in there)}
        for bunch in bunches.values():
            bunch.arrivals.unbind()
            bunch.step([gradients.pop(i, None) for i in bunch.indices], self._clip, self.clip_value, self._sums)
            bunch.arrivals.stepped(self._pass)
            quick = bunch.quick
            if quick is not None:
                bunch.arrivals.bind(*quick)

    def _form(self, indices: Sequence[int]) -> None:
        """Makes bunches of parameters that are in none: of one that is large, and of small ones that follow on each other."""
        params = self._laid.params
        for hooked in (True, False):  # one without a hook does not say when it is there, and is in no bunch with those that do
            part, room = list[int](), BUNCH
            for i in indices:
                if (id(params[i]) in self.hooks) is not hooked:
                    continue
                if part and params[i].nbytes > room:
                    self._put(part)
                    part, room = [], BUNCH
                part.append(i)
                room -= params[i].nbytes
            if part:
                self._put(part)
        if any(self._bunches.of[i] is not None for i in self._new):
            self._new, self._room = [], BUNCH

    def _put(self, indices: Sequence[int]) -> None:
        """Into a bunch."""
        bunch: Bunch
        bunch, calls = self._bunches.form(indices)
        arrivals, number = bunch.arrivals, self._pass.number
        for p in bunch.params:
            if id(p) not in self.hooks:
                continue
            hook, _ = self.hooks[id(p)]
            calls.append(partial(setattr, hook, "arrivals", arrivals))
            if hook.number == number:
                arrivals.missing -= 1
                arrivals.waiting += hook.nbytes
        arrivals.number = number
        uninterrupted(calls)

    @in_turn
    def _end(self, number: int) -> None:
        """At the end of a pass."""
        if number != self._pass.number:
            return
        stepping = self._pass.stepping
        if stepping:
            self._finish()
        self._pass.number = NONE
        self._made = 0 if stepping else self._made + 1

    def _finish(self) -> None:
        """Steps what has a gradient still: what waits, what had its own in an earlier pass, and what was frozen when last seen."""
        gradients = looks.gradients(self._laid.params)
        there = [i for i, gradient in enumerate(gradients) if gradient is not None]
        del gradients
        if there:
            self._step(there)
        states = self._laid.states
        states.sum = states.counts.tobytes(), states.remembered.tobytes()
        self.grad_norm = None if self._sums is None else math.sqrt(total(self._sums))
        self.optimizer._opt_called = True  # which schedules ask for

    @in_turn
    def step(self) -> None:
        """Makes a step on what gradients there are, and counts passes anew."""
        self._look()
        self._start()
        self._finish()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Counts passes from 0."""
        self._pass.number, self._made = NONE, 0

    @in_turn
    def stop(self) -> None:
        """Takes the hooks off."""
        for _, handle in self.hooks.values():
            handle.remove()
        self.hooks.clear()
        self.begin_anew()
        self.forget()

    def forget(self) -> None:
        """Has the optimizer lay out anew what was stepped here: its own slots have not counted along."""
        if self._laid is not None:
            self._laid.states.sum = ()
        self._laid = None
