"""What the project holds itself to: held and missed at the bound, in rows that the benchmark has."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from bench import dropins, test_between, test_calls, test_peers, test_training, training
from bench.records import Record, Row
from bench.targets import TARGETS, Target, targets
from tests.conftest import AVAILABLE


def _seconds(target: Target, figure: float) -> dict[str, Any]:
    """Times of the contenders by which the target's figure is this one."""
    if len(target.contenders) == 1:
        return {target.contenders[0]: np.full(3, figure)}
    first, *others = target.contenders
    return {first: np.full(3, figure * 1e-3)} | {name: np.full(3, 1e-3) for name in others}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.label}: {target.what}")
def test_a_target_is_held_on_one_side_of_its_bound_and_missed_on_the_other(target: Target) -> None:
    above, below = (
        (Row({"group": target.group, "label": target.label, "elements": 1}, _seconds(target, target.bound * f))) for f in (1.01, 0.99)
    )
    for row, held in ((above, not target.most), (below, target.most)):
        (line,) = (line for line in targets(Record({}, "", [row])).splitlines()[2:] if line.split(" | ")[1] == target.what)
        assert line.startswith(f"| {target.label} | {target.what} | at {'most' if target.most else 'least'} ")
        assert line.endswith("| yes |" if held else "| **no** |")


def test_every_target_has_its_row_and_contenders_in_the_quick_profile() -> None:
    """Labels and names are written in both places: a row that was renamed would drop out of the table unseen."""
    there = {("peers", label): test_peers._contenders(test_peers._elements(shapes)) for label, shapes in test_peers.ROWS["quick"].items()}
    there |= {("between", f"{size:,}"): test_between.CONTENDERS for size in test_between.SIZES["quick"]}
    there |= {("calls", label): names for label, names in test_calls._cells("quick").items()}
    there |= {("training", str(cell)): training.contenders(every=True) for cell in test_training.QUICK}
    there |= {("drop-ins", label): list(work.makers) for label, work in dropins.works("quick").items()}
    for target in TARGETS:
        if target.group == "drop-ins" and target.label.split(":")[0] not in dropins.libraries():
            continue
        for name in target.contenders:
            absent = ("cython" in name and AVAILABLE["cython"] is not True) or (name.startswith("torch") and find_spec("torch") is None)
            assert absent or name in there[target.group, target.label], target


def test_numba_and_cython_stay_together() -> None:
    def said(numba: float) -> str:
        seconds = {"fastopt cython": np.full(3, 1e-3), "fastopt numba": np.full(3, numba)}
        return targets(Record({}, "", [Row({"group": "peers", "label": "1 x 100,000", "elements": 100_000}, seconds)])).splitlines()[-1]

    assert said(1.05e-3).endswith("| within 10 % | 1.05 (1.05 to 1.05) | yes |")
    assert said(1.15e-3).endswith("| **no** |")
    assert said(0.85e-3).endswith("| **no** |")
