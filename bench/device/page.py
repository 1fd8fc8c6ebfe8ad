"""A GPU's record turned into a page of Markdown, all rows in a second one, and plots."""

from __future__ import annotations

from pathlib import Path

from ..records import Record
from . import card, plots, tables

__all__ = ["write"]

PAGE = """# fastopt on {gpu}
{warning}
Written by `fastopt report` from [record.json](record.json), the record of one run of `fastopt bench --device cuda`.
How to read it: a *step* is one call of the public `step()`. Its time is the device's, between two CUDA events around a block of
steps; at small sizes that is the time the host takes to launch them. *GB/s* counts the bytes that a step must move at the least
(each array read once, and written once where it changes). The *copy* is NVIDIA's copy from device memory to device memory that
moves as many bytes: percent of the copy is its time over the step's. Where a working set fits the L2 cache (*L2*), neither
measures the memory. Ratios are medians of the ratios of rounds that alternate within one process. With fresh gradients each step
is timed by itself, from a device at rest, and reads gradients at other addresses than the step before.

## Machine

{machine}
## What we hold ourselves to

{targets}
## Adam beside the systems people use

{peers}
## The cost of a call

{launches}
## Every rule

{steps}
With quartiles and intervals: [steps.md](steps.md).

## Not measured

{left_out}
## Pictures

{pictures}
"""

SIMULATED = """
> **These times mean nothing.** No GPU ran this: the device was emulated, and the others, where
> there are any, ran on the CPU. It shows that the benchmark runs, and no more.
"""
SMOKE = """
> **These times mean nothing.** This is the smoke profile: sizes and rounds are too small. It shows that the benchmark runs, and no more.
"""


def _warning(record: Record) -> str:
    if record.machine["device"]["simulated"]:
        return SIMULATED
    return SMOKE if card.rehearsal(record.machine) else ""


def write(record: Record, folder: Path) -> Path:
    """Writes README.md, steps.md and the plots into a folder; returns the page's path."""
    pictures = plots.draw_all(record, folder)
    page = folder / "README.md"
    warning = _warning(record)
    page.write_text(
        PAGE.format(
            gpu=record.machine["device"]["name"],
            warning=warning,
            machine=tables.machine(record),
            targets=tables.targets(record),
            peers=tables.peers(record),
            launches=tables.launches(record),
            steps=tables.steps(record),
            left_out=tables.left_out(record),
            pictures="\n".join(f"{caption}\n\n![{caption}]({name})\n" for name, caption in pictures),
        )
    )
    (folder / "steps.md").write_text(f"# Every rule, dtype and size\n{warning}\n{tables.every_step(record)}")
    return page
