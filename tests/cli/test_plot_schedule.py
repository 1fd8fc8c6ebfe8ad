"""`fastopt plot-schedule`: pictures of schedules as they are written, or a line that says why there is none."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from fastopt.cli import main


def test_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    texts = ["cosine(0.1, steps=1000)", "warmup(100, cosine(0.1, steps=900))"]
    path = tmp_path / "schedule.svg"
    assert main(["plot-schedule", *texts, "--steps", "1000", "--output", str(path), "--label", "momentum"]) == 0
    assert capsys.readouterr().out == f"plot-schedule: {path}\n"
    drawn = path.read_text()
    for text in (*texts, "steps made before", "momentum"):
        assert f"<!-- {text} -->" in drawn
    assert "#0072b2" in drawn
    assert "#d55e00" in drawn
    assert main(["plot-schedule", "exponential(0.1, 0.9)", "--steps", "100000", "--log", "--output", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").stat().st_size > 5_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sine(0.1)"], r"^fastopt plot-schedule: sine\(0\.1\): schedule: expected one of .*; received 'sine'$"),
        (["cosine(0.1)"], r"^fastopt plot-schedule: cosine\(0\.1\): Cosine: missing 1 required"),
        (["exponential(0.1, 2)", "--steps", "3000"], r"expected finite values, received one that is not after 102[0-9] steps$"),
        (["cosine(0.1, 3)", "--steps", "0"], r"--steps: expected at least 1, received 0$"),
        (["cosine(0.1, 3)", "--output", "picture"], r"--output: expected a file with an ending that says its kind, received picture$"),
        (["cosine(0.1, 3)", "--output", "picture.doc"], r"picture\.doc: it cannot be written \("),
        (["cosine(0.1, 3)", "--output", "no/such/folder.png"], r"folder\.png: it cannot be written \("),
    ],
)
def test_what_cannot_be_drawn(arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        main(["plot-schedule", *arguments])
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["plot-schedule", "cosine(0.1, 3)"]) == 1
    assert "pip install 'fastopt[bench]'" in capsys.readouterr().err
