"""Training on real data over mini-batch sizes and widths (`bench.training` says how it is measured).

The network of most cells is plain. Those of the sweep "parts" have batch normalization, dropout and L2 (`bench.layered`), at
mini-batches of 64, beside the plain cells of the same widths: in a step that does more, the update is less of it.
"""

from __future__ import annotations

from typing import Any

import pytest

from .ours import REFERENCE
from .replay import Figures, replayed
from .training import ALL_ROWS, PARTS, Cell, Effort, contenders, measured


def _batches(workload: str, hidden: tuple[int, ...], *batches: int) -> list[Cell]:
    return [Cell(workload, hidden, batch) for batch in batches]


def _widths(*widths: int) -> list[Cell]:
    """Neighbours in width of the digits' cells at batch 16."""
    return [Cell("digits", (width, width), 16, sweep="width") for width in widths]


def _of_all_parts(*widths: int) -> list[Cell]:
    """Beside the digits' plain cells at batch 64."""
    return [Cell("digits", (width, width), 64, sweep=PARTS) for width in widths]


SMOKE = [Cell("digits", (128, 128), 16), Cell("china", (64, 64), 1024), *_of_all_parts(64)]
QUICK = [
    *_batches("digits", (128, 128), 1, 16, 64, 256, ALL_ROWS),
    *_batches("digits", (512, 512), 1, 4, 16, 64, 256, ALL_ROWS),
    *_widths(32, 1024),
    *_of_all_parts(512),
    *_batches("china", (64, 64), 1, 64, 1024, 16384, ALL_ROWS),
]
FULL = [
    *_batches("digits", (128, 128), 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, ALL_ROWS),
    *_batches("digits", (512, 512), 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, ALL_ROWS),
    *_widths(32, 64, 256, 1024, 2048),
    *_of_all_parts(32, 128, 512, 1024),
    *_batches("china", (64, 64), 1, 16, 64, 256, 1024, 4096, 16384, 65536, ALL_ROWS),
    *_batches("china", (256, 256), 1, 16, 64, 256, 1024, 4096, 16384, 65536, ALL_ROWS),
]
EFFORTS = {
    "smoke": Effort(SMOKE, set(), seconds=0.1, rounds=3),
    "quick": Effort(QUICK, {cell for cell in QUICK if cell.batch in (16, 1024)}, seconds=2.4, rounds=12),
    "full": Effort(FULL, set(FULL), seconds=12.0, rounds=30),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    effort = EFFORTS[metafunc.config.getoption("--profile")]
    pairs = [
        pytest.param(cell, name, id=f"{cell}-{name}") for cell in effort.cells for name in contenders(every=cell in effort.every_backend)
    ]
    metafunc.parametrize(("cell", "contender"), pairs)


@replayed
def test_training(benchmark: Any, figures: Figures, profile: str, cell: Cell, contender: str) -> None:
    if contenders(every=False) == [REFERENCE]:
        pytest.skip("no fused backend on this machine: there is nothing to compare the reference with")
    figures.hand_over(benchmark, f"training: {cell}", contender, lambda: measured(EFFORTS[profile], cell))
