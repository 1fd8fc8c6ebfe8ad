"""The folder where compiled kernels are kept between processes."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

__all__ = ["directory", "store"]


def directory() -> Path | None:
    """FASTOPT_CACHE_DIR, or `fastopt` in the user's cache folder; None where neither can be written to."""
    chosen = os.environ.get("FASTOPT_CACHE_DIR")
    try:
        path = Path(chosen) if chosen else _user_folder() / "fastopt"
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return None
    return path if os.access(path, os.W_OK | os.X_OK) else None


def _user_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def store(path: Path, text: str) -> None:
    """Writes a text file whole or not at all; leaves one that already holds the text as it is, with its time stamp."""
    try:
        if path.read_text() == text:
            return
    except OSError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)
