"""The code blocks of the project's Markdown files, for the tests that run them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent

_BLOCK = re.compile(r"(?:<!-- (?P<path>\S+)(?: before (?P<line>[^\n]+))? -->\n)?```python\n(?P<code>.*?)```", re.DOTALL)


def python_blocks(name: str) -> list[tuple[str | None, str]]:
    """Each Python block of a file, with the path named in the comment just above it, if there is one."""
    return [(match["path"], match["code"]) for match in _BLOCK.finditer((ROOT / name).read_text())]


def put_in_place(name: str, folder: Path) -> list[str]:
    """Puts each block of a file that has a path where that says, in a copy of the tree: at the end, or before the line that begins so.

    Answers the paths, in order.
    """
    paths = []
    for match in _BLOCK.finditer((ROOT / name).read_text()):
        if match["path"] is None:
            continue
        paths.append(match["path"])
        path = folder / match["path"]
        text = path.read_text() if path.exists() else ""
        if match["line"] is None:
            path.write_text(text + ("\n\n" if text else "") + match["code"])
            continue
        lines = text.splitlines(keepends=True)
        (place,) = [i for i, line in enumerate(lines) if line.strip().startswith(match["line"])]
        path.write_text("".join([*lines[:place], match["code"], *lines[place:]]))
    return paths
