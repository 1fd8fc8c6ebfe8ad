"""Parameters of bfloat16, with a correction beside them, drawn, or by themselves: bytes, time, and what a training notes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..drawing import COLOURS, INK, LETTERS, WIDTH, figure
from ..machine import describe
from ..markdown import mark, table, time_of
from ..records import Row, ratio
from .effort import Effort
from .held import Bytes, found_of
from .runs import ROUNDED, SETS, differences
from .storages import FLOAT32, NARROW
from .times import apart, measured
from .training import ASKED, percent, points, worst

__all__ = ["TITLE", "draw"]

TITLE = "Narrow parameters: bytes, time and training"


def draw(path: Path, effort: Effort) -> str:
    """Draws a point for each seed, a panel for each training."""
    compared = [FLOAT32, *NARROW]
    found = {given.label: found_of(given) for given in compared}
    rows = [measured(compared, size, effort.seconds) for size in effort.sizes]
    tasks, names = SETS["parameters"].tasks(), [ROUNDED.label, *(given.label for given in NARROW)]
    away = {task: {name: differences(effort, task, name, "parameters") for name in names} for task in tasks}
    looks = [{"color": INK, "marker": "|"}] + [{"color": COLOURS[int("int8" in name)], "marker": "o"} for name in names[1:]]
    with figure(path, WIDTH, 1.2 + (0.42 * len(names) + 0.5) * len(tasks), size=LETTERS, rows=len(tasks), shared=True) as axes:
        for axis, task in zip(axes, tasks, strict=True):
            points(axis, task, away[task], looks)
        axes[-1].set(xlabel="final loss, percent above float32's")
    head = ["parameters", "bytes held", "beside them", "moved", "of float32"]
    head += [f"{row['label']}: {what}" for row in rows for what in ("time", "of float32's")]
    head += [f"{task}: {what}" for task in tasks for what in ("mean", "worst")]
    body = []
    for name in (FLOAT32.label, *names):
        cells = _costs(name, found, rows) if name in found else [""] * (4 + 2 * len(rows))
        ends = [away[task].get(name, np.zeros(1)) for task in tasks]
        body.append([name, *cells, *(cell for each in ends for cell in (percent(float(np.mean(each))), percent(worst(each))))])
    well = [name for name in names[1:] if all(abs(np.mean(away[task][name])) <= ASKED for task in tasks)]
    machine = describe()
    return (
        f"**Within {ASKED:g} % of float32 on average in both: {'; '.join(well) or 'none'}.** Adam with gradients of bfloat16, and states "
        "of float32 where no others are named. *Bits* are those of a parameter and its correction together (`master_bits=`), *stochastic* "
        "is what a counter's noise rounds, *to nearest* what people call pure bfloat16 training: updates below half of a parameter's last "
        f"place are lost in it. *Beside them* are states, scales and corrections. Two of the trainings above, {effort.seeds} seed(s) each, "
        "paired: the network computes in float32 with what bfloat16 parameters are by themselves, its gradients are rounded to bfloat16, "
        f"and the final loss is of those parameters too. *{ROUNDED.label}* is what it does by itself to round float32's last ones.\n\n"
        f"{table(head, body)}\nTimes in turns within one run, {machine['threads']} threads of {machine['cpu']}; `~` stands where "
        f"quartiles are more than 15 % of the median apart. A step of few bytes takes what its arithmetic takes.{apart(rows)}"
    )


def _costs(name: str, found: dict[str, Bytes], rows: list[Row]) -> list[str]:
    own, first = found[name], found[FLOAT32.label]
    cells = [f"{own.beside}", f"{own.held:.4g}", f"{own.moved:.4g}", f"{own.moved / first.moved:.2f}"]
    for row in rows:
        times = "1" if name == row.subject else str(ratio(row.times(name), row.times(row.subject)))
        cells += [time_of(row.median(name)) + mark(row, name), times]
    return cells
