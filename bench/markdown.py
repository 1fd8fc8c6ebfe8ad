"""What the pages of all reports are made of: tables of Markdown, their cells, and the tables that host and device have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .records import CEILING, CEILINGS, Record, Row, ratio

__all__ = ["NONE", "bytes_of", "calls", "machine", "mark", "or_none", "others", "peers", "rules", "table", "time_of", "timing"]

NONE = "No such rows in this record.\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; all columns but the first are set to the right."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["--:"] * (len(head) - 1)) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def or_none(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The table, or a line that says there is nothing to show."""
    return table(head, rows) if rows else NONE


def time_of(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} us"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def bytes_of(count: float) -> str:
    """A size in the unit that suits it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def mark(row: Row, name: str) -> str:
    """The mark of a wide spread."""
    return " ~" if row.noisy(name) else ""


def timing(row: Row, name: str | None = None) -> list[str]:
    """A contender's time and its quartiles; the subject's where none is named."""
    quartiles = " to ".join(time_of(x) for x in np.percentile(row.times(name or row.subject), [25, 75]))
    return [time_of(row.median(name)) + mark(row, name or row.subject), quartiles]


def machine(record: Record, first: Sequence[tuple[str, str]], when: str) -> str:
    """What was measured on: what is particular to a page, then packages, revision and date."""
    m = record.machine
    versions = ", ".join(f"{name} {version}" for name, version in m["packages"].items() if version)
    rows = [*first, ("packages", versions), ("revision", m["revision"] or "not a checkout")]
    rows.append(("when", f"{record.date[:16]}{when.format(**m)}"))
    return table(["", ""], [(f"**{name}**", text) for name, text in rows])


def others(rows: Sequence[Row]) -> list[str]:
    """Who stands beside the subject in some of the rows, in order; the ceilings are one, and the last."""
    found = dict.fromkeys(name for row in rows for name in row.seconds if name not in (row.subject, *CEILINGS))
    return [*found, *([CEILING] if any(CEILING in row for row in rows) else [])]


def beside(row: Row, name: str) -> str:
    """How many times longer than the subject's a contender's step takes."""
    return str(ratio(row.times(name), row.times(row.subject))) + mark(row, name) if name in row else "-"


def peers(rows: Sequence[Row], where: Callable[[Row], str], absent: str) -> str:
    """Adam beside the peers: fastopt's time, and how many times longer each other one took. `absent` says what a dash stands for."""
    if not rows:
        return NONE
    subject = rows[0].subject
    names = others(rows)
    body = [[r["label"], where(r), time_of(r.median()) + mark(r, subject), *(beside(r, name) for name in names)] for r in rows]
    text = table(["tensors x parameters", "working set", subject, *names], body)
    text += f"\nColumns after {subject}: times {subject}'s time, the median of the rounds' ratios and its 95 % bootstrap interval;"
    return text + f" above 1 fastopt is faster, below 1 it loses. `-`: {absent} `~`: quartiles more than 15 % of the median apart.\n"


def calls(head: Sequence[str], rows: Sequence[Row], about: Callable[[Row], Sequence[Any]]) -> str:
    """Contenders below each other, and how many times longer than the first one of its row each takes."""
    body = []
    for row in rows:
        for name in row.seconds:
            relative = "1" if name == row.subject else str(ratio(row.seconds[name], row.seconds[row.subject]))
            body.append([*about(row), name, time_of(row.median(name)) + mark(row, name), relative])
    return or_none(head, body)


def rules(title: str, rows: Sequence[Row], share: Callable[[Row], str]) -> str:
    """Rules over sizes: time, GB/s, and the share of what a step is measured against."""
    labels = list(dict.fromkeys(r["label"] for r in rows))
    body = []
    for rule in dict.fromkeys(r["rule"] for r in rows):
        own = {r["label"]: r for r in rows if r["rule"] == rule}
        body.append([rule, *(_rule_cell(own[label], share) if label in own else "-" for label in labels)])
    return or_none([title, *labels], body)


def _rule_cell(row: Row, share: Callable[[Row], str]) -> str:
    return f"{time_of(row.median())}; {row.gigabytes_per_second():,.1f}; {share(row)}{mark(row, row.subject)}"
