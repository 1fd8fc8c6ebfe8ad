"""Draws a gallery of what optimizers do, from runs of the package itself, and a page of Markdown around the pictures.

Learning rates from very high to low, the decays, batch and mini-batch and stochastic descent, moving averages, the ways of all
optimizers over x^2/20 + y^2, the best learning rate and the update's share over the batch size. It takes half a minute on two cores. Seeds
are fixed: all but what is timed comes out the same again.

With --only, the page keeps what it had of the others.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from fastopt.cli import report

HELP = "draw what optimizers do, from real runs"

DEFAULT_FOLDER = Path("reports", "gallery")
NEEDED = ("matplotlib", "sklearn", "PIL", "pytest", "pytest_benchmark", "threadpoolctl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--output", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER", help="where it goes (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="draw these pictures alone, such as regimes or decays")


def run(options: argparse.Namespace) -> int:
    """Draws the pictures and writes the page; 1 if packages are missing, and a message in the place of an exit status for bad options."""
    if missing := report.missing_packages(NEEDED, "the gallery"):
        print(missing, file=sys.stderr)
        return 1
    if find_spec("fastopt_bench") is None:
        print("fastopt gallery: the package fastopt_bench is not installed beside fastopt", file=sys.stderr)
        return 1
    page = import_module("fastopt_bench.gallery.page")
    unknown = [name for name in options.only or () if name not in page.PICTURES]
    if unknown:
        raise SystemExit(f"fastopt gallery: --only: expected some of {', '.join(page.PICTURES)}; received {', '.join(unknown)}")
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"fastopt gallery: {options.output}: it cannot be written to ({error})") from error
    print(f"gallery: {page.make(options.output, options.only, lambda line: print(line, flush=True))}")
    return 0
