"""Copies of the source tree that tests build: with the kernels of few rules, and not optimized, which take a fifth of the time."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path


def only(setup: Path, rules: Sequence[str]) -> None:
    """Makes a copy of setup.py compile the kernels of these rules ahead, and of no others, and no extension for devices and drop-ins."""
    replaced = {
        "for rule in RULES.values()": f"for rule in map(RULES.__getitem__, {tuple(rules)!r})",
        "for name in (*SMALL, LAUNCH)": 'for name in (*(small for small in SMALL if ".host." in small), LAUNCH)',
    }
    text = setup.read_text()
    for before, after in replaced.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    setup.write_text(text)


def in_haste(folder: Path, compiler: str = "cc", refused: str | None = None) -> dict[str, str]:
    """What to set in the environment so that a C compiler optimizes nothing, and fails wherever it is given one argument.

    Nothing that is tested so depends on it: the bits do not, and speed is not looked at.
    """
    if shutil.which(compiler) is None:
        return {}
    script = folder / "compiler"
    fails = f'for a in "$@"; do [ "$a" = {refused} ] && {{ echo "not here" >&2; exit 1; }}; done\n' if refused else ""
    script.write_text(f'#!/bin/sh\n{fails}exec {compiler} "$@" -O0\n')
    script.chmod(0o755)
    return {"CC": str(script), "LDSHARED": f"{script} -shared"}
