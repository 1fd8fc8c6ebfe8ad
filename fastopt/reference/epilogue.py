"""What comes after every rule, as plain NumPy."""

from __future__ import annotations

import numpy as np

from fastopt.reference.operations import Array, zero

__all__ = ["finished"]


def finished(
    p: Array, *states: Array, ema: Array | None = None, ema_decay: float | None = None, flush_denormals: bool = False
) -> tuple[Array, ...]:
    """The parameter and the states as a step leaves them, and behind them the parameter's moving average where there is one.

    With `flush_denormals`, no state and no average has a denormal number or a -0.
    """
    if ema is not None and ema_decay is not None:
        states = (*states, ema_decay * ema + (1.0 - ema_decay) * p)
    if flush_denormals:
        states = tuple(np.where(np.abs(state) < np.finfo(state.dtype).tiny, zero(state), state) for state in states)
    return p, *states
