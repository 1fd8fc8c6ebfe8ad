"""The page on several machines: its table is what its formulas come to."""

from __future__ import annotations

import pytest

from tests.documents import ROOT

RANKS = (1, 2, 8, 64, 1_000)


def expected(ranks: int) -> list[float]:
    """Bytes for each parameter, sent and held: DDP, ZeRO-1, FSDP2, MPI, whose single rank holds no sum beside the gradients."""
    once = 4 * (ranks - 1) / ranks
    summed = 4 / ranks if ranks > 1 else 0
    return [2 * once, 16, 3 * once, 8 + 8 / ranks, 3 * once, 16 / ranks, 2 * once, 8 + 8 / ranks + summed]


@pytest.mark.parametrize("ranks", RANKS)
def test_bytes_for_each_parameter(ranks: int) -> None:
    lines = (ROOT / "docs" / "machines.md").read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in lines if line.startswith(f"| {ranks:,} |")]
    found = [float(cell) for cell in row.strip("| ").split("|")[1:]]
    assert found == pytest.approx(expected(ranks), abs=5.001e-4)
