"""What stands for fastopt in tables and plots: its host backends, by the names and in the order that all pages have."""

from __future__ import annotations

from collections.abc import Iterable

from fastopt import backends

__all__ = ["OURS", "REFERENCE", "here", "ordered"]

OURS = "fastopt "
"""What stands before the backend in the name of a contender."""

REFERENCE = backends.HOST[0]
"""The backend of plain NumPy, which the others are checked against."""


def ordered(names: Iterable[str]) -> list[str]:
    """Backends with the reference last, as a report puts them; a name that this fastopt does not know comes after it."""
    known = list(reversed(backends.HOST))
    return sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))


def here() -> list[str]:
    """The contenders of this machine, one for each host backend that can be used."""
    return [f"{OURS}{name}" for name in ordered(backends.on_host())]
