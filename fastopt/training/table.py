"""Rows of text under their headings."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["table"]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as what is in them, two spaces apart; one that is empty throughout is left out."""
    filled = [i for i in range(len(head)) if any(row[i] for row in rows) or not rows]
    lines = [[line[i] for i in filled] for line in (head, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(filled))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
