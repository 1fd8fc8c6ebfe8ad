"""The committed baseline: of this version always, and of this very code where the version is released."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import fastopt
from bench.baseline import BASELINE, later_commits, released, wrong_with
from bench.records import Record, load
from tests.documents import ROOT

PACKAGES = {"fastopt": "0.1.0"}


def test_a_release_has_the_baseline_of_its_own_code() -> None:
    record = load(BASELINE)
    later = later_commits(record)
    wrong = wrong_with(record, later, fastopt.__version__, is_release=released((ROOT / "CHANGELOG.md").read_text()))
    assert wrong is None, wrong
    if later is None:
        pytest.skip("git does not know the commit that the baseline was measured at: not a whole checkout")


def test_it_is_committed_a_row_a_line() -> None:
    assert len(BASELINE.read_text().splitlines()) == len(load(BASELINE).rows) + 2


def _record(revision: str, version: str = "0.1.0") -> Record:
    return Record({"revision": revision, "packages": {"fastopt": version}}, "", [])


def test_a_release_of_other_code_is_told_which_commits_came_after() -> None:
    later = ["1111111 A faster kernel", "2222222 A slower one"]
    assert wrong_with(_record("abc"), later, "0.1.0", is_release=False) is None
    assert wrong_with(_record("abc"), [], "0.1.0", is_release=True) is None
    said = wrong_with(_record("abc"), later, "0.1.0", is_release=True)
    assert said is not None
    assert said.splitlines()[0] == "reports/baseline was measured at abc; 2 commits to what it measures came after:"
    assert said.splitlines()[1:] == ["    1111111 A faster kernel", "    2222222 A slower one"]
    assert "commit, then" in str(wrong_with(_record("abc-dirty"), [], "0.1.0", is_release=True))


def test_another_version_needs_another_baseline_even_before_its_release() -> None:
    said = wrong_with(_record("abc"), [], "0.2.0", is_release=False)
    assert said == "reports/baseline was measured with fastopt 0.1.0, and this is 0.2.0: `make baseline` measures anew"


def test_a_version_is_released_when_the_changelog_no_longer_says_otherwise() -> None:
    assert not released("# Changelog\n\n## 0.2.0 (unreleased)\n\n## 0.1.0 (2026-12-01)\n")
    assert released("# Changelog\n\n## 0.1.0 (2026-12-01)\n")


def test_only_commits_to_what_was_measured_count(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        options = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *options, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    def commit(path: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("changed")
        git("add", "-A")
        git("commit", "-qm", f"To {path}")

    git("init", "-q")
    commit("README.md")
    start = git("describe", "--always")
    for path in ("README.md2", "reports/baseline/record.json", "bench/plots.py", "fastopt/cli/info.py", "bench/device/run.py"):
        commit(path)
    assert later_commits(_record(start), tmp_path) == []
    for path in ("fastopt/rules/adam.py", "bench/interleave.py", "bench/peers/new.py", "setup.py"):
        commit(path)
    found = later_commits(_record(f"{start}-dirty"), tmp_path)
    assert found is not None
    assert [line.split(" To ")[1] for line in found] == ["setup.py", "bench/peers/new.py", "bench/interleave.py", "fastopt/rules/adam.py"]
    assert later_commits(_record("0123456"), tmp_path) is None
