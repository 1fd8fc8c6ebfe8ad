"""The folder where compiled kernels are kept between processes.

What lies there is run, so it has to be what this user's own processes left there. A folder that others can write to is not used, and
compiled files have a digest beside them (`seal`), by which a file that was damaged, cut short or left behind by a killed compilation
is known before anything loads it (`intact`): it is taken away then, and compiled again. One process at a time does that (`locked`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["directory", "intact", "locked", "readable", "seal", "store", "why_none"]


def directory() -> Path | None:
    """FASTOPT_CACHE_DIR, or `fastopt` in the user's cache folder; None where that cannot be used (`why_none`)."""
    found = _looked_for()
    return found if isinstance(found, Path) and _writable(found) else None


def readable() -> Path | None:
    """The same, also where it was filled and can only be read now, as in an image."""
    found = _looked_for()
    return found if isinstance(found, Path) else None


def why_none() -> str | None:
    """Why there is no folder to write to, in words; None if there is one."""
    found = _looked_for()
    if isinstance(found, Path):
        return None if _writable(found) else f"{found} cannot be written to"
    return found


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK | os.X_OK)


def _looked_for() -> Path | str:
    chosen = os.environ.get("FASTOPT_CACHE_DIR")
    try:
        path = Path(chosen) if chosen else _user_folder() / "fastopt"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        return f"it cannot be made ({error})"
    if path.is_symlink():
        return f"{path} is a link, which others may be able to turn, and what lies there is run"
    if hasattr(os, "getuid"):
        if status.st_uid not in (os.getuid(), 0):
            return f"{path} is another user's, and what lies there is run"
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"{path} can be written to by others, and what lies there is run (chmod go-w)"
    return path


def _user_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def store(path: Path, text: str) -> None:
    """Writes a text file whole or not at all; leaves one that already holds the text as it is, with its time stamp."""
    try:
        if path.read_bytes() == text.encode():  # bytes: what lies there may be no text any more
            return
    except OSError:
        pass
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(prefix=f"{path.stem}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
        Path(scratch).replace(path)
    except BaseException:  # the disk may be full
        Path(scratch).unlink(missing_ok=True)
        raise


@contextmanager
def locked(beside: Path) -> Iterator[None]:
    """Waits until no other process is within this for the same path; does without where the system has no such locks.

    Takes away what one that was killed within it left: files and folders beside the path that are called `STEM.*.tmp*`.
    """
    path = beside.with_suffix(".lock")
    try:
        import fcntl

        beside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            file = path.open("a", encoding="utf-8")
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is(file.fileno(), path):
                break
            file.close()  # who had the lock took the file away
    except (ImportError, OSError):
        yield
        return
    try:
        for left in beside.parent.glob(f"{beside.stem}.*.tmp*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                with suppress(OSError):
                    left.unlink()
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        file.close()


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def seal(seal_file: Path, files: Iterable[Path]) -> None:
    """Writes down what these files, which lie beside it, hold now. Raises OSError where that cannot be written."""
    store(seal_file, json.dumps({file.name: _digest(file) for file in sorted(files)}))


def intact(seal_file: Path, files: Iterable[Path]) -> bool:
    """Whether there are files, and they hold what was written down; if not, they are taken away.

    Says so once where a file is not what it was; one that nobody has sealed yet was left behind by a process that was killed.
    """
    present = sorted(files)
    try:
        expected = json.loads(seal_file.read_text(encoding="utf-8"))
        sealed = isinstance(expected, dict)
    except (OSError, ValueError):
        expected, sealed = None, False
    if present and expected == {file.name: _digest(file) for file in present}:
        return True
    if sealed and present:
        warnings.warn(f"{seal_file.parent}: the files of {seal_file.stem} are damaged; compiling them again", RuntimeWarning, stacklevel=2)
    for file in (*present, seal_file):
        with suppress(OSError):
            file.unlink()
    return False


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
