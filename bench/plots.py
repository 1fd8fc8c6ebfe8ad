"""The report's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .drawing import INK, beside_each_other, figure, looks, of_rows, over_sizes, vertical
from .markdown import others, time_of
from .ours import OURS, REFERENCE, ordered
from .records import CEILING, CEILINGS, Record, Row, ratio

__all__ = ["OVERVIEW", "draw_all"]

OVERVIEW = "overview.png"
"""The picture for those who would rather look than read; it stands in the README too."""


def draw_all(record: Record, folder: Path) -> list[tuple[str, str]]:
    """Draws what the record has rows for; returns file names and captions."""
    throughput = "Throughput of a float32 Adam step over parameters; grey lines: the working set leaves a cache."
    drawings = [
        (OVERVIEW, "How many times longer than fastopt others take for the same float32 step of Adam.", _overview),
        ("throughput.png", throughput, _throughput),
        (
            "ceiling.png",
            "Percent of the slower ceiling over parameter count: the median of all rules, and from the lowest to the highest.",
            _ceiling,
        ),
        ("peers.png", "Time of one float32 Adam step beside the installed peers.", _peers),
        ("share.png", "Share of the training step that the update takes, over mini-batch size.", _share),
        ("losses.png", "Training losses, reference backend and fused backend on top of each other.", _losses),
    ]
    return [(name, caption) for name, caption, draw in drawings if draw(record, folder / name)]


def _overview(record: Record, path: Path) -> bool:
    """Those peers that every row has, at a size of letters that a phone can show."""
    rows = record.group("peers")
    names = [name for name in others(rows) if not name.startswith(OURS) and name != CEILING and all(name in row for row in rows)]
    if not names:
        return False
    subject = rows[0].subject
    with figure(path, 7, 2 + 0.35 * -(-len(names) // 3) + max(0.72, 0.24 * len(names)) * len(rows), size=15) as (axis,):
        first, *styles = looks([subject, *names]).values()
        axis.axvline(1, color=first["color"], lw=5)
        for name, look, line in zip(names, styles, np.linspace(-0.24, 0.24, len(names)), strict=True):
            times = [ratio(row.times(name), row.times(subject)).median for row in rows]
            lines = [i + line for i in range(len(rows))]
            axis.hlines(lines, 1, times, color=look["color"], lw=3, alpha=0.6)
            axis.plot(times, lines, ls="", ms=10, label=name, zorder=3, **look)
        axis.set(xscale="log", xlabel="others' time, in times of fastopt's (blue)")
        low, high = axis.get_xlim()
        shown = [times for times in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if low <= times <= high]
        axis.set_xticks(shown, [f"{times:g}x" for times in shown], minor=False)
        axis.set_xticks([], minor=True)
        of_rows(axis, [f"{row['label'].replace(', fresh', ',' + chr(10) + 'fresh')}\n{time_of(row.median())}" for row in rows])
        axis.figure.suptitle(
            "A step of Adam, float32: who takes how many times longer\nRows: tensors x parameters, fastopt's time",
            ha="left",
            x=0.02,
            fontsize=15,
        )
        axis.legend(
            frameon=False, ncols=min(3, len(names)), loc="lower center", bbox_to_anchor=(0.35, 1), handletextpad=0, columnspacing=0.8
        )
    return True


def _single(rows: Sequence[Row], dtype: str = "float32") -> list[Row]:
    return sorted((r for r in rows if r["tensors"] == 1 and r["dtype"] == dtype), key=lambda r: r["elements"])


def _by_backend(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {backend: [r for r in rows if r["backend"] == backend] for backend in ordered({r["backend"] for r in rows})}


def _throughput(record: Record, path: Path) -> bool:
    groups = _by_backend([r for r in _single(record.group("step")) if r["rule"] == "adam"])
    if not groups:
        return False
    with figure(path, 8, 4.5) as (axis,):
        for backend, look in reversed(looks(groups).items()):  # the first one on top
            own = groups[backend]
            axis.plot([r["elements"] for r in own], [r.gigabytes_per_second() for r in own], "-", label=backend, **look)
        for name, style in zip(CEILINGS, ("--", ":"), strict=True):
            if own := [r for r in next(iter(groups.values())) if name in r]:
                axis.plot(
                    [r["elements"] for r in own], [r.gigabytes_per_second(name) for r in own], style, color=INK, label=f"{name} alone"
                )
        for level, size in record.machine["caches"].items():
            vertical(axis, size / 16, level)
        axis.set(xscale="log", yscale="log", xlabel="parameters", ylabel="GB/s (28 bytes a parameter)")
        axis.set_title("Adam, float32, one tensor", loc="left")
        axis.legend(frameon=False)
    return True


def _ceiling(record: Record, path: Path) -> bool:
    groups = _by_backend([r for r in _single(record.group("step")) if CEILING in r and r["backend"] != REFERENCE])
    if not groups:
        return False
    with figure(path, 1 + 4.5 * len(groups), 4.5, len(groups), shared=True) as axes:
        for axis, (backend, rows), look in zip(axes, groups.items(), looks(groups).values(), strict=True):
            over_sizes(axis, rows, lambda row: row.percent_of_ceiling() or 0.0, "slower ceiling", look["color"])
            axis.set_title(f"{backend}, float32", loc="left")
    return True


def _peers(record: Record, path: Path) -> bool:
    rows = record.group("peers")
    if not rows:
        return False
    names = list(dict.fromkeys(name for r in rows for name in r.steps))
    with figure(path, 9, max(0.9 + 0.62 * len(rows), 0.8 + 0.25 * len(names))) as (axis,):
        beside_each_other(axis, rows, names, CEILING)
        axis.set_title("Adam, float32", loc="left")
    return True


def _training_series(record: Record) -> dict[tuple[str, str], list[Row]]:
    series: dict[tuple[str, str], list[Row]] = {}
    for row in record.group("training"):
        if row["sweep"] == "batch":
            series.setdefault((row["workload"], str(row["width"])), []).append(row)
    return {key: sorted(rows, key=lambda r: r["batch"]) for key, rows in series.items()}


def _share(record: Record, path: Path) -> bool:
    series = _training_series(record)
    if not series:
        return False
    with figure(path, 4 * len(series), 3.8, len(series)) as axes:
        for axis, ((workload, width), rows) in zip(axes, series.items(), strict=True):
            for backend, look in looks(rows[0].seconds).items():
                shares = [100 * r.own[backend]["update_share"] for r in rows]
                axis.plot([r["batch"] for r in rows], shares, "-", label=backend, **look)
            axis.set(xscale="log", ylim=(0, 100), xlabel="mini-batch size", ylabel="update, percent of the step")
            axis.set_title(f"{workload}, width {width}", loc="left")
            axis.legend(frameon=False)
    return True


def _losses(record: Record, path: Path) -> bool:
    series = _training_series(record)
    if not series:
        return False
    with figure(path, 4 * len(series), 3.6, len(series)) as axes:
        for axis, ((workload, width), rows) in zip(axes, series.items(), strict=True):
            row = max(rows, key=lambda r: len(r.own[REFERENCE]["losses"]["values"]))
            for k, (backend, look) in enumerate(looks(row.own).items()):
                curve: dict[str, Any] = row.own[backend]["losses"]
                width_of_line = {"lw": 5, "alpha": 0.35} if k == 0 else {"lw": 1.4}
                axis.plot(curve["steps"], curve["values"], color=look["color"], label=backend, **width_of_line)
            axis.set(xlabel="step", ylabel="loss", yscale="log")
            axis.set_title(f"{workload}, width {width}, batch {row['batch']}", loc="left")
            axis.legend(frameon=False)
    return True
