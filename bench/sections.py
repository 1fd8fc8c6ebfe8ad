"""A page of pictures: a section for each, which is drawn by a module of its name, with what its run had to say."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["make", "sections_of"]

MARK = "<!-- {name} -->\n"
"""What a section begins with, so that it can be found again."""


def make(
    folder: Path, package: str, names: Sequence[str], head: str, only: Collection[str] | None, tell: Callable[[str], None], *given: Any
) -> Path:
    """Draws pictures into a folder that is there, all or `only` some, and writes its README.md; tells of each one when it is drawn.

    Each is a module of the package: its `TITLE`, and `draw(path, *given) -> caption`. `head` is what the page begins with. The sections of
    pictures that are not drawn stay as they are on the page, if there is one. Returns the page's path.
    """
    page = folder / "README.md"
    sections = sections_of(page.read_text(encoding="utf-8")) if only and page.exists() else {}
    chosen = [name for name in names if not only or name in only]
    begun = time.monotonic()
    for k, name in enumerate(chosen, 1):
        start = time.monotonic()
        picture = import_module(f".{name}", package)
        path = folder / f"{name}.png"
        caption = picture.draw(path, *given)
        _made_small(path)
        sections[name] = f"## {picture.TITLE}\n\n![{picture.TITLE}]({name}.png)\n\n{caption}\n\n"
        tell(f"{k}/{len(chosen)}  {time.monotonic() - start:5.1f} s  {name}")
    tell(f"{time.monotonic() - begun:.0f} s in all")
    page.write_text(head + "".join(MARK.format(name=name) + sections[name] for name in names if name in sections), encoding="utf-8")
    return page


def _made_small(path: Path) -> None:
    """With a palette of 64 colours, which line drawings have room in, a picture takes a third of the bytes."""
    from PIL import Image

    with Image.open(path) as drawn:
        reduced = drawn.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True)


def sections_of(page: str) -> dict[str, str]:
    """The sections of a page by their pictures' names."""
    _, *parts = re.split(r"^<!-- (\w+) -->\n", page, flags=re.MULTILINE)
    return dict(zip(parts[0::2], parts[1::2], strict=True))
