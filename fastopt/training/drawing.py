"""The axes that results are drawn on: the caller's, or new ones of matplotlib's, which is imported when something is drawn."""

from __future__ import annotations

from typing import Any

__all__ = ["axes"]


def axes(ax: Any, xlabel: str, ylabel: str, *, log: str = "x") -> Any:
    """The axes `ax`, or new ones where that is None, labelled, with logarithmic scales where `log` says so ("x", "y" or "xy").

    Raises ImportError, saying what to install, where there is no matplotlib.
    """
    if ax is None:
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError(f"matplotlib cannot be imported ({error}): pip install 'fastopt[training]'") from error
        ax = pyplot.figure().add_subplot()
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    return ax
