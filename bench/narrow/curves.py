"""The losses of the trainings, step by step."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..drawing import LETTERS, WIDTH, figure
from .effort import Effort
from .runs import TASKS, Job, endings
from .storages import FLOAT32, here, look_of

__all__ = ["TITLE", "draw", "mean_curve"]

TITLE = "The losses on the way"


def mean_curve(effort: Effort, task: str, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and the mean of all seeds' losses of mini-batches up to there from the stretch before."""
    runs = [endings(effort)[Job(task, label, seed, effort.length)] for seed in range(effort.seeds)]
    return runs[0].steps, np.mean([run.losses for run in runs], axis=0)


def draw(path: Path, effort: Effort) -> str:
    """Draws a panel for each training."""
    names = [given.label for given in here()]
    left = []
    with figure(path, WIDTH, 13.0, size=LETTERS, rows=len(TASKS)) as axes:
        for axis, (task, make) in zip(axes, TASKS.items(), strict=True):
            steps, beside = mean_curve(effort, task, FLOAT32.label)
            axis.plot(steps, beside, color="#bbbbbb", lw=9, solid_capstyle="round", label=FLOAT32.label)
            for k, name in enumerate(names[1:], 1):
                look = look_of(name)
                _, losses = mean_curve(effort, task, name)
                axis.plot(steps, losses, color=look["color"], lw=1.8)
                axis.plot(steps[2 * k :: 10], losses[2 * k :: 10], ls="", ms=6, color=look["color"], marker=look["marker"])
                axis.plot([], [], lw=1.8, ms=6, label=name, **look)
                gone = ~(losses < 3 * beside.max())
                if gone.any():
                    left.append(f"{name} on the {task} at step {steps[np.argmax(gone)]:,}")
            axis.set(yscale="log", ylabel=f"loss ({make().unit})", ylim=(0.8 * beside.min(), 1.6 * beside.max()))
            axis.set_title(task, loc="left", fontsize="medium")
            axis.set_yticks(_round_numbers(*axis.get_ylim()), minor=False)
            axis.set_yticks([], minor=True)
            axis.yaxis.set_major_formatter("{x:g}")
        axes[-1].set(xlabel="step")
        axes[0].figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside upper left", ncols=2)
    away = f" Out of the picture: {'; '.join(left)}." if left else " None leaves the picture."
    return (
        "The same runs: losses of mini-batches (without a penalty) over stretches of steps, the mean of all seeds. The wide grey line is "
        f"float32. A look at such curves would find no fault with a storage whose line lies in it; what the ends differ by is above.{away}"
    )


def _round_numbers(low: float, high: float) -> list[float]:
    """Round numbers between two: 1, 2 and 5 times the powers of ten, and some more where those would be few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high > 10 * low else (1, 1.5, 2, 3, 4, 6, 8)
    return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
