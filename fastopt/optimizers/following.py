"""How an optimizer follows schedules: before a step the values of that step are set, and whoever reads them is told these.

Values follow from the number of steps made, and nothing is added up. So a step that fails, is skipped or interrupted leaves nothing to be
undone, and a run that goes on somewhere else has the same ones.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

from fastopt import arguments
from fastopt.optimizers import scheduled
from fastopt.optimizers.saving import Saving
from fastopt.optimizers.turns import in_turn
from fastopt.schedules.plateau import loss_of
from fastopt.schedules.schedule import Schedule
from fastopt.uninterrupted import uninterrupted

__all__ = ["Following"]


class Following(Saving):
    """The learning rate, and schedules for it and for every other argument that is a number."""

    @property
    def lr(self) -> float:
        """The learning rate of the next step; may be set between steps, to a number or a schedule, and is then that of all groups.

        Raises AttributeError where groups have different ones.
        """
        rates = [self._value_of(share, "lr") if self._scheduled else share.settings.lr for share in self._shares]
        if any(rate != rates[0] for rate in rates):
            raise AttributeError("lr: the groups have different ones; see groups[i].lr")
        return float(rates[0])

    @lr.setter
    def lr(self, value: float | Schedule) -> None:
        if self._scheduled or isinstance(value, Schedule):
            self._configure(range(len(self._shares)), {"lr": value})
            return
        rate = arguments.number(value, "lr")
        uninterrupted(call for share in self._shares for call in share.settings.learning_at(rate))

    @property
    def schedules(self) -> dict[str, Any]:
        """The arguments that follow schedules (in the first group), by name: a schedule, or a tuple with some among its numbers."""
        return dict(self._shares[0].schedules)

    @in_turn
    def observe(self, loss: float) -> bool:
        """Tells every schedule a loss, for those that go by it (`fastopt.schedules.Plateau`); returns whether there is one.

        Raises TypeError for what is no number.
        """
        loss = loss_of(loss)
        parts = [part for share in self._shares for given in share.schedules.values() for part in scheduled.parts(given)]
        if not any(part.observes for part in parts):
            return False
        changed = [share.observing(loss) for share in self._shares]
        uninterrupted([partial(self.__dict__.update, self._holds(changed))])
        return True

    def _step_at_rate(self, gradients: list[Any], grad_scale: float) -> bool:
        """A step in one compiled call, where the learning rate is all that follows a schedule; whether it was made, or has to be looked at.

        Nothing is set for it, and the call is not made where the slot has moved on: so who else steps meanwhile changes no rate under it.
        """
        turn = self._turn
        at_once = turn.at_once
        rate = self._rate  # after that: whoever takes another schedule takes another `at_once` too
        if rate is None or at_once is None:
            return False
        run, _, slot = at_once
        settings, before = slot.settings, slot.steps  # before the steps of all are looked at: who steps in between has moved it on
        lr = rate.at(turn.steps)
        if lr.__class__ is not float or not 0.0 <= lr < math.inf:
            return False
        scalars, remembered = slot.ahead_at(lr)
        factor, decay = settings.direction / grad_scale, settings.decay_at(lr)
        return bool(run(turn, at_once, gradients, scalars, factor, decay, before, before + 1, remembered))

    def _follow(self, *, captured: bool = False) -> None:
        """Sets what the schedules say of the coming step. Raises ValueError, with everything as it was, for a value that cannot be used.

        If the step was captured, in a CUDA graph, its kernels cannot be replaced: RuntimeError.
        """
        steps = self._turn.steps
        calls, changed, bound = [], [], []
        for share in self._shares:
            now, settings = share.moved(steps), share.settings
            if all(share.settled.values[name] == value for name, value in now.items() if name != "lr"):
                calls += settings.learning_at(now.get("lr", settings.lr))
                changed.append(share)
                continue
            new = share.at(steps, now)
            if new.settings.stages != settings.stages:
                self._follow_to_another_kernel(steps, captured=captured)
                return
            calls += settings.becoming(new.settings)  # not others in their place: all slots would have to be looked through
            changed.append(replace(new, settled=replace(new.settled, settings=settings)))
            bound += [slot for slot in self._plan.active if slot.settings is settings]
        calls += [partial(setattr, slot, "bound_for", None) for slot in bound]
        uninterrupted([*calls, partial(self.__dict__.update, _shares=changed)])

    def _follow_to_another_kernel(self, steps: int, *, captured: bool) -> None:
        if captured:
            raise RuntimeError(
                f"weight_decay: expected a schedule that is 0 at all steps of a captured graph or at none; after {steps} steps it changes"
            )
        self._apply([share.at(steps) for share in self._shares])
