"""The pictures of a GPU's report."""

from __future__ import annotations

from pathlib import Path

from ..plots import COLOURS, PEER_COLOURS, figure
from ..records import Record
from .contenders import COPY, SUBJECT
from .tables import percent_of_copy

__all__ = ["draw_all"]


def draw_all(record: Record, folder: Path) -> list[tuple[str, str]]:
    """Draws what the record has rows for; returns file names and captions."""
    share = "Percent of the copy's bandwidth over parameter count, float32; grey line: the copy's buffers leave the L2 cache."
    drawings = [
        ("copy.png", share, _copy),
        ("peers.png", "Time of one float32 Adam step beside the others.", _peers),
    ]
    return [(name, caption) for name, caption, draw in drawings if draw(record, folder / name)]


def _copy(record: Record, path: Path) -> bool:
    rows = [r for r in record.group("step") if r["dtype"] == "float32"]
    if not rows:
        return False
    rules = list(dict.fromkeys(r["rule"] for r in rows))
    with figure(path, 8, 4.8) as (axis,):
        import matplotlib

        shades = matplotlib.colormaps["viridis"]
        highest = max(percent_of_copy(r) for r in rows)
        for k, rule in enumerate(rules):
            own = sorted((r for r in rows if r["rule"] == rule), key=lambda r: int(r["elements"]))
            colour = shades(k / max(1, len(rules) - 1) * 0.9)
            axis.plot([r["elements"] for r in own], [percent_of_copy(r) for r in own], "o-", ms=3, color=colour, label=rule)
        axis.axhline(100, color=COLOURS["ceiling"], lw=1, ls="--")
        if l2 := record.machine["device"]["l2_bytes"]:
            axis.axvline(l2 / 28, color="#bbbbbb", lw=1)
            axis.annotate(" L2 (Adam's copy)", (l2 / 28, 1), xycoords=("data", "axes fraction"), va="top", color="#888888")
        axis.set(xscale="log", ylim=(0, max(110, 1.1 * highest)), xlabel="parameters", ylabel="percent of the copy's bandwidth")
        axis.set_title(f"{record.machine['device']['name']}, float32: first the launch, then the memory", loc="left", fontsize=10)
        axis.legend(frameon=False, fontsize=8, ncols=2)
    return True


def _peers(record: Record, path: Path) -> bool:
    rows = record.group("peers")
    if not rows:
        return False
    names = list(dict.fromkeys(name for r in rows for name in r.seconds))
    with figure(path, 9, 1.2 + 0.55 * len(rows)) as (axis,):
        for k, name in enumerate(names):
            own = [(i, r) for i, r in enumerate(rows) if name in r.seconds]
            marker = {COPY: "|", SUBJECT: "D"}.get(name, "o")
            colour = COLOURS["ceiling"] if name == COPY else PEER_COLOURS[k % len(PEER_COLOURS)]
            x = [r.median(name) * 1e6 for _, r in own]
            axis.plot(x, [i for i, _ in own], marker, color=colour, ms=12 if marker == "|" else 7, label=name, alpha=0.9)
        axis.set(xscale="log", xlabel="microseconds a step (further left is faster)", ylim=(-0.5, len(rows) - 0.5))
        axis.set_yticks(range(len(rows)), [r["label"] for r in rows])
        axis.invert_yaxis()
        axis.set_title(f"Adam, float32, {record.machine['device']['name']}", loc="left", fontsize=10)
        axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return True
