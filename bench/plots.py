"""The report's pictures. matplotlib is drawn to files only; no display is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .records import Record, Row

__all__ = ["COLOURS", "PEER_COLOURS", "draw_all", "figure"]

COLOURS = {"cython": "#1b6ca8", "numba": "#e07b39", "numpy": "#8a8a8a", "auto": "#1b6ca8", "ceiling": "#2a2a2a"}
PEER_COLOURS = ["#1b6ca8", "#e07b39", "#8a8a8a", "#b3314b", "#d98c9f", "#7a3b69", "#4a8f5b", "#c2a83e", "#3aa6a6", "#77674f"]


def draw_all(record: Record, folder: Path) -> list[tuple[str, str]]:
    """Draws what the record has rows for; returns file names and captions."""
    drawings = [
        ("throughput.png", "Throughput of a float32 Adam step over parameters; grey lines: the working set leaves a cache.", _throughput),
        ("ceiling.png", "Percent of the traffic ceiling over parameter count, float32, fastest backend.", _ceiling),
        ("peers.png", "Time of one float32 Adam step beside the installed peers.", _peers),
        ("share.png", "Share of the training step that the update takes, over mini-batch size.", _share),
        ("losses.png", "Training losses, reference backend and fused backend on top of each other.", _losses),
    ]
    return [(name, caption) for name, caption, draw in drawings if draw(record, folder / name)]


@contextmanager
def figure(path: Path, width: float, height: float, columns: int = 1) -> Iterator[list[Any]]:
    """Axes side by side, saved as a picture in the end."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    style = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25}
    with plt.rc_context(style):
        drawn, axes = plt.subplots(1, columns, figsize=(width, height), squeeze=False, layout="constrained")
        yield list(axes[0])
        drawn.savefig(path, dpi=150)
        plt.close(drawn)


def _single(rows: Sequence[Row], dtype: str = "float32") -> list[Row]:
    return sorted((r for r in rows if r["tensors"] == 1 and r["dtype"] == dtype), key=lambda r: r["elements"])


def _throughput(record: Record, path: Path) -> bool:
    rows = [r for r in _single(record.group("step")) if r["rule"] == "adam"]
    if not rows:
        return False
    with figure(path, 8, 4.5) as (axis,):
        for backend in dict.fromkeys(r["backend"] for r in rows):
            own = [r for r in rows if r["backend"] == backend]
            axis.plot([r["elements"] for r in own], [r.gigabytes_per_second() for r in own], "o-", color=COLOURS[backend], label=backend)
        best = [r for r in rows if r["backend"] == rows[-1]["backend"] and "ceiling" in r.seconds]
        speeds = [r.gigabytes_per_second("ceiling") for r in best]
        axis.plot([r["elements"] for r in best], speeds, "--", color=COLOURS["ceiling"], label="ceiling (same traffic, no arithmetic)")
        for level, size in record.machine["caches"].items():
            axis.axvline(size / 16, color="#bbbbbb", lw=1)
            axis.annotate(f" {level}", (size / 16, 1), xycoords=("data", "axes fraction"), va="top", color="#888888")
        axis.set(xscale="log", yscale="log", xlabel="parameters", ylabel="GB/s (28 bytes a parameter)")
        axis.set_title("Adam, float32, one tensor", loc="left")
        axis.legend(frameon=False)
    return True


def _ceiling(record: Record, path: Path) -> bool:
    rows = [r for r in _single(record.group("step")) if r["backend"] != "numpy" and r.percent_of_ceiling() is not None]
    if not rows:
        return False
    backend = "cython" if any(r["backend"] == "cython" for r in rows) else "numba"
    rules = list(dict.fromkeys(r["rule"] for r in rows))
    with figure(path, 8, 4.8) as (axis,):
        import matplotlib

        shades = matplotlib.colormaps["viridis"]
        for k, rule in enumerate(rules):
            own = [r for r in rows if r["rule"] == rule and r["backend"] == backend]
            colour = shades(k / max(1, len(rules) - 1) * 0.9)
            axis.plot([r["elements"] for r in own], [r.percent_of_ceiling() for r in own], "o-", ms=3, color=colour, label=rule)
        axis.axhline(100, color=COLOURS["ceiling"], lw=1, ls="--")
        axis.set(xscale="log", ylim=(0, 130), xlabel="parameters", ylabel="percent of the ceiling")
        axis.set_title(f"{backend}, float32: first the call, then the arithmetic, then the memory", loc="left", fontsize=10)
        axis.legend(frameon=False, fontsize=8, ncols=2)
    return True


def _peers(record: Record, path: Path) -> bool:
    rows = record.group("peers")
    if not rows:
        return False
    names = list(dict.fromkeys(name for r in rows for name in r.seconds))
    with figure(path, 9, 0.9 + 0.62 * len(rows)) as (axis,):
        for k, name in enumerate(names):
            own = [(i, r) for i, r in enumerate(rows) if name in r.seconds]
            marker = {"ceiling": "|"}.get(name, "D" if name.startswith("fastopt") else "o")
            x = [r.median(name) * 1e6 for _, r in own]
            colour = COLOURS["ceiling"] if name == "ceiling" else PEER_COLOURS[k % len(PEER_COLOURS)]
            axis.plot(x, [i for i, _ in own], marker, color=colour, ms=12 if marker == "|" else 7, label=name, alpha=0.9)
        axis.set(xscale="log", xlabel="microseconds a step (further left is faster)")
        axis.set_yticks(range(len(rows)), [r["label"] for r in rows])
        axis.invert_yaxis()
        axis.set_title("Adam, float32", loc="left")
        axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
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
            for backend in rows[0].seconds:
                shares = [100 * r.own[backend]["update_share"] for r in rows]
                axis.plot([r["batch"] for r in rows], shares, "o-", color=COLOURS.get(backend, "#4a8f5b"), label=backend)
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
            row = max(rows, key=lambda r: len(r.own["numpy"]["losses"]["values"]))
            for k, (backend, curve) in enumerate((name, own["losses"]) for name, own in row.own.items()):
                look = {"lw": 5, "alpha": 0.35} if k == 0 else {"lw": 1.4}
                axis.plot(curve["steps"], curve["values"], color=COLOURS.get(backend, "#4a8f5b"), label=backend, **look)
            axis.set(xlabel="step", ylabel="loss", yscale="log")
            axis.set_title(f"{workload}, width {width}, batch {row['batch']}", loc="left")
            axis.legend(frameon=False)
    return True
