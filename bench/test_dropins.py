"""The drop-ins beside the libraries whose interfaces they have (`bench.dropins`)."""

from __future__ import annotations

from typing import Any

import pytest

from .dropins import Work, works
from .interleave import interleave
from .records import Row, row_of
from .replay import Figures, replayed

BUDGET = {"smoke": 0.0, "quick": 2.0, "full": 8.0}
"""Seconds of timing a cell."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cells = [
        pytest.param(label, work, name, id=f"{label}-{name}".replace(" ", ""))
        for label, work in works(metafunc.config.getoption("--profile")).items()
        for name in work.makers
    ]
    metafunc.parametrize(("label", "work", "contender"), cells)


@replayed
def test_drop_in(benchmark: Any, figures: Figures, profile: str, threads: int, label: str, work: Work, contender: str) -> None:
    figures.hand_over(benchmark, f"drop-ins: {label}", contender, lambda: _measured(BUDGET[profile], threads, label, work))


def _measured(budget: float, threads: int, label: str, work: Work) -> Row:
    rounds = interleave({name: make(threads) for name, make in work.makers.items()}, budget)
    return row_of(rounds, group="drop-ins", label=label, elements=work.elements, unit=work.unit, threads=threads)
