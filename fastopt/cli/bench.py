"""Measures steps, training and peers on this machine, and writes the record and the report.

The quick profile takes about five minutes on two cores, the full one about half an hour. Everything behind `--` goes to
pytest: `fastopt bench -- -k peers`.

The record is pytest-benchmark's JSON, with an entry for each contender whose `stats` are seconds of one step. Two runs side by side:

    pytest-benchmark compare A/record.json B/record.json --between=median

A contender of a row is measured in turns with all the others of that row, also where `-k` chooses it alone; the report has whole rows only.

With `--device cuda` the same is measured on a GPU, without training and without pytest; meant for ten minutes, and not yet timed on one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from fastopt.cli import report

HELP = "measure, and write record and report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--profile", choices=("smoke", "quick", "full"), default="quick", help="how much (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="on the CPU or on a GPU (default: %(default)s)")
    where = f"where it goes (default: {report.DEFAULT_FOLDER}; for a GPU reports/ and its name)"
    parser.add_argument("--output", type=Path, metavar="FOLDER", help=where)
    parser.add_argument("--rules", metavar="MODULE", action="append", default=[], help="import this first: it enters rules")
    parser.add_argument("pytest_options", nargs="*", metavar="-- OPTIONS", help="for pytest")


def run(options: argparse.Namespace) -> int:
    """Runs the benchmark modules under pytest, then the report; pytest's exit status, if it is not 0."""
    if missing := report.missing_packages():
        print(missing, file=sys.stderr)
        return 1
    if options.device == "cuda":
        return _on_gpu(options)
    import pytest

    warnings.simplefilter("ignore", pytest.PytestAssertRewriteWarning)
    spec = find_spec("fastopt_bench")
    if spec is None or spec.origin is None:
        print("fastopt bench: the package fastopt_bench is not installed beside fastopt", file=sys.stderr)
        return 1
    if options.rules:
        os.environ["FASTOPT_RULES"] = ",".join(options.rules)
    output = options.output or report.DEFAULT_FOLDER
    output.mkdir(parents=True, exist_ok=True)
    scratch, record = output / "record.json.new", output / "record.json"
    status = pytest.main(
        [
            str(Path(spec.origin).parent),
            f"--profile={options.profile}",
            f"--benchmark-json={scratch}",
            "--benchmark-quiet",
            "--benchmark-disable-gc",
            "-q",
            "-p",
            "no:cacheprovider",
            *options.pytest_options,
        ]
    )
    if status != 0:
        return int(status)
    shutil.move(scratch, record)
    return report.run(argparse.Namespace(output=output, record=record))


def _on_gpu(options: argparse.Namespace) -> int:
    if options.pytest_options:
        print("fastopt bench: expected no options for pytest with --device cuda, which runs without it", file=sys.stderr)
        return 1
    for module in options.rules:
        import_module(module)
    return int(import_module("fastopt_bench.device").bench(options.profile, options.output))
