"""What was measured in turns is what pytest-benchmark writes, shows, compares, and fails on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent), "COLUMNS": "200"}

CONFTEST = "from bench.replay import figures  # noqa: F401\n"

PLANTED = """
import os

import pytest

from bench.interleave import interleave
from bench.records import row_of
from bench.replay import replayed
from tests.bench.counted import Counted

SLOWED = float(os.environ.get("SLOWED", "1"))


def measured():
    with open("measured", "a") as log:
        log.write("once\\n")
    clock = Counted()
    kernel, other = clock.contender(2**-20 * SLOWED), clock.contender(2**-19)
    return row_of(interleave({"kernel": kernel, "twice the work": other}, 0.0), group="planted", label="one")


@replayed
@pytest.mark.parametrize("contender", ["kernel", "twice the work"])
def test_planted(benchmark, figures, contender):
    figures.hand_over(benchmark, "planted: one", contender, measured)
"""


def _run(folder: Path, module: str, *options: str, slowed: float = 1.0) -> subprocess.CompletedProcess[str]:
    """Benchmarks a module in a pytest of its own."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_module.py").write_text(module)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    environment = ENVIRONMENT | {"SLOWED": str(slowed)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100)


def _record(folder: Path, module: str, *options: str, slowed: float = 1.0) -> Path:
    path = folder / f"slowed {slowed}.json"
    done = _run(folder, module, f"--benchmark-json={path}", *options, slowed=slowed)
    assert done.returncode == 0, done.stdout + done.stderr
    return path


def _entries(path: Path) -> dict[str, Any]:
    return {entry["param"]: entry for entry in json.loads(path.read_text())["benchmarks"]}


def _compare(records: Sequence[Path], *options: str) -> str:
    command = [str(Path(sys.executable).with_name("pytest-benchmark")), "compare", *map(str, records), *options]
    done = subprocess.run(command, cwd=records[0].parent, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_statistics_are_seconds_of_one_step_and_twice_the_work_reads_two(tmp_path: Path) -> None:
    kernel, other = _entries(_record(tmp_path, PLANTED)).values()
    assert kernel["stats"]["data"] == [2**-20] * 3
    assert other["stats"]["median"] / kernel["stats"]["median"] == 2.0
    assert other["stats"]["min"] / kernel["stats"]["min"] == 2.0
    assert kernel["stats"]["iterations"] == 1
    assert kernel["group"] == other["group"] == "planted: one"  # so that pytest-benchmark's tables show them together
    assert kernel["extra_info"]["contender"] == "kernel"
    assert kernel["extra_info"]["subject"] == other["extra_info"]["subject"] == "kernel"
    assert kernel["extra_info"]["own"]["steps_per_round"] > 1
    assert (tmp_path / "measured").read_text() == "once\n"


def test_a_chosen_contender_is_still_measured_beside_the_others(tmp_path: Path) -> None:
    (other,) = _entries(_record(tmp_path, PLANTED, "-k", "twice")).values()
    assert other["stats"]["median"] == 2**-19
    assert other["extra_info"]["contenders"] == ["kernel", "twice the work"]


def test_compare_points_at_a_kernel_that_is_slower_by_half(tmp_path: Path) -> None:
    records = [_record(tmp_path, PLANTED), _record(tmp_path, PLANTED, slowed=1.5)]
    (line,) = (line for line in _compare(records, "--between=median").splitlines() if "test_planted[kernel]" in line)
    assert line.endswith("+50.0%")
    _compare(records, "--csv=both.csv", "--columns=median")
    written = [line.split(",") for line in (tmp_path / "both.csv").read_text().splitlines()]
    medians = [float(cells[-1]) for cells in written if "test_planted[kernel]" in cells[0]]
    assert sorted(medians) == [2**-20, 1.5 * 2**-20]


def test_a_run_can_be_made_to_fail_on_it(tmp_path: Path) -> None:
    options = ["--benchmark-compare", "--benchmark-compare-fail=median:30%", "--benchmark-storage=file://saved"]
    assert _run(tmp_path, PLANTED, "--benchmark-save=first", "--benchmark-storage=file://saved").returncode == 0
    assert _run(tmp_path, PLANTED, *options).returncode == 0
    slower = _run(tmp_path, PLANTED, *options, slowed=1.5)
    assert slower.returncode != 0
    said = slower.stdout + slower.stderr
    assert re.search(r"test_planted\[kernel\] .*50\.0+\d* > 30", said), said
    assert "test_planted[twice the work] -" not in said


def test_the_benchmarks_themselves_are_compared_with_a_run_of_another_revision(tmp_path: Path) -> None:
    """With the project's own settings, where warnings are errors, and one of them says that the machine is described otherwise."""
    root = Path(__file__).parent.parent.parent
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    command = [sys.executable, "-m", "pytest", "bench/test_step.py", "--profile=smoke", "-k", "sgd-numpy-float32", "-p"]
    command += ["no:cacheprovider"]

    def run(*options: str) -> str:
        done = subprocess.run([*command, *options], cwd=root, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run(f"--benchmark-json={first}")
    content = json.loads(first.read_text())
    content["machine_info"]["fastopt"]["revision"] = "another"
    first.write_text(json.dumps(content))
    said = run(f"--benchmark-json={second}", f"--benchmark-compare={first}", "--benchmark-compare-fail=median:100000%")
    assert "Benchmark machine_info is different" in said
    assert "first" in said


def test_where_measuring_fails_it_fails_for_every_contender_and_is_not_tried_again(tmp_path: Path) -> None:
    wrong = PLANTED.replace("    clock = Counted()", "    raise AssertionError('3 ULP from the reference')")
    done = _run(tmp_path, wrong)
    assert done.returncode == 1
    assert "2 failed" in done.stdout
    assert done.stdout.count("\nplanted: one: AssertionError: 3 ULP from the reference") == 1
    assert (tmp_path / "measured").read_text() == "once\n"


def test_a_contender_that_turned_out_not_to_be_there_is_skipped(tmp_path: Path) -> None:
    done = _run(tmp_path, PLANTED.replace('"twice the work"])', '"twice the work", "nobody"])'), "-rs")
    assert done.returncode == 0, done.stdout
    assert "planted: one: nobody is not there on this machine" in done.stdout
    assert "2 passed, 1 skipped" in done.stdout


def test_a_test_without_the_mark_is_refused(tmp_path: Path) -> None:
    done = _run(tmp_path, PLANTED.replace("@replayed\n", ""))
    assert done.returncode == 1
    assert "is the test marked with `replayed`?" in done.stdout


@pytest.mark.parametrize("option", ["--benchmark-disable", "--benchmark-skip"])
def test_benchmarks_can_be_switched_off(tmp_path: Path, option: str) -> None:
    done = _run(tmp_path, PLANTED, option)
    assert done.returncode == 0, done.stdout
