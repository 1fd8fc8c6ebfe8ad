"""A watch over a running training: says at each step whether it has diverged, and of what."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments
from fastopt.rules.domain import FLAG, describe
from fastopt.storage import STORAGES
from fastopt.structure import Structure
from fastopt.training.verdict import Diverged, Verdict

__all__ = ["DivergenceDetector", "gradients_of", "limit"]

KEYS = ("observed", "first", "best", "recent", "cosines")

SHARE_OF_FIRST = 0.1
"""A best loss near 0 would make every ripple a divergence: the factor counts from a tenth of the first loss, if that is more."""


def limit(first: float, best: float, factor: float) -> float:
    """The loss beyond which a run has diverged: best + factor max(|best|, |first| / 10)."""
    return best + factor * max(abs(best), SHARE_OF_FIRST * abs(first))


class DivergenceDetector:
    """Looks at the loss of each step, and at the gradients where they are given, for signs that training has diverged.

    Signs, in this order; the first one found is the cause:

    - **non-finite loss**: it is a NaN or an infinity;
    - **non-finite gradient**: an element is, though the loss is not;
    - **loss beyond the best**: loss > best + factor max(|best|, |first| / 10);
    - **growing oscillation**: for `window` steps the loss went up and down in turns, each time farther than before;
    - **growing loss**: for `window` steps it has grown, by more each time, and is above the first one. If the gradients are given, and
      point against each other from step to step, the cause says that each step crosses the minimum and lands beyond.

    Parameters
    ----------
    factor
        > 0. How far above the best is too far.
    window
        >= 3 steps; None does without the last two signs.
    raises
        Raise `Diverged` instead of answering.

    Losses should be of the same data from step to step, or averages; on mini-batches the last two signs are as good as never seen by chance
    (once in 8! ways at a window of 8), and `factor` has to be above what one mini-batch may differ from another.

    Examples
    --------
    >>> detector = fastopt.training.DivergenceDetector()
    >>> [detector.check(loss) for loss in (1.0, 0.5)]
    [None, None]
    >>> print(detector.check(float("nan")))
    diverges: non-finite loss: nan at step 2, after 0.5 (the first was 1, the best 0.5)
    """

    def __init__(self, factor: float = 10.0, window: int | None = 8, *, raises: bool = False) -> None:
        self._factor = arguments.positive(factor, "factor")
        self._window = None if window is None else arguments.whole_number(window, "window", 3)
        self._raises = FLAG.checked(raises, "raises")
        self._observed = 0
        self._first = self._best = math.nan
        length = 1 if self._window is None else self._window + 1
        self._recent: deque[float] = deque(maxlen=length)
        self._cosines: deque[float] = deque(maxlen=length)
        self._gradient: list[NDArray[Any] | None] | None = None

    def check(self, loss: float, grads: Any = None) -> Verdict | None:
        """Takes the loss of one step, before its update, and answers what is wrong, or None.

        Parameters
        ----------
        loss
            A number.
        grads
            The gradients of the step: NumPy arrays in any structure, None where a parameter has none. They are read, and copied until
            the next step.

        Raises `Diverged` instead, if it was built to; TypeError or ValueError for what is no number or no array.
        """
        loss = arguments.any_number(loss, "loss")
        labels, arrays = gradients_of(grads)
        found = self._found(loss, labels, arrays)
        self._observed += 1
        if found is not None and self._raises:
            raise Diverged(found)
        return found

    def _found(self, loss: float, labels: Any, arrays: list[NDArray[Any] | None]) -> Verdict | None:
        step = self._observed
        last = self._recent[-1] if self._recent else math.nan
        evidence = {"step": float(step), "loss": loss, "last": last, "best": self._best, "first": self._first}
        if not math.isfinite(loss):
            return Verdict("diverges", f"non-finite loss: {loss} at step {step}, {self._before(last)}", evidence)
        for i, array in enumerate(arrays):
            if array is not None and not np.isfinite(array).all():
                bad = array[~np.isfinite(array)].flat[0]
                why = "; float16 ends at 65504: scale the loss down" if array.dtype == np.float16 else ""
                words = f"non-finite gradient: {labels[i]} has {bad} at step {step}, where the loss is {loss:g}{why}"
                return Verdict("diverges", words, evidence)
        if not self._recent:
            self._first = self._best = loss
        self._recent.append(loss)
        if arrays:
            self._compare(arrays)
        self._best = min(self._best, loss)
        most = limit(self._first, self._best, self._factor)
        if loss > most:
            words = f"loss beyond the best: {loss:g} at step {step}, where {most:g} is the most beside a best of {self._best:g}"
            return Verdict("diverges", words, {**evidence, "limit": most})
        return self._growing(evidence)

    def _before(self, last: float) -> str:
        if math.isnan(last):
            return "the first one: of the data or the initial parameters, not of the learning rate"
        grew = f", grown from {self._first:g}: the learning rate is too high" if last > self._first else ""
        return f"after {last:g}{grew} (the first was {self._first:g}, the best {self._best:g})"

    def _growing(self, evidence: dict[str, float]) -> Verdict | None:
        if self._window is None or len(self._recent) <= self._window:
            return None
        changes = [after - before for before, after in pairwise(self._recent)]
        if not all(abs(after) > abs(before) for before, after in pairwise(changes)):
            return None
        ratio = abs(changes[-1] / changes[0]) ** (1.0 / (len(changes) - 1))
        evidence = {**evidence, "growth": ratio}
        if all(before * after < 0.0 for before, after in pairwise(changes)):
            words = f"growing oscillation: for {self._window} steps up and down in turns, each time by {ratio:.3g} times as much"
            return Verdict("diverges", f"{words}; the learning rate is too high", evidence)
        if changes[0] > 0.0 and changes[-1] > 0.0 and min(changes) > 0.0 and self._recent[-1] > self._first:
            words = f"growing loss: for {self._window} steps, each time by {ratio:.3g} times as much, and above the first"
            cosines = list(self._cosines)[-self._window :]
            if len(cosines) == self._window and max(cosines) < 0.0:
                evidence = {**evidence, "cosine": sum(cosines) / len(cosines)}
                words += "; gradients point against the last one's at each step: it crosses the minimum and lands beyond (overshooting)"
            return Verdict("diverges", f"{words}; the learning rate is too high", evidence)
        return None

    def _compare(self, arrays: list[NDArray[Any] | None]) -> None:
        """The cosine of these gradients and the last ones."""
        before = self._gradient
        self._gradient = [None if array is None else array.astype(np.float64) for array in arrays]
        if before is None or len(before) != len(arrays):
            return
        both = [(a, b) for a, b in zip(before, self._gradient, strict=True) if a is not None and b is not None and a.shape == b.shape]
        product, old, new = (
            sum(float(np.vdot(x, y)) for x, y in pairs) for pairs in (both, [(a, a) for a, _ in both], [(b, b) for _, b in both])
        )
        norms = math.sqrt(old) * math.sqrt(new)
        self._cosines.append(product / norms if norms > 0.0 else 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Everything that it takes to go on, but for the last gradients, from which one cosine would follow."""
        values = (self._observed, self._first, self._best, list(self._recent), list(self._cosines))
        return dict(zip(KEYS, values, strict=True))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave; arguments stay those of the constructor. Raises TypeError or ValueError, nothing changed."""
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(KEYS):
            received = list(state_dict) if isinstance(state_dict, Mapping) else describe(state_dict)
            raise ValueError(f"state_dict: expected a mapping with {', '.join(KEYS)}; received {received}")
        observed = arguments.whole_number(state_dict["observed"], "state_dict['observed']", 0)
        first, best = (arguments.any_number(state_dict[name], f"state_dict[{name!r}]") for name in ("first", "best"))
        recent, cosines = (arguments.series(state_dict[name], f"state_dict[{name!r}]", 0).tolist() for name in ("recent", "cosines"))
        self._observed, self._first, self._best, self._gradient = observed, first, best, None
        self._recent, self._cosines = deque(recent, self._recent.maxlen), deque(cosines, self._cosines.maxlen)


def gradients_of(grads: Any) -> tuple[Any, list[NDArray[Any] | None]]:
    """What the gradients are called, and the gradients. Raises TypeError for one that is no array in host memory."""
    if grads is None:
        return (), []
    structure, found = Structure.of(grads, "grads")
    labels = structure.labels("grads")
    for i, array in enumerate(found):
        if array is not None and not (isinstance(array, np.ndarray) and array.dtype.name in STORAGES):
            raise TypeError(f"{labels[i]}: expected a NumPy array of {arguments.KINDS}, or None; received {describe(array)}")
    return labels, found
