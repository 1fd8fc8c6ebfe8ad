"""The code blocks of the project's Markdown files, for the tests that run them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent

_BLOCK = re.compile(r"(?:<!-- (?P<path>\S+) -->\n)?```python\n(?P<code>.*?)```", re.DOTALL)


def python_blocks(name: str) -> list[tuple[str | None, str]]:
    """Each Python block of a file, with the path named in the comment just above it, if there is one."""
    return [(match["path"], match["code"]) for match in _BLOCK.finditer((ROOT / name).read_text())]
