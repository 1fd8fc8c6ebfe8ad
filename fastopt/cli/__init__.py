"""The command line: `fastopt bench | report | check | info | plot-schedule | gallery | narrow`, one module each."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import fastopt
from fastopt import backends
from fastopt.cli import bench, check, gallery, info, narrow, plot_schedule, report
from fastopt.host import threads

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="fastopt", description="Optimizer steps as fused kernels: measure, report, cross-check, inspect.")
    every = (bench, report, check, info, plot_schedule, gallery, narrow)
    modules = {module.__name__.rsplit(".", 1)[1].replace("_", "-"): module for module in every}
    commands = parser.add_subparsers(dest="command", required=True, metavar=" | ".join(modules))
    for name, module in modules.items():
        own = commands.add_parser(name, help=module.HELP, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        module.add_arguments(own)
        own.set_defaults(run=module.run)
    parser.add_argument("--version", action="version", version=f"fastopt {fastopt.__version__}")
    chosen = parser.parse_args(arguments)
    try:
        threads.resolve(None)
        backends.default()
    except ValueError as error:  # of the environment, which every command goes by
        parser.error(str(error))
    return int(chosen.run(chosen))
