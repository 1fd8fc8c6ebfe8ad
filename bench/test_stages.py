"""Stages of a step, beside their bytes (`bench.stages`).

The array is so large that memory is what takes the time. A stage costs its bytes where the time of the step goes with those.
"""

from __future__ import annotations

from typing import Any

import pytest

from .replay import Figures, replayed
from .stages import BESIDE, OPTIONS, measured

SIZES = {"smoke": 1_000, "quick": 16_000_000, "full": 64_000_000}
BUDGET = {"smoke": 0.0, "quick": 3.0, "full": 12.0}
"""Seconds of timing."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("contender", [*OPTIONS, *BESIDE])


@replayed
def test_stages(benchmark: Any, figures: Figures, profile: str, threads: int, contender: str) -> None:
    figures.hand_over(benchmark, "stages", contender, lambda: measured(SIZES[profile], BUDGET[profile], threads))
