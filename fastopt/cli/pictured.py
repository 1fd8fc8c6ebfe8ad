"""What the commands have in common that write a page of pictures: options, what has to be installed, and where the page goes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastopt.cli import report

__all__ = ["NEEDED", "add_arguments", "run"]

NEEDED = ("matplotlib", "sklearn", "PIL", "pytest", "pytest_benchmark", "threadpoolctl")


def add_arguments(parser: argparse.ArgumentParser, folder: Path, examples: str) -> None:
    """The options of such a command, whose page goes to `folder` by default; `examples` are names of some of its pictures."""
    parser.add_argument("--output", type=Path, default=folder, metavar="FOLDER", help="where it goes (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"draw these pictures alone, such as {examples}")


def run(command: str, options: argparse.Namespace, what: str, needed: Sequence[str] = NEEDED, **given: Any) -> int:
    """Makes a page by `fastopt_bench.<command>.page`: its `make`, which takes `given` too, and its `PICTURES`.

    1 if packages are missing, and a message in the place of an exit status for bad options.
    """
    if missing := report.missing_packages(needed, what):
        print(missing, file=sys.stderr)
        return 1
    if find_spec("fastopt_bench") is None:
        print(f"fastopt {command}: the package fastopt_bench is not installed beside fastopt", file=sys.stderr)
        return 1
    page = import_module(f"fastopt_bench.{command}.page")
    unknown = [name for name in options.only or () if name not in page.PICTURES]
    if unknown:
        raise SystemExit(f"fastopt {command}: --only: expected some of {', '.join(page.PICTURES)}; received {', '.join(unknown)}")
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"fastopt {command}: {options.output}: it cannot be written to ({error})") from error
    print(f"{command}: {page.make(options.output, options.only, lambda line: print(line, flush=True), **given)}")
    return 0
