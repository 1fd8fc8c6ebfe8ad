"""All other optimizers of the package on f(x, y) = x^2/20 + y^2, in at most twelve panels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastopt

from ..arrays import Array
from ..drawing import COLOURS, INK, LETTERS, WIDTH, figure
from .surface import FORMULA, draw_on, f, way

__all__ = ["PANELS", "TITLE", "draw"]

TITLE = "The wider family on the same function"

PANELS: list[dict[str, Callable[[Array], Any]]] = [
    {"Nesterov": lambda p: fastopt.SGD(p, lr=0.1, momentum=0.9, nesterov=True)},
    {"RMSProp": lambda p: fastopt.RMSProp(p, lr=0.3, alpha=0.9)},
    {"AdaDelta": lambda p: fastopt.AdaDelta(p, lr=1.0, eps=0.1)},
    {"AdamW": lambda p: fastopt.AdamW(p, lr=0.3), "NAdam": lambda p: fastopt.NAdam(p, lr=0.3)},
    {"AdaMax": lambda p: fastopt.AdaMax(p, lr=0.5)},
    {"RAdam": lambda p: fastopt.RAdam(p, lr=1.0)},
    {"Lion": lambda p: fastopt.Lion(p, lr=0.2), "Signum": lambda p: fastopt.Signum(p, lr=0.2)},
    {"Rprop": lambda p: fastopt.Rprop(p, lr=0.3)},
    {"Adan": lambda p: fastopt.Adan(p, lr=0.3)},
    {"AdEMAMix": lambda p: fastopt.AdEMAMix(p, lr=0.1)},
    {"ADOPT": lambda p: fastopt.ADOPT(p, lr=0.3)},
    {"S-F SGD": lambda p: fastopt.ScheduleFreeSGD(p, lr=0.9), "S-F AdamW": lambda p: fastopt.ScheduleFreeAdamW(p, lr=0.5)},
]
"""What stands in each panel, by what it is called there; where there are two, they are of one kind."""

LOOKS = ({"color": COLOURS[0], "marker": "D"}, {"color": COLOURS[1], "marker": "^"})


def draw(path: Path, steps: int = 60) -> str:
    """Draws them, three panels beside each other."""
    ends = []
    with figure(path, WIDTH, 8.6, 3, size=LETTERS, rows=4, shared=True) as axes:
        for k, (axis, panel) in enumerate(zip(axes, PANELS, strict=True)):
            for (name, optimizer), look in zip(panel.items(), LOOKS, strict=False):
                points = way(optimizer, steps)
                draw_on(axis, points, look, ms=3)
                ends.append((float(f(*points[-1])), name.replace("S-F", "Schedule-Free")))
            first, *second = panel
            axis.set_title(f"◆ {first}" if second else first, loc="left", fontsize="medium", color=LOOKS[0]["color"] if second else INK)
            for name in second:
                place = {"xycoords": "axes fraction", "ha": "right", "va": "bottom", "bbox": {"fc": "white", "lw": 0, "pad": 1}}
                axis.annotate(f"▲ {name}", (1, 0.01), color=LOOKS[1]["color"], **place)
            axis.set(xlabel="x" if k >= 9 else "", ylabel="y" if k % 3 == 0 else "")
    listed = "; ".join(f"{name} {value:.2g}" for value, name in sorted(ends))
    return (
        f"{steps} steps each on {FORMULA}; rates are between 0.1 and 1, as suit each one, all else is the package's default (AdaDelta's "
        "eps is 0.1: its steps begin with a length of about the root of it, 0.001 by default). Lion and Signum make steps of one length in "
        "both directions, and circle around the minimum as long as the rate does not fall; of the Schedule-Free ones (S-F) the averages "
        f"are drawn, which are their result. f at the end, the lowest first: {listed}."
    )
