"""`fastopt gallery`: what it says and answers."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from fastopt.cli import main, pictured


@pytest.fixture
def _all_there() -> None:
    for name in pictured.NEEDED:
        pytest.importorskip(name)


@pytest.mark.usefixtures("_all_there")
def test_one_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made" / "here"
    assert main(["gallery", "--output", str(folder), "--only", "trajectories"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"1/1 +\d+\.\d s  trajectories", lines[0])
    assert re.fullmatch(r"\d+ s in all", lines[1])
    assert lines[2:] == [f"gallery: {folder / 'README.md'}"]
    assert (folder / "trajectories.png").stat().st_size > 5_000
    assert "](trajectories.png)" in (folder / "README.md").read_text()


@pytest.mark.usefixtures("_all_there")
def test_a_picture_that_there_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with pytest.raises(SystemExit, match=r"^fastopt gallery: --only: expected some of regimes, .*, share; received sunset, dawn$"):
        main(["gallery", "--output", str(folder), "--only", "regimes", "sunset", "dawn"])
    assert not folder.exists()


@pytest.mark.usefixtures("_all_there")
def test_a_folder_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(SystemExit, match=r"^fastopt gallery: .*file: it cannot be written to \("):
        main(["gallery", "--output", str(path), "--only", "regimes"])


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("matplotlib", "sklearn") else found(name))
    assert main(["gallery", "--output", str(tmp_path / "folder"), "--only", "trajectories"]) == 1
    assert not (tmp_path / "folder").exists()
    shown = capsys.readouterr()
    assert "the gallery needs matplotlib, sklearn" in shown.err
    assert "pip install 'fastopt[bench]'" in shown.err
    assert shown.out == ""


@pytest.mark.usefixtures("_all_there")
def test_without_the_benchmark_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(pictured, "find_spec", lambda name: None)
    assert main(["gallery", "--output", str(tmp_path / "folder"), "--only", "trajectories"]) == 1
    assert not (tmp_path / "folder").exists()
    assert capsys.readouterr().err == "fastopt gallery: the package fastopt_bench is not installed beside fastopt\n"
