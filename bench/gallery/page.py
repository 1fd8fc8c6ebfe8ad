"""The page that the pictures stand on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from .. import sections
from ..sections import sections_of
from . import PICTURES

__all__ = ["PICTURES", "make", "sections_of"]

HEAD = """# fastopt: gallery

Written by `fastopt gallery`. Every picture is drawn from runs of the package itself, and the numbers below them are of these runs; seeds
are fixed, so all but what is timed comes out the same again on the same machine. The code of each picture is the module of its name in
`bench/gallery/`. Losses are in nats unless something else is said.

"""


def make(folder: Path, only: Collection[str] | None, tell: Callable[[str], None]) -> Path:
    """Draws all pictures or `only` some, and writes the page (`bench.sections`); returns its path."""
    return sections.make(folder, __package__, PICTURES, HEAD, only, tell)
