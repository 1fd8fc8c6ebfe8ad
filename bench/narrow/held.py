"""Bytes of a step: what is held between steps, and what a step has to read and write."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

import fastopt

from ..drawing import COLOURS, GREY, INK, LETTERS, WIDTH, figure, of_rows
from ..markdown import table
from .effort import Effort
from .storages import PARAMETERS, Given, built, bytes_held, bytes_moved, here, said

__all__ = ["COUNT", "TITLE", "Bytes", "draw", "found_of"]

TITLE = "Bytes for each parameter, held and moved"

COUNT = 1 << 20
"""Parameters of the optimizers that are asked."""


class Bytes(NamedTuple):
    """Of Adam, for each parameter.

    `held` are its states, scales and corrections, `beside` the parameter itself; `moved` is the least traffic of a step, and `through` the
    part of it that are parameter and gradient: each read once, and the parameter written.
    """

    parameters: str
    states: str
    backend: str
    held: float
    beside: int
    moved: float
    through: int


def found_of(given: Given) -> Bytes:
    """Builds an optimizer, and asks its kernel and its arrays."""
    p = given.array(np.zeros(COUNT, np.float32))
    optimizer = built(fastopt.Adam, p, given)
    held, moved = bytes_held(optimizer) / COUNT, bytes_moved(optimizer)
    return Bytes(given.parameters, given.label, optimizer.backend, held, p.itemsize, moved, 3 * p.itemsize)


def draw(path: Path, effort: Effort) -> str:
    """Draws two bars for each: what is moved, parted, and what is held."""
    found = [found_of(given._replace(parameters=parameters)) for parameters in PARAMETERS for given in here()]
    names = [each.states for each in found]
    with figure(path, WIDTH, 2.0 + 0.62 * len(found), size=LETTERS) as (axis,):
        for row, each in enumerate(found):
            axis.barh(row - 0.14, each.through, 0.32, color=GREY, label="moved: parameter and gradient" if row == 0 else None)
            axis.barh(row - 0.14, each.moved - each.through, 0.32, each.through, color=COLOURS[0], label=None if row else "moved: states")
            axis.barh(row + 0.22, each.held + each.beside, 0.2, color=COLOURS[4], label=None if row else "held: parameter and states")
            axis.annotate(f"{each.moved:.4g}", (each.moved, row - 0.14), xytext=(4, 0), textcoords="offset points", va="center", color=INK)
        of_rows(axis, names)
        each_part = len(found) // len(PARAMETERS)
        for k, parameters in enumerate(PARAMETERS):
            axis.axhline(k * each_part - 0.5, color=INK, lw=1)
            place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "center", "color": INK}
            axis.annotate(f"{parameters} parameters", (0.99, k * each_part + 0.26), **place)
        axis.set(xlabel="bytes for each parameter", xlim=(0, 1.12 * max(each.moved for each in found)))
        axis.figure.legend(frameon=False, loc="outside upper left", ncols=1)
    first = found[0]
    body = [
        [each.parameters, each.states, f"{each.held:.4g}", f"{each.moved:.4g}", f"{each.moved / first.moved:.2f}", each.backend]
        for each in found
    ]
    head = ["parameters", "states", "states held", "moved", "of float32", "backend"]
    return (
        f"Adam, with gradients of the parameters' dtype, over {COUNT:,} parameters. *Held* are the arrays of its states, scales included; "
        "*moved* is what its kernel says is the least traffic of a step: parameters, gradients and states read once, parameters and "
        "states written once. Beyond the caches a step can be no faster than that. The last column is the backend that fastopt takes by "
        f"itself.\n\n{table(head, body)}\n{said().strip()}"
    )
