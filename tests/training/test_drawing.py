"""Axes: the caller's or new ones, and what is said where there is no matplotlib."""

from __future__ import annotations

import sys

import pytest

from fastopt.training.drawing import axes


def test_the_callers_axes() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    figure = pytest.importorskip("matplotlib.figure").Figure()
    own = figure.add_subplot()
    assert axes(own, "x", "y", log="xy") is own
    assert (own.get_xscale(), own.get_yscale(), own.get_xlabel(), own.get_ylabel()) == ("log", "log", "x", "y")
    other = axes(None, "x", "y", log="")
    assert other is not own
    assert (other.get_xscale(), other.get_yscale()) == ("linear", "linear")


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"^matplotlib cannot be imported \(.*\): pip install 'fastopt\[training\]'$"):
        axes(None, "x", "y")
