"""The page that the pictures stand on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from .. import sections
from ..sections import sections_of
from . import PICTURES
from .effort import PROFILES

__all__ = ["PICTURES", "make", "sections_of"]

HEAD = """# fastopt: narrow storage

Written by `fastopt narrow`: what it costs, and what it does, to keep the states of an optimizer in fewer bytes (`state_dtype=`), and
parameters too (`master_bits=`, `stochastic_rounding=`). Every picture, table and number is of runs that were made when the page was; seeds
are fixed, so all but what is timed comes out the same again on the same machine. The code of each section is the module of its name in
`bench/narrow/`.

The first two sections say what there is to gain of states, the next two what a training notes of it, and one what both are for parameters.
The last ones are what goes wrong, each with the storage that has it beside one that has not.

"""


def make(folder: Path, only: Collection[str] | None, tell: Callable[[str], None], profile: str = "quick") -> Path:
    """Draws all pictures or `only` some, and writes the page (`bench.sections`); returns its path."""
    return sections.make(folder, __package__, PICTURES, HEAD, only, tell, PROFILES[profile])
