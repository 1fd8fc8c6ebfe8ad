"""`fastopt bench` and `fastopt report`, in their smallest profile: a record, a page, plots, and what they say when they cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import test_step
from bench.records import load
from fastopt.cli import main, report

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of one small run, in a process of its own: pytest cannot run itself."""
    output = tmp_path_factory.mktemp("report")
    command = [sys.executable, "-m", "fastopt", "bench", "--profile", "smoke", "--output", str(output)]
    chosen = [
        "--",
        "-k",
        "sgd-numpy-float32 or sgd-numba-float32 or (first_step and numpy) or training or (call and functional) or between",
    ]
    done = subprocess.run(
        [*command, *chosen], capture_output=True, text=True, check=False, timeout=300, env=os.environ | {"COLUMNS": "150"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def test_the_record_is_pytest_benchmarks_json_with_the_machine(folder: Path) -> None:
    record = json.loads((folder / "record.json").read_text())
    machine = record["machine_info"]["fastopt"]
    assert machine["profile"] == "smoke"
    assert machine["packages"]["numpy"]
    groups = {benchmark["extra_info"]["group"] for benchmark in record["benchmarks"]}
    assert {"step", "first step", "training"} <= groups


def test_every_timed_row_has_its_rounds_and_its_ceilings(folder: Path) -> None:
    steps = load(folder / "record.json").group("step")
    assert steps
    for row in steps:
        lengths = {len(values) for values in row.seconds.values()}
        assert list(row.seconds) == test_step.contenders(row["rule"], row["backend"], row["dtype"])
        assert len(lengths) == 1  # as many rounds of each: they took turns
        assert min(lengths) >= 3
        assert all((values > 0).all() for values in row.seconds.values())


def test_the_statistics_are_seconds_of_one_step(folder: Path) -> None:
    """What the rows of processes and of training say besides agrees with that; the others are planted in tests/bench/test_replay.py."""
    record = json.loads((folder / "record.json").read_text())["benchmarks"]
    for entry in record:
        info, stats = entry["extra_info"], entry["stats"]
        assert stats["iterations"] == 1
        if info["group"] == "first step":
            assert stats["data"] == [sample["build"] + sample["first step"] for sample in info["samples"]]
        if info["group"] == "training":
            assert all(update < whole for update, whole in zip(info["own"]["update_seconds"], stats["data"], strict=True))


def test_the_page_has_its_tables_and_pictures(folder: Path) -> None:
    page = (folder / "README.md").read_text()
    for part in ("## Machine", "## The step", "## Training on real data", "## The first step", "| sgd |"):
        assert part in page
    for part in ("## Between other work", "| 100,000 | fastopt |", "## What a call costs", "| functional, 1 x 1,000 | NumPy formula |"):
        assert part in page
    assert (folder / "steps.md").read_text().count("| sgd |") >= 2
    pictures = [line.split("](")[1].rstrip(")") for line in page.splitlines() if line.startswith("![")]
    assert pictures
    for name in pictures:
        assert (folder / name).stat().st_size > 5_000


def test_the_report_can_be_written_again_from_the_record(folder: Path, tmp_path: Path) -> None:
    assert main(["report", "--record", str(folder / "record.json"), "--output", str(tmp_path)]) == 0
    page = (tmp_path / "README.md").read_text().splitlines()
    assert len(page) == len((folder / "README.md").read_text().splitlines())
    assert [row.split(" | ")[:2] for row in page] == [row.split(" | ")[:2] for row in (folder / "README.md").read_text().splitlines()]


def test_into_another_folder_it_goes_with_the_record_as_it_is_committed(folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["report", "--record", str(folder / "record.json"), "--output", str(first)]) == 0
    assert main(["report", "--record", str(first / "record.json"), "--output", str(second)]) == 0
    for name in ("README.md", "steps.md", "record.json"):
        assert (first / name).read_text() == (second / name).read_text()
    assert main(["report", "--output", str(first)]) == 0  # in place
    assert (first / "README.md").read_text() == (second / "README.md").read_text()
    assert (first / "record.json").stat().st_size < (folder / "record.json").stat().st_size / 4


def test_without_a_record_the_report_says_how_to_get_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--output", str(tmp_path)]) == 1
    assert "`fastopt bench` makes one" in capsys.readouterr().err


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setattr(report, "NEEDED", ("pytest", "no_such_package"))
    assert main(["bench", "--output", str(tmp_path)]) == 1
    assert "no_such_package" in capsys.readouterr().err
