"""Draws a gallery of what optimizers do, from runs of the package itself, and a page of Markdown around the pictures.

Learning rates from very high to low, the decays, batch and mini-batch and stochastic descent, moving averages, the ways of all
optimizers over x^2/20 + y^2, the best learning rate and the update's share over the batch size. It takes half a minute on two cores. Seeds
are fixed: all but what is timed comes out the same again.

With --only, the page keeps what it had of the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fastopt.cli import pictured

HELP = "draw what optimizers do, from real runs"

DEFAULT_FOLDER = Path("reports", "gallery")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    pictured.add_arguments(parser, DEFAULT_FOLDER, "regimes or decays")


def run(options: argparse.Namespace) -> int:
    """Draws the pictures and writes the page; 1 if packages are missing, and a message in the place of an exit status for bad options."""
    return pictured.run("gallery", options, "the gallery")
