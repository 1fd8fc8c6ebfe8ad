"""Whether reports/baseline was measured on this code: `python -m bench.baseline`.

A record holds the commit and the version that it was measured at. While a version is unreleased its baseline may be of older code, and this
says which commits came after. The commit that releases it, which takes "(unreleased)" out of CHANGELOG.md, must have the
baseline of its own code; a test holds that.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fastopt

from .records import Record, load

__all__ = ["BASELINE", "ROOT", "later_commits", "released", "wrong_with"]

ROOT = Path(__file__).parent.parent
BASELINE = ROOT / "reports" / "baseline" / "record.json"

MEASURED = ("fastopt", "bench", "setup.py", "pyproject.toml")
"""What the figures depend on, but for what follows."""

NOT_MEASURED = ("fastopt/cli", "fastopt/cuda", "bench/device")
REPORTING = ("baseline", "drawing", "markdown", "plots", "readme", "report", "tables", "targets")
"""Of `bench`, what makes a report out of a record."""


def later_commits(record: Record, root: Path = ROOT) -> list[str] | None:
    """The commits since the record's revision, newest first, that touched what was measured; None where git cannot tell."""
    revision = (record.machine["revision"] or "").removesuffix("-dirty")
    excluded = [*NOT_MEASURED, *(f"bench/{name}.py" for name in REPORTING)]
    command = ["git", "log", "--oneline", f"{revision}..HEAD", "--", *MEASURED, *(f":(exclude){path}" for path in excluded)]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.splitlines()


def released(changelog: str) -> bool:
    """Whether the newest version in a changelog is released."""
    newest = next(line for line in changelog.splitlines() if line.startswith("## "))
    return not newest.endswith("(unreleased)")


def wrong_with(record: Record, later: list[str] | None, version: str, *, is_release: bool) -> str | None:
    """What a baseline lacks, in a line or more; None if it is that of a version, or may be older because that is no release."""
    at, of = record.machine["revision"], record.machine["packages"]["fastopt"]
    if of != version:
        return f"reports/baseline was measured with fastopt {of}, and this is {version}: `make baseline` measures anew"
    if is_release and str(at).endswith("-dirty"):
        return f"reports/baseline was measured at {at}, whose changes nobody else has: commit, then `make baseline`"
    if is_release and later:
        commits = "\n".join(f"    {commit}" for commit in later)
        return f"reports/baseline was measured at {at}; {len(later)} commits to what it measures came after:\n{commits}"
    return None


if __name__ == "__main__":
    baseline = load(BASELINE)
    after = later_commits(baseline)
    problem = wrong_with(baseline, after, fastopt.__version__, is_release=True)
    if problem is None and after is None:
        problem = f"reports/baseline was measured at {baseline.machine['revision']}, a commit that git does not know here"
    print(problem or f"reports/baseline was measured on this code, at {baseline.machine['revision']}")
    sys.exit(problem is not None)
