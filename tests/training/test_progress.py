"""Progress bars: by tqdm, else by rich, else by nobody; and nothing where no terminal looks."""

from __future__ import annotations

import importlib.util
import io
import sys
from types import ModuleType
from typing import Any

import pytest

from fastopt.training import tracked


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Libraries:
    """Stand-ins for tqdm and rich that write down what they were asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *installed: str) -> None:
        self.calls: list[tuple[str, Any]] = []
        found = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name, package=None: (name in installed or None) if name in ("tqdm", "rich") else found(name, package),
        )
        tqdm, rich, console, progress = (ModuleType(name) for name in ("tqdm", "rich", "rich.console", "rich.progress"))
        tqdm.tqdm = lambda items, **options: self._asked("tqdm", items, options)  # type: ignore[attr-defined]
        console.Console = lambda stderr: ("console", stderr)  # type: ignore[attr-defined]
        progress.track = lambda items, **options: self._asked("rich", items, options)  # type: ignore[attr-defined]
        for module in (tqdm, rich, console, progress):
            monkeypatch.setitem(sys.modules, module.__name__, module)

    def _asked(self, name: str, items: Any, options: Any) -> Any:
        self.calls.append((name, options))
        return items


def test_tqdm_first(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    libraries = Libraries(monkeypatch, "tqdm", "rich")
    assert list(tracked([1, 2, 3], "epochs")) == [1, 2, 3]
    assert libraries.calls == [("tqdm", {"desc": "epochs", "total": 3, "file": terminal})]
    assert list(tracked(iter([1, 2]), total=2)) == [1, 2]
    assert list(tracked(iter([1, 2]))) == [1, 2]
    assert [call[1]["total"] for call in libraries.calls[1:]] == [2, None]


def test_rich_without_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    libraries = Libraries(monkeypatch, "rich")
    assert list(tracked("ab", "letters")) == ["a", "b"]
    assert libraries.calls == [("rich", {"description": "letters", "total": 2, "console": ("console", True)})]


def test_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    libraries = Libraries(monkeypatch)
    assert list(tracked(range(3), "epochs")) == [0, 1, 2]
    assert (libraries.calls, terminal.getvalue()) == ([], "")


@pytest.mark.parametrize("stderr", [io.StringIO(), None, "closed"])
def test_nobody_looks(monkeypatch: pytest.MonkeyPatch, stderr: Any) -> None:
    if stderr == "closed":
        stderr = io.StringIO()
        stderr.close()
    monkeypatch.setattr(sys, "stderr", stderr)
    libraries = Libraries(monkeypatch, "tqdm", "rich")
    assert list(tracked([1, 2])) == [1, 2]
    assert libraries.calls == []


def test_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    libraries = Libraries(monkeypatch, "tqdm", "rich")
    assert list(tracked([1, 2], show=False)) == [1, 2]
    assert libraries.calls == []


@pytest.mark.parametrize("library", ["tqdm", "rich"])
def test_the_real_ones(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    pytest.importorskip(library)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if {name, library} == {"tqdm", "rich"} else found(name, *rest)
    )
    assert list(tracked([1, 2, 3], "epochs")) == [1, 2, 3]
    assert "epochs" in terminal.getvalue()


def test_items_are_taken_one_by_one() -> None:
    taken = []

    def items() -> Any:
        for n in range(3):
            taken.append(n)
            yield n

    tracked_items = tracked(items())
    assert taken == []
    assert next(tracked_items) == 0
    assert taken == [0]


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"^total: expected an integer >= 0, received -1$"):
        tracked([1], total=-1)
    with pytest.raises(TypeError, match=r"^show: expected True or False"):
        tracked([1], show=None)  # type: ignore[arg-type]
