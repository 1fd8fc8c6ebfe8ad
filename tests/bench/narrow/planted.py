"""Trainings that nobody made: what a page says of them is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import pytest

from bench.narrow import curves, runs, training
from bench.narrow.effort import Effort
from bench.narrow.runs import SETS, Ending, Job

EFFORT = Effort(sizes=(1_000,), seconds=0.01, seeds=2, length=1.0, steps=20, processes=1)

FLOAT32 = {"digits": 0.1, "digits by heart": 0.001, "photograph": 0.02, "characters": 2.0}
"""The final losses of seed 0; each further seed's is a tenth larger."""

HELD = {"digits": 4.5}
"""Bytes of states a parameter; 4 in the others."""


def plant(monkeypatch: pytest.MonkeyPatch, percent: Mapping[str, tuple[float, float]]) -> None:
    """Puts runs in the place of the real ones: how far each storage's two seeds are from float32's, in percent and in every task.

    Storages that are not named end as float32 does.
    """
    made = {}
    for of, own in SETS.items():
        for task, given in product(own.tasks(), own.storages()):
            for seed, away in enumerate(percent.get(given.label, (0.0, 0.0))):
                final = FLOAT32[task] * (1.0 + seed / 10.0) * (1.0 + away / 100.0)
                ending = Ending(final, HELD.get(task, 4.0), np.array([50, 100]), np.array([3.0 * final, final]))
                made[Job(task, given.label, seed, 1.0, of)] = ending
    for module in (runs, training, curves):
        monkeypatch.setattr(module, "endings", lambda effort, of="states": made)
