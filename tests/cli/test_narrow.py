"""`fastopt narrow`: what it says and answers. (What it shares with `fastopt gallery` is asked there.)"""

from __future__ import annotations

import importlib.util
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from fastopt.cli import main, narrow


@pytest.fixture
def _all_there() -> None:
    for name in narrow.NEEDED:
        pytest.importorskip(name)


@pytest.mark.usefixtures("_all_there")
def test_one_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made" / "here"
    assert main(["narrow", "--output", str(folder), "--only", "magnitudes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"1/1 +\d+\.\d s  magnitudes", lines[0])
    assert lines[2:] == [f"narrow: {folder / 'README.md'}"]
    assert (folder / "magnitudes.png").stat().st_size > 5_000
    assert "](magnitudes.png)" in (folder / "README.md").read_text()


@pytest.mark.usefixtures("_all_there")
@pytest.mark.parametrize(("options", "profile"), [([], "quick"), (["--profile", "full"], "full")])
def test_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], profile: str) -> None:
    given: list[Any] = []
    page = import_module("fastopt_bench.narrow.page")
    monkeypatch.setattr(page, "make", lambda folder, only, tell, profile: given.append((folder, only, profile)))
    assert main(["narrow", "--output", str(tmp_path), *options]) == 0
    assert given == [(tmp_path, None, profile)]


@pytest.mark.usefixtures("_all_there")
def test_a_picture_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^fastopt narrow: --only: expected some of held, .*, dropped; received sunset$"):
        main(["narrow", "--output", str(tmp_path), "--only", "sunset"])


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ml_dtypes" else found(name))
    assert main(["narrow", "--output", str(tmp_path / "folder")]) == 1
    assert "the page of narrow storage needs ml_dtypes: pip install 'fastopt[bench]'" in capsys.readouterr().err
    assert not (tmp_path / "folder").exists()
