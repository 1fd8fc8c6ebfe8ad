"""Turns the record of a `fastopt bench` run into a report: Markdown tables and plots."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

HELP = "turn a record into Markdown and plots"

DEFAULT_FOLDER = Path("reports", "latest")
NEEDED = ("pytest", "pytest_benchmark", "scipy", "matplotlib", "sklearn", "PIL", "threadpoolctl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--output", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER", help="where it goes (default: %(default)s)")
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="the record (default: record.json in that folder, into which another one is put too, a row a line)",
    )


def run(options: argparse.Namespace) -> int:
    """Writes the report; 1 if there is no record or the benchmark's packages are missing."""
    record = options.record or options.output / "record.json"
    if missing := missing_packages():
        print(missing, file=sys.stderr)
        return 1
    if not record.exists():
        print(f"fastopt report: there is no {record}; `fastopt bench` makes one", file=sys.stderr)
        return 1
    page = import_module("fastopt_bench.report").write(record, options.output)
    print(f"report: {page}")
    return 0


def missing_packages(needed: Sequence[str] | None = None, what: str = "the benchmark") -> str | None:
    """What has to be installed first, as a line for the user."""
    absent = [name for name in (NEEDED if needed is None else needed) if importlib.util.find_spec(name) is None]
    return f"fastopt: {what} needs {', '.join(absent)}: pip install 'fastopt[bench]'" if absent else None
