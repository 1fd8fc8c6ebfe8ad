"""The figures that the project holds itself to, as a run has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .markdown import or_none, time_of
from .records import CEILING, Record, Row, ratio

__all__ = ["TARGETS", "Target", "targets"]


@dataclass(frozen=True)
class Target:
    """A figure of one row, and where it has to lie.

    `figure` returns its value and how it reads, from a row that has `contenders`.
    """

    group: str
    label: str
    what: str
    contenders: Sequence[str]
    figure: Callable[[Row], tuple[float, str]]
    bound: float
    most: bool = False
    reads: Callable[[float], str] = "{:.2f}".format

    def line(self, row: Row) -> list[str]:
        """The row of the table."""
        value, text = self.figure(row)
        held = value <= self.bound if self.most else value >= self.bound
        wanted = f"at {'most' if self.most else 'least'} {self.reads(self.bound)}"
        return [self.label, self.what, wanted, text, "yes" if held else "**no**"]


def _times(group: str, label: str, other: str, bound: float, subject: str = "fastopt cython", *, most: bool = False) -> Target:
    """How many times longer another contender takes."""

    def figure(row: Row) -> tuple[float, str]:
        found = ratio(row.seconds[other], row.seconds[subject])
        return found.median, str(found)

    return Target(group, label, f"{other} / {subject}", (other, subject), figure, bound, most)


def _of_ceiling(label: str, bound: float, subject: str = "fastopt cython") -> Target:
    """Which share of our time the ceiling would take."""

    def figure(row: Row) -> tuple[float, str]:
        found = ratio(row.times(CEILING), row.seconds[subject])
        return found.median, str(found)

    return Target("peers", label, "ceiling's share of our time", ("traffic", subject), figure, bound)


def _seconds(label: str, bound: float, subject: str = "fastopt cython") -> Target:
    """How long a call takes at the most."""

    def figure(row: Row) -> tuple[float, str]:
        return row.median(subject), time_of(row.median(subject))

    return Target("calls", label, subject, (subject,), figure, bound, most=True, reads=time_of)


def _two_dtypes(label: str, bound: float) -> Target:
    """A step of two dtypes over the mean of the steps of the same list in either one."""

    def figure(row: Row) -> tuple[float, str]:
        found = ratio(row.seconds[mixed], np.mean([row.seconds[name] for name in each], axis=0))
        return found.median, str(found)

    mixed, each = "float32 and float64", ("all float32", "all float64")
    return Target("calls", label, "two dtypes / mean of both alone", (mixed, *each), figure, bound, most=True)


TARGETS = [
    _times("peers", "1 x 1,000", "torch fused", 10.0),
    _times("peers", "1,000 x 1,000", "torch fused", 18.0),
    _times("peers", "1,000 x 1,000, fresh gradients", "torch fused", 12.0),
    _times("peers", "1 x 1,000,000", "torch fused", 1.6),
    _times("peers", "1 x 64,000,000", "torch fused", 1 / 1.03),
    _of_ceiling("1 x 64,000,000", 0.95),
    _times("between", "1,000,000", "fastopt: 20 from a rest", 1.3, "fastopt: in a loop", most=True),
    _times("between", "1,000,000", "torch fused: 20 from a rest", 1.7, "fastopt: 20 from a rest"),
    _seconds("functional, 1 x 1,000", 10e-6),
    _seconds("build, 1 x 1,000", 100e-6),
    _seconds("build, 1,000 x 1,000", 4e-3),
    _seconds("step, 1 x 100", 1e-6),
    _two_dtypes("step of two dtypes, 1,000 x 1,000", 2.0),
    _times("drop-ins", "torch: Adam, 1,000 x 1,000", "torch fused", 8.0, "fastopt"),
    _times("drop-ins", "torch: Adam, 1 x 64,000,000", "torch fused", 1 / 1.03, "fastopt"),
    _times("drop-ins", "torch: training, 4 layers of width 256, batch 32", "torch fused", 1.0, "fastopt"),
    _times("drop-ins", "torch: training, transformer of 2 layers of width 64", "torch fused", 1.0, "fastopt"),
    _times("drop-ins", "sklearn: digits, (512, 512), batch 16, float64, 1797 rows", "sklearn", 3.0, "fastopt"),
    _times("drop-ins", "torch_backward: step in backward, mlp of 6 layers, width 1024, batch 32", "classic", 1.0, "fastopt"),
    _times("drop-ins", "torch_backward: step in backward, transformer of 2 layers, width 64, batch 8", "classic", 1.0, "fastopt"),
    _times("training", "digits-512x512-batch16", "numpy", 6.0, "cython"),
]


def targets(record: Record) -> str:
    """Every target that the record has a row for, and whether it is held."""
    rows = {(row["group"], row["label"]): row for row in record.rows if "label" in row.info}
    found = [(target, rows.get((target.group, target.label))) for target in TARGETS]
    body = [target.line(row) for target, row in found if row is not None and set(target.contenders) <= row.seconds.keys()]
    for (group, label), row in rows.items():
        if group == "peers" and row["elements"] >= 100_000 and {"fastopt numba", "fastopt cython"} <= row.seconds.keys():
            beside = ratio(row.seconds["fastopt numba"], row.seconds["fastopt cython"])
            held = 1 / 1.1 <= beside.median <= 1.1
            body.append([label, "numba / cython", "within 10 %", str(beside), "yes" if held else "**no**"])
    return or_none(["row", "figure", "held to", "measured", "held"], body)
