"""The page: every picture is on it, and what is drawn alone leaves the others as they were."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

import bench.gallery
from bench.gallery import PICTURES, page
from tests.documents import ROOT

COMMITTED = ROOT / "reports" / "gallery"


def test_every_module_that_draws_is_a_picture_of_the_page() -> None:
    modules = [found.name for found in pkgutil.iter_modules(bench.gallery.__path__)]
    drawing = {name for name in modules if hasattr(import_module(f"bench.gallery.{name}"), "draw")}
    assert drawing == set(PICTURES)
    assert len(PICTURES) == len(drawing)
    titles = [import_module(f"bench.gallery.{name}").TITLE for name in PICTURES]
    assert len(set(titles)) == len(titles)


def _drawn_as(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    from PIL import Image

    def draw_for(name: str) -> object:
        def draw(path: Path) -> str:
            Image.linear_gradient("L").convert("RGBA").save(path)
            return f"{words} of {name}"

        return draw

    for name in PICTURES:
        monkeypatch.setattr(import_module(f"bench.gallery.{name}"), "draw", draw_for(name))


def test_all_and_then_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image")
    _drawn_as(monkeypatch, "first")
    told: list[str] = []
    written = page.make(tmp_path, None, told.append)
    assert written == tmp_path / "README.md"
    assert [line.split()[-1] for line in told[:-1]] == list(PICTURES)
    assert told[0].startswith(f"1/{len(PICTURES)} ")
    assert told[-1].endswith(" s in all")
    text = written.read_text()
    assert list(page.sections_of(text)) == list(PICTURES)
    for name in PICTURES:
        assert f"]({name}.png)\n\nfirst of {name}\n" in text
        with image.open(tmp_path / f"{name}.png") as picture:
            assert picture.mode == "P"

    _drawn_as(monkeypatch, "second")
    told.clear()
    page.make(tmp_path, ["decays", "averages"], told.append)
    assert len(told) == 3
    again = page.sections_of(written.read_text())
    assert list(again) == list(PICTURES)
    for name in PICTURES:
        assert f"{'second' if name in ('decays', 'averages') else 'first'} of {name}\n" in again[name]


def test_some_where_there_is_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PIL")
    _drawn_as(monkeypatch, "first")
    page.make(tmp_path, ["share", "regimes"], lambda line: None)
    assert list(page.sections_of((tmp_path / "README.md").read_text())) == ["regimes", "share"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "regimes.png", "share.png"]


def test_the_committed_gallery_is_whole_and_small() -> None:
    sections = page.sections_of((COMMITTED / "README.md").read_text(encoding="utf-8"))
    assert list(sections) == list(PICTURES)
    for name, section in sections.items():
        assert section.startswith(f"## {import_module(f'bench.gallery.{name}').TITLE}\n")
    assert {path.name for path in COMMITTED.iterdir()} == {"README.md", *(f"{name}.png" for name in PICTURES)}
    assert sum(path.stat().st_size for path in COMMITTED.iterdir()) < 2_000_000
