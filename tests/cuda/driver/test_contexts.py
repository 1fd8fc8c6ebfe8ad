"""Calls from threads that stand on any device, or on none."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastopt
from fastopt.cuda.memory import from_host, to_host


def test_a_thread_without_a_context_and_one_with_another(emulated: Any) -> None:
    """The calling thread's context is used where it fits, set where it does not, and left as it was."""
    p, g = from_host(np.ones(5, np.float32)), from_host(np.ones(5, np.float32))
    optimizer = fastopt.SGD(p, lr=0.5)
    for context in (0, 4096, 12345):
        emulated.context = context
        optimizer.step(g)
        assert emulated.context == context
        to_host(p)
        assert emulated.context == context
    emulated.context = 0
    assert (to_host(p) == -0.5).all()
