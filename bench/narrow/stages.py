"""One pass: what each stage of a step takes beside what its bytes say, and PyTorch doing the same in calls of its own."""

from __future__ import annotations

from pathlib import Path

from fastopt.host import threads
from fastopt.host.launched import round_trip

from ..drawing import LETTERS, WIDTH, figure
from ..machine import describe
from ..records import Record, ratio
from ..stages import CALLS, EVERY, PLAIN, measured
from ..tables import stages
from .effort import Effort
from .times import apart, legend, panel

__all__ = ["TITLE", "draw"]

TITLE = "One pass: stages of a step beside their bytes"


def draw(path: Path, effort: Effort) -> str:
    """Draws a point for each: its time, and where its bytes would have it."""
    before = round_trip()
    row = measured(max(effort.sizes), effort.seconds, threads.resolve(None))
    row.info["round_trips"] = [before, round_trip()]
    names, moved = list(row.seconds), row["moved"]
    with figure(path, WIDTH, 1.8 + 0.42 * len(names), size=LETTERS) as (axis,):
        panel(axis, row, names)
        axis.set(xlabel=f"time of a step, of that with {PLAIN}")
        legend(axis)
    found = {name: ratio(row.times(name), row.times(PLAIN)) for name in names}
    machine = describe()
    beside = f" PyTorch takes {found[CALLS].median / found[EVERY].median:.2f} times as long for the same." if CALLS in found else ""
    return (
        f"Adam over {row['label']} parameters of float32, {machine['threads']} threads of {machine['cpu']}, in turns within one run. "
        f"*{EVERY}* are unscaling, clipping by the global norm, decoupled weight decay, a moving average of the parameters and gradients "
        "left as 0: "
        f"{found[EVERY].median * moved[PLAIN] / moved[EVERY]:.2f} of what its bytes say.{beside} The norm, and the look for what is not "
        "finite, are passes over the gradients before the step; everything else is in the pass that steps."
        f"{apart([row])}\n\n"
        f"{stages(Record({}, '', [row]))}"
    )
