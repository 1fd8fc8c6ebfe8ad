"""Draws schedules over the steps, from how they are written: `fastopt plot-schedule "warmup(100, cosine(0.1, steps=900))"`.

A name of `fastopt.schedules`, in any case and with or without underscores, and its arguments by place or by name: numbers, words in quotes,
lists, and schedules. Several are drawn into one picture.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from importlib import import_module
from pathlib import Path

from fastopt import schedules

HELP = "draw schedules"

MOST_POINTS = 4_001
"""More than a picture has columns; of longer schedules so many steps are drawn, evenly spread."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("schedules", nargs="+", metavar="SCHEDULE", help='such as "cosine(0.1, steps=1000)"')
    parser.add_argument("--steps", type=int, default=1000, metavar="N", help="how many steps (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, default=Path("schedule.png"), metavar="FILE", help="the picture: png, svg or pdf (default: %(default)s)"
    )
    parser.add_argument("--label", default="learning rate", metavar="NAME", help="what they are values of (default: %(default)s)")
    parser.add_argument("--log", action="store_true", help="a logarithmic scale of values")


def run(options: argparse.Namespace) -> int:
    """Draws them; 1 if matplotlib is missing, and a message in the place of an exit status for what cannot be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        print("fastopt plot-schedule: it draws with matplotlib: pip install 'fastopt[bench]'", file=sys.stderr)
        return 1
    if options.steps < 1:
        raise SystemExit(f"fastopt plot-schedule: --steps: expected at least 1, received {options.steps}")
    if not options.output.suffix:
        raise SystemExit(f"fastopt plot-schedule: --output: expected a file with an ending that says its kind, received {options.output}")
    steps = sorted({round(k * (options.steps - 1) / (MOST_POINTS - 1)) for k in range(MOST_POINTS)})
    lines = {}
    for text in options.schedules:
        try:
            schedule = schedules.parse(text)
        except (TypeError, ValueError) as error:
            raise SystemExit(f"fastopt plot-schedule: {text}: {error}") from None
        values = [schedule(step) for step in steps]
        bad = next((step for step, value in zip(steps, values, strict=True) if not math.isfinite(value)), None)
        if bad is not None:
            raise SystemExit(f"fastopt plot-schedule: {text}: expected finite values, received one that is not after {bad} steps")
        lines[text] = values
    try:
        _draw(options.output, steps, lines, options.label, log=options.log)
    except (OSError, ValueError) as error:
        raise SystemExit(f"fastopt plot-schedule: {options.output}: it cannot be written ({error})") from error
    print(f"plot-schedule: {options.output}")
    return 0


def _draw(path: Path, steps: list[int], lines: dict[str, list[float]], label: str, *, log: bool) -> None:
    drawing = import_module("fastopt_bench.drawing")
    with drawing.figure(path, 8, 4 + 0.22 * len(lines)) as (axis,):
        for k, (text, look) in enumerate(drawing.looks(lines).items()):
            every = max(1, len(steps) // 12)
            # each line's markers at places of their own: where several lines are one, all can be seen
            places = (k * every // len(lines), every)
            axis.plot(steps, lines[text], label=text, markevery=places, ms=6, lw=1.8, alpha=0.9, **look)
        axis.set(xlabel="steps made before", ylabel=label)
        if log:
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=0)
        axis.margins(x=0.01)
        axis.figure.legend(frameon=False, loc="outside lower left")
