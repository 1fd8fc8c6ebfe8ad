"""The share of a training step that the update takes, over the batch size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..drawing import LETTERS, WIDTH, figure, looks
from ..in_place import NAME
from ..machine import describe
from ..markdown import table
from ..ours import REFERENCE
from ..records import Row
from ..training import Cell, Effort, measured

__all__ = ["SIZES", "TITLE", "draw", "shares"]

TITLE = "The update's share of a training step over the batch size"

SIZES = (1, 4, 16, 64, 256, 1024)
HIDDEN = (128, 128)


def shares(sizes: Sequence[int], seconds: float, rounds: int) -> list[Row]:
    """A row of the training benchmark for each batch size: the same training by each way to update, in turns, the same losses asserted."""
    cells = [Cell("digits", HIDDEN, size) for size in sizes]
    effort = Effort(cells, set(), seconds=seconds, rounds=rounds)
    return [measured(effort, cell) for cell in cells]


def draw(path: Path, sizes: Sequence[int] = SIZES, seconds: float = 1.5, rounds: int = 10) -> str:
    """Draws a line for each way to update, of those that there are on this machine."""
    rows = shares(sizes, seconds, rounds)
    titles = {REFERENCE: "NumPy, textbook", NAME: NAME}
    titles |= {name: f"fastopt, {name}" for name in rows[0].seconds if name not in titles}
    titles = {name: title for name, title in titles.items() if name in rows[0].seconds}
    with figure(path, WIDTH, 5.4, size=LETTERS) as (axis,):
        for (name, title), look in zip(titles.items(), looks(titles).values(), strict=True):
            axis.plot(sizes, [_percent(row, name) for row in rows], "-", lw=2.5, ms=9, label=title, **look)
        axis.set(xscale="log", xlabel="batch size (samples)", ylabel="update, percent of the step", ylim=(0, 100))
        axis.set_xticks(list(sizes), [f"{size:,}" for size in sizes])
        axis.set_xticks([], minor=True)
        axis.figure.legend(frameon=False, loc="outside upper left", ncols=2)
    others = {name: title for name, title in titles.items() if name != REFERENCE}
    head = [
        "batch size",
        *(f"{title}: share" for title in titles.values()),
        *(f"{title}: step" for title in others.values()),
        "denormal state",
    ]
    body = [
        [
            f"{row['batch']:,}",
            *(f"{_percent(row, name):.0f} %" for name in titles),
            *(_shorter(row, name) for name in others),
            f"{100 * row['denormal_state']:.0f} %",
        ]
        for row in rows
    ]
    machine = describe()
    return (
        f"Adam on a perceptron of {len(HIDDEN)} hidden layers of {HIDDEN[0]} on the digits ({rows[0]['parameters']:,} parameters, "
        "float32). The ways to update take turns in rounds, with the same losses to the last bit; all figures are medians of rounds. "
        "*Share* is the update's of the whole training step, as in the picture; *step* is how many times shorter the whole step is than "
        "with the textbook's update. Moments of weights whose gradient is 0 for long (pixels that are always white, units that no sample "
        "reaches) decay to *denormal* numbers, which some CPUs take many times longer to multiply, whoever updates: the last column is the "
        f"part of the moments that were at the end.\n\n{table(head, body)}\n**This is a short measurement**, of about {seconds:g} s a "
        f"batch size, on {machine['cpu']}, {machine['cores']} cores, with whatever else ran there; `fastopt bench` measures with care."
    )


def _percent(row: Row, name: str) -> float:
    return 100.0 * float(row.own[name]["update_share"])


def _shorter(row: Row, name: str) -> str:
    return f"{np.median(row.seconds[REFERENCE] / row.seconds[name]):.2f}x"
