"""What a storage of Adam's states does to where a training ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array
from ..drawing import GREY, INK, LETTERS, WIDTH, figure, of_rows
from ..markdown import table
from .effort import Effort
from .runs import NUDGED, TASKS, Job, Task, differences, endings
from .storages import FLOAT32, here, look_of, said

__all__ = ["ASKED", "MOST", "TITLE", "draw", "percent", "points", "worst"]

TITLE = "What it does to training"

ASKED = 0.5
"""Percent of float32's final loss that a storage may be away from it, to be as good."""

MOST = 100.0
"""Percent from which a run is drawn at the edge."""


def percent(value: float) -> str:
    """A difference with its sign."""
    if not np.isfinite(value):
        return "no number"
    if abs(value) >= 10 * MOST:
        return f"over {10 * MOST:,.0f} %"
    if abs(value) >= MOST:
        return f"{value:+.0f} %"
    return f"{value:+.2f} %" if abs(value) >= 0.005 else "0.00 %"


def draw(path: Path, effort: Effort) -> str:
    """Draws a point for each seed."""
    names = [given.label for given in (*here(), NUDGED) if given is not FLOAT32]
    away = {(task, name): differences(effort, task, name) for task in TASKS for name in names}
    with figure(path, WIDTH, 1.2 + 0.42 * len(names) * len(TASKS) + 0.5 * len(TASKS), size=LETTERS, rows=len(TASKS), shared=True) as axes:
        for axis, task in zip(axes, TASKS, strict=True):
            looks = [{"color": INK, "marker": "|"} if name == NUDGED.label else look_of(name) for name in names]
            points(axis, task, {name: away[task, name] for name in names}, looks)
        axes[-1].set(xlabel="final loss, percent above float32's")
    head = ["states", "bytes held", *(f"{task}: mean" if k == 0 else f"{task}: worst" for task in TASKS for k in range(2))]
    body = [
        [
            name,
            _held(effort, name),
            *(cell for task in TASKS for cell in (percent(float(np.mean(away[task, name]))), percent(worst(away[task, name])))),
        ]
        for name in names
    ]
    losses = "; ".join(f"{task} {_losses(effort, task)}" for task in TASKS)
    few = "one seed" if effort.seeds == 1 else f"{effort.seeds} seeds"
    sizes = "; ".join(_size(make(), effort) for make in TASKS.values())
    well = [name for name in names if name != NUDGED.label and all(abs(np.mean(away[task, name])) <= ASKED for task in TASKS)]
    read = TASKS["characters"]()
    near = f"Within {ASKED:g} % on average in all four: {'; '.join(well) or 'none'}."
    return (
        f"**{near}** Four perceptrons in NumPy, trained by `fastopt.Adam` (betas 0.9 and 0.999, a cosine from the first learning rate to "
        f"0) on scikit-learn's digits (with weight decay, and without any until they are known by heart), its photograph, and the "
        f"characters of this package's own source: {sizes}. All of it is float32 but the states, and "
        f"from {few} each run has the first parameters and the mini-batches that float32's had. A point is a run: how far "
        f"its final loss is above that of float32 from the same seed; the grey band is {ASKED:g} %, and an arrow more than {MOST:g} %, or "
        f"no number at all. *{NUDGED.label}* is float32 from parameters that are larger by one bit in the last place: so far a run may "
        f"end from another for no reason.\n\n{table(head, body)}\nFinal losses of float32, means and ranges: {losses}. The text has "
        f"{len(read.y):,} places; who guesses its {read.network.characters} characters by how often each occurs has "
        f"{_entropy(read.y):.2f} nats.{said()}"
    )


def points(axis: Any, title: str, away: Mapping[str, Array], looks: Sequence[Mapping[str, Any]]) -> None:
    """A row of points for each storage, with a band of what is as good as float32; what is farther than `MOST` stands at the edge."""
    axis.axvspan(-ASKED, ASKED, color=GREY, alpha=0.2, lw=0)
    axis.axvline(0, color=INK, lw=1)
    for row, (values, look) in enumerate(zip(away.values(), looks, strict=True)):
        inside = np.abs(values) < MOST
        axis.plot(values[inside], np.full(inside.sum(), row), ls="", ms=10, alpha=0.75, **look)
        axis.plot(np.full((~inside).sum(), MOST), np.full((~inside).sum(), row), ls="", ms=11, **{**look, "marker": ">"})
    axis.set_xscale("symlog", linthresh=1.0, linscale=1.5)
    axis.set_title(title, loc="left", fontsize="medium")
    of_rows(axis, list(away))
    axis.set_xlim(-12, 1.7 * MOST)
    axis.set_xticks([-10, -1, 0, 1, 10, 100], ["-10", "-1", "0", "+1", "+10", "+100"])
    axis.minorticks_off()


def worst(values: Array) -> float:
    """The difference that is farthest from 0."""
    return float(values[np.argmax(np.abs(values))])


def _size(task: Task, effort: Effort) -> str:
    parameters, steps = sum(p.size for p in task.network.initial_params(0)), round(effort.length * task.steps)
    decay = f", weight decay {task.l2:g}" if task.l2 else ""
    return f"{task.title} {parameters:,} parameters, {steps:,} steps of {task.batch} samples from a rate of {task.lr:g} on{decay}"


def _held(effort: Effort, label: str) -> str:
    """Bytes of states a parameter: small tensors may stay wide, and have a larger part in small networks."""
    found = sorted({f"{endings(effort)[Job(task, label, 0, effort.length)].held:.3g}" for task in TASKS}, key=float)
    return found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _losses(effort: Effort, task: str) -> str:
    found = [endings(effort)[Job(task, FLOAT32.label, seed, effort.length)].final for seed in range(effort.seeds)]
    return f"{np.mean(found):.4g} ({min(found):.4g} to {max(found):.4g})"


def _entropy(codes: Array) -> float:
    shares = np.bincount(codes) / len(codes)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())
