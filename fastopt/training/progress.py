"""How far something long has come, shown by tqdm or rich where one is installed, and to nobody where no terminal looks."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from fastopt import arguments
from fastopt.rules.domain import FLAG

__all__ = ["tracked"]

Item = TypeVar("Item")


def tracked(iterable: Iterable[Item], description: str = "", *, total: int | None = None, show: bool = True) -> Iterator[Item]:
    """The items of an iterable, one by one, with a bar on stderr of how many have been taken.

    Parameters
    ----------
    iterable
        What to go through; read no further ahead than it is asked for.
    description
        What stands before the bar.
    total
        How many items there are; None asks the iterable, which need not know.
    show
        False writes nothing. Nor is anything written where stderr is no terminal, or neither tqdm nor rich is installed.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    elif total is not None:
        total = arguments.whole_number(total, "total", 0)
    if not FLAG.checked(show, "show") or not _looked_at():
        return iter(iterable)
    if importlib.util.find_spec("tqdm") is not None:
        from tqdm import tqdm

        return iter(tqdm(iterable, desc=description or None, total=total, file=sys.stderr))
    if importlib.util.find_spec("rich") is not None:
        from rich.console import Console
        from rich.progress import track

        return iter(track(iterable, description=description, total=total, console=Console(stderr=True)))
    return iter(iterable)


def _looked_at() -> bool:
    """Whether stderr is a terminal; it may have been closed, or be None, as under pythonw."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:
        return False
