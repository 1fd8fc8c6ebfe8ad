"""The page: every picture is on it, and gets the effort of its profile."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

import bench.narrow
from bench.narrow import PICTURES, page
from bench.narrow.effort import PROFILES, Effort
from fastopt.host import threads
from tests.documents import ROOT

COMMITTED = ROOT / "reports" / "narrow"


def test_every_module_that_draws_is_a_picture_of_the_page() -> None:
    modules = [found.name for found in pkgutil.iter_modules(bench.narrow.__path__)]
    drawing = {name for name in modules if hasattr(import_module(f"bench.narrow.{name}"), "draw")}
    assert drawing == set(PICTURES)
    assert len(PICTURES) == len(drawing)
    titles = [import_module(f"bench.narrow.{name}").TITLE for name in PICTURES]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("profile", PROFILES)
def test_all_get_the_effort_of_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str) -> None:
    image = pytest.importorskip("PIL.Image")
    given = []

    def draw(path: Path, effort: Effort) -> str:
        image.linear_gradient("L").save(path)
        given.append(effort)
        return "said"

    for name in PICTURES:
        monkeypatch.setattr(import_module(f"bench.narrow.{name}"), "draw", draw)
    told: list[str] = []
    written = page.make(tmp_path, None, told.append, profile)
    assert given == [PROFILES[profile]] * len(PICTURES)
    assert len(told) == len(PICTURES) + 1
    assert list(page.sections_of(written.read_text())) == list(PICTURES)
    assert written.read_text().startswith("# fastopt: narrow storage\n")


def test_efforts() -> None:
    assert PROFILES["quick"].seeds == PROFILES["full"].seeds == 5
    assert PROFILES["quick"].steps >= 5_000
    assert max(PROFILES["full"].sizes) == 64_000_000
    assert PROFILES["quick"].processes == threads.available()


def test_the_committed_page_is_whole_and_small() -> None:
    sections = page.sections_of((COMMITTED / "README.md").read_text(encoding="utf-8"))
    assert list(sections) == list(PICTURES)
    for name, section in sections.items():
        assert section.startswith(f"## {import_module(f'bench.narrow.{name}').TITLE}\n")
    assert {path.name for path in COMMITTED.iterdir()} == {"README.md", *(f"{name}.png" for name in PICTURES)}
    assert sum(path.stat().st_size for path in COMMITTED.iterdir()) < 1_000_000
