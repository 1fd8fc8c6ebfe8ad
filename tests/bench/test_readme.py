"""The figures in the README are written from the baseline's record."""

from __future__ import annotations

from bench.baseline import BASELINE
from bench.readme import replaced
from bench.records import load
from tests.documents import ROOT


def test_the_figures_are_those_of_the_baseline() -> None:
    text = (ROOT / "README.md").read_text()
    assert replaced(text, load(BASELINE)) == text
