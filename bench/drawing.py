"""What the pictures of all reports are made of. matplotlib is drawn to files only; no display is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Array
from .records import Row

__all__ = [
    "COLOURS",
    "GREY",
    "INK",
    "LETTERS",
    "WIDTH",
    "beside_each_other",
    "contours",
    "figure",
    "looks",
    "of_rows",
    "over_sizes",
    "path_on",
    "vertical",
]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5C00")
"""Okabe and Ito's, which people with any kind of colour blindness tell apart; without the yellow, which white paper swallows."""

MARKERS = ("D", "o", "s", "^", "v", "P", "X", "*")
"""One more than there are colours: no two of the first 56 names have both in common."""

INK, GREY = "#222222", "#888888"

WIDTH, LETTERS = 7.2, 15
"""Inches and points: on a phone of 390 pixels' width a capital letter of these is 8 pixels high."""


def looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """A colour and a marker for each name, by its place among them."""
    return {name: {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]} for k, name in enumerate(dict.fromkeys(names))}


@contextmanager
def figure(
    path: Path, width: float, height: float, columns: int = 1, size: float = 10, *, rows: int = 1, shared: bool = False
) -> Iterator[list[Any]]:
    """Axes side by side, and below each other in `rows`, saved as a picture in the end; `size` is the letters', in points.

    `shared` is one vertical scale for all of them, and where there are rows one horizontal scale too, whose numbers stand at the outer
    axes alone.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    style = {"font.size": size, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25}
    with plt.rc_context(style):
        drawn, axes = plt.subplots(
            rows, columns, figsize=(width, height), squeeze=False, sharex=shared and rows > 1, sharey=shared, layout="constrained"
        )
        try:
            yield list(axes.flat)
            drawn.savefig(path, dpi=150)
        finally:
            plt.close(drawn)


def vertical(axis: Any, at: float, label: str) -> None:
    """A grey line with its name at the upper end: a size at which something changes."""
    axis.axvline(at, color="#bbbbbb", lw=1)
    axis.annotate(f" {label}", (at, 1), xycoords=("data", "axes fraction"), va="top", color=GREY)


def over_sizes(axis: Any, rows: Sequence[Row], share: Callable[[Row], float], what: str, colour: str = COLOURS[0]) -> None:
    """Percent of what a step is measured against: the median of the rules, and a band from the lowest to the highest, which have names."""
    found: dict[int, list[tuple[float, str]]] = {}
    for row in sorted(rows, key=lambda row: int(row["elements"])):
        found.setdefault(row["elements"], []).append((share(row), row["rule"]))
    sizes, spread = list(found), [sorted(each) for each in found.values()]
    axis.fill_between(sizes, [each[0][0] for each in spread], [each[-1][0] for each in spread], color=colour, alpha=0.2, lw=0)
    axis.plot(sizes, [float(np.median([percent for percent, _ in each])) for each in spread], "o-", color=colour)
    axis.axhline(100, color=INK, lw=1, ls="--")
    middle = len(sizes) // 2
    for (percent, rule), below in ((spread[middle][0], True), (spread[middle][-1], False)):
        place = {"xytext": (0, -6 if below else 6), "textcoords": "offset points", "va": "top" if below else "bottom", "ha": "center"}
        axis.annotate(rule, (sizes[middle], percent), color=INK, fontsize="small", **place)
    axis.set(xscale="log", xlabel="parameters", ylabel=f"percent of the {what}")
    axis.set_ylim(0, min(200, max(115, 1.08 * axis.dataLim.y1, axis.get_ylim()[1])))  # beyond it nothing is told but a disturbed machine


def beside_each_other(axis: Any, rows: Sequence[Row], names: Sequence[str], yardstick: str) -> None:
    """A line for each row, with every contender's time on it, one below the other."""
    lines = np.linspace(-0.3, 0.3, len(names))
    for (name, look), line in zip(looks(names).items(), lines, strict=True):
        own = [(row.median(name) * 1e6, i + line) for i, row in enumerate(rows) if name in row]
        axis.plot(*zip(*own, strict=True), ls="", ms=7, label=name, **look)
    own = [(row.median(yardstick) * 1e6, i) for i, row in enumerate(rows) if yardstick in row]
    if own:
        axis.plot(*zip(*own, strict=True), "|", color=INK, ms=36, mew=2, label=yardstick, zorder=1)
    axis.set(xscale="log", xlabel="microseconds a step (further left is faster)")
    of_rows(axis, [row["label"] for row in rows])
    legend = axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    for handle in legend.legend_handles:
        handle.set_markersize(min(handle.get_markersize(), 10))


def of_rows(axis: Any, labels: Sequence[str]) -> None:
    """One line below the other, named at the left, and grey lines between them."""
    axis.set_yticks(range(len(labels)), labels)
    axis.tick_params(axis="y", length=0)
    axis.grid(False, axis="y")
    for i in range(1, len(labels)):
        axis.axhline(i - 0.5, color=GREY, lw=0.5, alpha=0.5)
    axis.set_ylim(len(labels) - 0.5, -0.5)


def contours(
    axis: Any, function: Callable[[Array, Array], Array], x: tuple[float, float], y: tuple[float, float], levels: Sequence[float]
) -> None:
    """Grey lines where a function of two numbers has these values, over the ranges from the first to the last x and y."""
    across, up = np.meshgrid(np.linspace(*x, 201), np.linspace(*y, 201))
    axis.contour(across, up, function(across, up), sorted(levels), colors="#bbbbbb", linewidths=0.9, zorder=0)
    axis.grid(False)
    axis.set(xlim=x, ylim=y)


def path_on(axis: Any, points: Array, look: Mapping[str, Any], *, ms: float = 4, **style: Any) -> None:
    """A way over the contours, from point to point; `points` has shape (points, 2). A ring is where it begins, a square where it ends."""
    x, y = np.asarray(points).T
    axis.plot(x, y, "-", **{"ms": ms, "lw": 1.3, **look, **style})
    axis.plot(x[0], y[0], "o", ms=9, mfc="white", mec=INK, mew=1.5, zorder=4)
    axis.plot(x[-1], y[-1], "s", ms=8, mfc=look["color"], mec=INK, mew=1.5, zorder=5)
