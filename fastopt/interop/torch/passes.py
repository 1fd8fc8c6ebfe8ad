"""Backward passes in which parameters are stepped: where one begins and ends, and what is looked at and done then.

torch tells of a gradient (a post-accumulate hook) and of the end of a pass (a callback of its engine's); that another one began is seen by
its number. What stands in groups and states is followed at the first gradient of a pass.
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
from fastopt.interop.torch.dropin import DropIn
from fastopt.interop.torch.hooks import Hook, Pass
from fastopt.interop.torch.single import Single, singles
from fastopt.interop.torch.tensors import MovedError
from fastopt.optimizers.turns import in_turn

__all__ = ["Passes", "refuse_norm"]

NONE = -1
"""No backward pass; torch counts them from 0."""

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
        self._pass: Any = Pass(self._turn)
        self._made, self._stepping = 0, False
        self._laid: Any = None
        self._values: list[dict[str, Any]] = []
        self._singles: dict[int, Single] = {}
        self._clip = 1.0
        self._sums: Any = None

    def watch(self, params: Sequence[Any]) -> None:
        """Asks to be told of the gradients of these; one that is frozen is looked for at the end of each pass."""
        for p in params:
            if id(p) not in self.hooks and p.requires_grad:
                hook = Hook(self._pass, _current, _increment_version, self._arrived)
                self.hooks[id(p)] = hook, p.register_post_accumulate_grad_hook(hook)

    def _arrived(self, param: Any) -> None:
        """A gradient is there, and was not stepped in compiled code."""
        number = _current()
        if number != self._pass.number or self._stepping:
            self._take(param, number)

    @in_turn
    def _take(self, param: Any, number: int) -> None:
        if number != self._pass.number:
            self._begin(number)
        if self._stepping and id(param) in self._singles:
            self._step(param)

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
        self._stepping = self._made + 1 == self.accumulate
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
            for single in self._singles.values():
                single.slot.bound_for = None
        self._values = values

    def _lay(self, laid: Any) -> None:
        found = {id(single.param): single for single in singles(laid)}
        for hook, _ in self.hooks.values():
            hook.unbind()
        self._singles, self._laid, self._values = found, laid, [followed.values for followed in laid.followed]
        self.watch(laid.params)

    def _start(self) -> None:
        """Begins a step."""
        norm, limit = self.grad_norm, self.max_norm
        self._sums = None if limit is None else np.zeros(self._laid.plan._blocks)
        self._clip = 1.0 if norm is None or limit is None else factor(norm, limit)
        self._pass.quick = self._stepping and limit is None and self.clip_value is None

    def _step(self, param: Any) -> None:
        gradient = param.grad
        if gradient is None:  # another hook took it
            return
        try:
            self._step_single(param, gradient)
        except MovedError:
            self.forget()
            self._lay(self.optimizer._lay_out())
            self._step_single(param, gradient)

    def _step_single(self, param: Any, gradient: Any) -> None:
        single = self._singles[id(param)]
        single.step(gradient, self._clip, self.clip_value, self._sums)
        quick = single.quick
        if quick is not None and id(param) in self.hooks:
            self.hooks[id(param)][0].bind(*quick)

    @in_turn
    def _end(self, number: int) -> None:
        """At the end of a pass."""
        if number != self._pass.number:
            return
        self._pass.number = NONE
        if self._stepping:
            self._finish()
        self._made = 0 if self._stepping else self._made + 1

    def _finish(self) -> None:
        """Steps what has a gradient still: parameters that had theirs in an earlier pass, or that were frozen when last seen."""
        for p, gradient in zip(self._laid.params, looks.gradients(self._laid.params), strict=True):
            if gradient is not None:
                self._step(p)
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
