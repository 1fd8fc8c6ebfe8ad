"""The pictures of a GPU's report."""

from __future__ import annotations

from pathlib import Path

from ..drawing import beside_each_other, figure, over_sizes, vertical
from ..records import Record
from .contenders import COPY
from .tables import percent_of_copy

__all__ = ["draw_all"]


def draw_all(record: Record, folder: Path) -> list[tuple[str, str]]:
    """Draws what the record has rows for; returns file names and captions."""
    share = "Percent of the copy's bandwidth over parameter count, float32: the median of all rules, and from the lowest to the highest."
    drawings = [
        ("copy.png", share, _copy),
        ("peers.png", "Time of one float32 Adam step beside the others.", _peers),
    ]
    return [(name, caption) for name, caption, draw in drawings if draw(record, folder / name)]


def _copy(record: Record, path: Path) -> bool:
    rows = [r for r in record.group("step") if r["dtype"] == "float32"]
    if not rows:
        return False
    with figure(path, 8, 4.8) as (axis,):
        over_sizes(axis, rows, percent_of_copy, "copy's bandwidth")
        if l2 := record.machine["device"]["l2_bytes"]:
            vertical(axis, l2 / 28, "L2 (Adam's copy)")
        axis.set_title(f"{record.machine['device']['name']}, float32: first the launch, then the memory", loc="left")
    return True


def _peers(record: Record, path: Path) -> bool:
    rows = record.group("peers")
    if not rows:
        return False
    with figure(path, 9, 1.2 + 0.55 * len(rows)) as (axis,):
        beside_each_other(axis, rows, list(dict.fromkeys(name for r in rows for name in r.seconds if name != COPY)), COPY)
        axis.set_title(f"Adam, float32, {record.machine['device']['name']}", loc="left")
    return True
