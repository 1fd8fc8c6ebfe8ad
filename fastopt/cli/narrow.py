"""Shows what it costs and does to keep the states of an optimizer in fewer bytes, from runs of the package itself, on a page with pictures.

Bytes held and moved, the time of a step beside what its bytes say, three trainings from five seeds paired with float32, and what goes
wrong with narrow storage, each with the storage that has it beside one that has not. It takes some six minutes on two cores, with
--profile full a quarter of an hour. Seeds are fixed: all but what is timed comes out the same again.

With --only, the page keeps what it had of the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fastopt.cli import pictured

HELP = "show what narrow storage of states costs and does"

DEFAULT_FOLDER = Path("reports", "narrow")
NEEDED = (*pictured.NEEDED, "scipy", "ml_dtypes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    pictured.add_arguments(parser, DEFAULT_FOLDER, "times or training")
    parser.add_argument("--profile", choices=("quick", "full"), default="quick", help="how much (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Measures, trains, and writes the page; 1 if packages are missing, and a message in the place of an exit status for bad options."""
    return pictured.run("narrow", options, "the page of narrow storage", NEEDED, profile=options.profile)
