"""What a step does that one compiled call does not make: schedules, clipping, a look at the gradients, sums of several of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastopt import arguments, memory
from fastopt.global_norm import factor
from fastopt.optimizers.accumulation import Accumulation
from fastopt.optimizers.following import Following
from fastopt.optimizers.turns import in_turn
from fastopt.uninterrupted import uninterrupted

__all__ = ["Stepping"]


class Stepping(Following):
    """Steps on what an optimizer holds."""

    @in_turn
    def _step(self, gradients: list[Any], grad_scale: float, max_norm: float | None, stream: Any) -> bool:
        """A step that one compiled call does not make."""
        if self._scheduled:
            self._follow()
        limit = self._max_norm if max_norm is None else arguments.max_norm(max_norm)
        if self._accumulation is None:
            return self._update(gradients, grad_scale, limit, stream)
        if self._accumulation.complete:  # an interrupt came before the step was made
            self._update_by(self._accumulation, limit, stream)
        return self._accumulated(self._accumulation, gradients, grad_scale, limit, stream)

    def _accumulated(self, sums: Accumulation, gradients: list[Any], grad_scale: float, limit: float | None, stream: Any) -> bool:
        """Adds the gradients to those before; and where there are enough, makes a step."""
        taken = sums.take(gradients, grad_scale, stream)
        if self._nonfinite != "propagate" and not self._accepted(gradients, partial(sums.all_finite, taken)):
            sums.skip(gradients)
            return False
        sums.add(gradients, grad_scale, taken)
        return sums.complete and self._update_by(sums, limit, stream)

    def _update_by(self, sums: Accumulation, limit: float | None, stream: Any) -> bool:
        """A step on the mean of the gradients; the next ones begin a new sum, whether it is made, skipped or refused."""
        try:
            return self._update(sums.gradients(), sums.means_of, limit, stream, sums.restarting())
        except FloatingPointError:
            uninterrupted(sums.restarting())
            raise

    def _update(
        self, gradients: list[Any], grad_scale: float, limit: float | None, stream: Any, also: Sequence[Callable[[], Any]] = ()
    ) -> bool:
        """A step on these gradients, and calls that are made with it."""
        plan = self._plan
        plan.take(gradients, stream)
        clip = 1.0
        if limit is not None or not self._plain:
            found = self._looked_at(gradients, grad_scale, limit)
            if found is None:
                plan.skip(gradients)
                uninterrupted(also)
                return False
            clip = found
        plan.run(gradients, grad_scale, clip, also)
        return True

    def _looked_at(self, gradients: list[Any], grad_scale: float, max_norm: float | None) -> Any:
        """What the gradients are to be multiplied by, or None if the step is to be skipped. Raises FloatingPointError."""
        if self._memory is not memory.host and max_norm is not None:  # a device clips by itself, and is not waited for
            self._grad_norm = clip = self._plan.clip(grad_scale, max_norm)
            return clip
        others = self._others
        norm = None if max_norm is None else self._plan.norm(gradients, None if others is None else others.sums)
        # a finite sum of squares has finite parts, an infinite one may have
        looks = self._nonfinite != "propagate" and not (norm is not None and np.isfinite(norm))
        if looks and not self._accepted(gradients, partial(self._plan.all_finite, gradients)):
            return None
        if norm is None or max_norm is None:
            return 1.0
        self._grad_norm = norm = norm / grad_scale
        return factor(norm, max_norm)

    def _accepted(self, gradients: list[Any], all_finite: Callable[[], bool]) -> bool:
        """Whether all gradients are finite, here and elsewhere. Raises FloatingPointError if not, where that is asked for."""
        bad = None if all_finite() else next(i for i, g in enumerate(gradients) if g is not None and not np.isfinite(np.asarray(g)).all())
        if self._others is not None:
            bad = self._others.first(bad)
        if bad is None:
            return True
        if self._nonfinite == "skip":
            return False
        raise FloatingPointError(f"{self._structure.label(bad, 'grads')}: expected finite values, received an infinity or a NaN")
