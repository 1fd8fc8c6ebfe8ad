"""Early stopping: when a loss has not become better for a while, and what the parameters were when it was best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastopt import arguments
from fastopt.rules.domain import describe
from fastopt.training.snapshot import ArrayCopies

__all__ = ["EarlyStopping"]

MODES = ("min", "max")
KEYS = ("observed", "best", "best_step", "waited", "kept")


class EarlyStopping:
    """Says when to stop: after `patience` observations in a row that were no improvement.

    Parameters
    ----------
    patience
        >= 1.
    min_delta
        How much better an observation has to be than the best, to count as an improvement. Finite and >= 0; 0 is any better.
    mode
        "min" for a loss, "max" for an accuracy.
    keep
        An optimizer of fastopt's or PyTorch's, or arrays in a structure: at each improvement its parameters are copied, and `restore_best`
        puts the best ones back in place. None keeps nothing.

    A NaN is never an improvement. (Prechelt, Early stopping - but when?, 1998. Keras counts alike; PyTorch's `ReduceLROnPlateau` waits for
    one observation more than its patience.)

    Examples
    --------
    >>> stopping = fastopt.training.EarlyStopping(patience=2)
    >>> [stopping.observe(loss) for loss in (3.0, 1.0, 2.0, 1.0)]
    [False, False, False, True]
    >>> stopping.best, stopping.best_step
    (1.0, 1)
    """

    def __init__(self, patience: int, min_delta: float = 0.0, mode: str = "min", *, keep: Any = None) -> None:
        self._patience = arguments.whole_number(patience, "patience", 1)
        self._min_delta = arguments.number(min_delta, "min_delta")
        self._mode = arguments.choice(mode, "mode", MODES)
        self._arrays = None if keep is None else ArrayCopies(keep, "keep")
        self._observed, self._waited = 0, 0
        self._best: float | None = None
        self._best_step: int | None = None

    def observe(self, value: float) -> bool:
        """Takes the loss (or accuracy) of one more evaluation; True where it is time to stop. Raises TypeError for what is no number."""
        value = arguments.any_number(value, "value")
        if self._improves(value):
            if self._arrays is not None:
                self._arrays.take()
            self._best, self._best_step, self._waited = value, self._observed, 0
        else:
            self._waited += 1
        self._observed += 1
        return self.stopped

    def _improves(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self._best is None:
            return True
        return value < self._best - self._min_delta if self._mode == "min" else value > self._best + self._min_delta

    @property
    def stopped(self) -> bool:
        """Whether it is time to stop."""
        return self._waited >= self._patience

    @property
    def best(self) -> float | None:
        """The best observation; None before the first that is a number."""
        return self._best

    @property
    def best_step(self) -> int | None:
        """Which observation that was, counted from 0."""
        return self._best_step

    @property
    def waited(self) -> int:
        """How many observations there have been since."""
        return self._waited

    @property
    def reason(self) -> str | None:
        """Why to stop, in words; None as long as it goes on."""
        if not self.stopped:
            return None
        if self._best is None:
            return f"none of {self._observed} observations was a number"
        better = f"better than {self._best:g}" + (f" by more than {self._min_delta:g}" if self._min_delta else "")
        return f"{self._waited} observations in a row were not {better}, the one at step {self._best_step}"

    def restore_best(self) -> None:
        """Writes the parameters as they were at the best observation back in place.

        An optimizer's states are left as they are: training ends here. Raises ValueError where nothing is kept, or nothing was observed.
        """
        if self._arrays is None:
            raise ValueError("restore_best: expected `keep` to name what is to be kept, received None")
        if self._arrays.copies is None:
            raise ValueError("restore_best: expected an observation that is a number before, received none")
        self._arrays.put_back()

    def state_dict(self) -> dict[str, Any]:
        """Everything that it takes to go on: counts, the best, and copies of the parameters kept (a list; None where there are none)."""
        kept = None if self._arrays is None else self._arrays.copied()
        return dict(zip(KEYS, (self._observed, self._best, self._best_step, self._waited, kept), strict=True))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave; the arguments stay those of the constructor.

        Raises TypeError or ValueError, with nothing changed, for what does not fit.
        """
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(KEYS):
            received = list(state_dict) if isinstance(state_dict, Mapping) else describe(state_dict)
            raise ValueError(f"state_dict: expected a mapping with {', '.join(KEYS)}; received {received}")
        observed, waited = (arguments.whole_number(state_dict[name], f"state_dict[{name!r}]", 0) for name in ("observed", "waited"))
        best, best_step = state_dict["best"], state_dict["best_step"]
        if (best is None) != (best_step is None):
            raise ValueError(f"state_dict['best_step']: expected None beside a best of None and only then, received {describe(best_step)}")
        if best is not None:
            best, best_step = (
                arguments.any_number(best, "state_dict['best']"),
                arguments.whole_number(best_step, "state_dict['best_step']", 0),
            )
        if waited != observed - (0 if best_step is None else best_step + 1):
            raise ValueError(f"state_dict['waited']: expected the observations after the best, of {observed} in all; received {waited}")
        if self._arrays is not None:
            if (state_dict["kept"] is None) != (best is None):
                raise ValueError("state_dict['kept']: expected copies beside a best and only then")
            self._arrays.take_over(state_dict["kept"], "state_dict['kept']")
        elif state_dict["kept"] is not None:
            raise ValueError("state_dict['kept']: expected None, as `keep` is None; received copies")
        self._observed, self._best, self._best_step, self._waited = observed, best, best_step, waited

    def __repr__(self) -> str:
        return f"<EarlyStopping: best {self._best} at {self._best_step}, waited {self._waited} of {self._patience}>"
