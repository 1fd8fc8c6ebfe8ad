"""The training benchmark's cells, and one of each kind measured in a moment; the whole of it runs in tests/cli/test_bench_and_report.py."""

from __future__ import annotations

import pytest

from bench import training as measuring
from bench.in_place import NAME
from bench.ours import REFERENCE
from bench.records import Record
from bench.tables import training
from bench.test_training import EFFORTS
from bench.training import PARTS, Cell, Effort

pytest.importorskip("sklearn", reason="the data sets come with scikit-learn")

MOMENT = Effort([], set(), seconds=0.03, rounds=3)


@pytest.mark.parametrize("profile", EFFORTS)
def test_labels_are_unique(profile: str) -> None:
    labels = [str(cell) for cell in EFFORTS[profile].cells]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_a_network_of_all_parts_stands_beside_the_plain_one_of_its_width(profile: str) -> None:
    cells = EFFORTS[profile].cells
    of_all_parts = [cell for cell in cells if cell.sweep == PARTS]
    assert of_all_parts
    plain = {(cell.workload, cell.hidden, cell.batch) for cell in cells if cell.sweep != PARTS}
    widths = {cell.hidden for cell in cells if cell.sweep == "batch"}
    assert all((cell.workload, cell.hidden, cell.batch) in plain for cell in of_all_parts if cell.hidden in widths)


@pytest.mark.parametrize(("sweep", "between"), [("batch", 2 * 8), (PARTS, 2 * (8 + 8))])
def test_whoever_updates_trains_the_same_network(sweep: str, between: int) -> None:
    """That losses and parameters are the same bits is asserted while it is measured."""
    if measuring.contenders(every=False) == [REFERENCE]:
        pytest.skip("no fused backend on this machine")
    cell = Cell("digits", (8, 8), 64, sweep)
    row = measuring.measured(MOMENT, cell)
    assert list(row.seconds) == measuring.contenders(every=False)
    assert {REFERENCE, NAME} <= row.seconds.keys()
    assert row["label"] == f"digits-8x8-batch64{'-parts' * (sweep == PARTS)}"
    assert row["parameters"] == 64 * 8 + 8 * 8 + 8 * 10 + 10 + between
    page = training(Record({}, "", [row]))
    assert f"| digits{', all parts' * (sweep == PARTS)} | 8 |" in page
    assert f"| {NAME} |" in page


def test_a_training_that_ends_elsewhere_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(measuring.InPlace):
        def step(self, grads: object) -> None:
            super().step(grads)  # type: ignore[arg-type]
            self.steps += 1

    monkeypatch.setattr(measuring, "InPlace", Wrong)
    if measuring.contenders(every=False) == [REFERENCE]:
        pytest.skip("no fused backend on this machine")
    with pytest.raises(AssertionError, match=f"{NAME}: other losses than the reference"):
        measuring.measured(MOMENT, Cell("digits", (8, 8), 64))
