"""`fastopt bench --device cuda` as a whole, in its smallest profile, on the emulated driver."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fastopt
from bench.device import card, contenders, run
from bench.device.profiles import FRESH, PROFILES
from bench.records import Row, load
from bench.sources import OfNumpy
from fastopt.cli import main
from fastopt.rules.entry import Rule
from tests.cuda.kernels import needs_compiler
from tests.documents import ROOT

pytestmark = pytest.mark.long

SMOKE = PROFILES["smoke"]
MEASURED = ("sgd", "adam", "nadam", "rmsprop_centered")
"""The rules that are measured here; that all would be is asked below."""

ON_THE_EMULATED_GPU = f"""
import os, sys
from tests.cuda.emulated_driver import EMULATED
from fastopt.cli import main
from fastopt.rules.entry import RULES
assert EMULATED is not None
for name in set(RULES) - set({MEASURED}):
    del RULES[name]
code = main(sys.argv[1:])
sys.stdout.flush()
os._exit(code)  # cuda.core gives things back after Python, and so the emulation, is gone
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of one run, in a process of its own: the driver is loaded once."""
    needs_compiler()
    if shutil.which("cc") is None:
        pytest.skip("the emulated driver takes a C compiler")
    output = tmp_path_factory.mktemp("device")
    command = [sys.executable, "-c", ON_THE_EMULATED_GPU, "bench", "--device", "cuda", "--profile", "smoke", "--output", str(output)]
    environment = os.environ | {"FASTOPT_EMULATED_GPU": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every rule: the same bits as the reference" in done.stdout
    return output


def test_every_rule_is_compared_and_measured_at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rows(run.Run):
        def __init__(self) -> None:  # without a device
            self.profile, self.source, self.absent = SMOKE, OfNumpy(), dict.fromkeys(contenders.CONTENDERS, "not asked")

        def say(self, text: str) -> None:
            pass

        def rule(self, rule: Rule, dtype: str, size: int, *_: Any) -> None:
            measured.append((rule.name, dtype, size))

    def compared_with(rule: Rule, backend: str, dtype: Any, *_: Any, **__: Any) -> int:
        compared.append((rule.name, str(dtype)))
        return 0

    measured: list[tuple[str, str, int]] = []
    compared: list[tuple[str, str]] = []
    monkeypatch.setattr(run, "compare", compared_with)
    monkeypatch.setattr(run, "does_not_fit", lambda needed: None)
    monkeypatch.setattr(run, "release", lambda: None)
    rows = Rows()
    rows.verify()
    rows.rules()
    assert sorted(compared) == sorted((name, dtype) for name in fastopt.RULES for dtype in SMOKE.sizes)
    assert sorted(measured) == sorted(
        (name, dtype, size) for name in fastopt.RULES for dtype, sizes in SMOKE.sizes.items() for size in sizes
    )


def _rows(folder: Path, group: str) -> list[Row]:
    return load(folder / "record.json").group(group)


def test_each_rule_and_size_has_its_row_beside_a_copy(folder: Path) -> None:
    rows = _rows(folder, "step")
    expected = {(rule, dtype, size) for rule in MEASURED for dtype, sizes in SMOKE.sizes.items() for size in sizes}
    assert {(row["rule"], row["dtype"], row["elements"]) for row in rows} == expected
    for row in rows:
        assert list(row.seconds) == ["fastopt", "copy"]
        assert len({len(values) for values in row.seconds.values()}) == 1  # they took turns
        assert all((values > 0).all() for values in row.seconds.values())


def test_lists_are_measured_with_standing_and_with_fresh_gradients(folder: Path) -> None:
    labels = [row["label"] for row in _rows(folder, "peers")]
    assert labels == ["1 x 100", "3 x 10", "3 x 10" + FRESH]


def test_whoever_is_there_is_in_every_row_and_whoever_is_not_is_named(folder: Path) -> None:
    machine = json.loads((folder / "record.json").read_text())["machine_info"]["fastopt"]
    there = set(contenders.CONTENDERS) - set(machine["absent"]) | {"copy"}
    assert all(set(row.seconds) == there for row in _rows(folder, "peers"))
    assert set(machine["absent"]) == set(contenders.missing("cpu"))  # where the device is emulated the others run on the CPU
    page = (folder / "README.md").read_text()
    assert all(f"- {name}: {reason}" in page for name, reason in machine["absent"].items())


def test_the_cost_of_a_call_is_measured_and_the_graph_is_skipped_with_its_reason(folder: Path) -> None:
    assert [row["label"] for row in _rows(folder, "launch")] == ["a call of step()"]
    (skipped,) = load(folder / "record.json").machine["skipped"]
    assert "needs a torch with CUDA" in skipped["reason"]
    assert skipped["reason"] in (folder / "README.md").read_text()


def test_the_page_says_first_that_its_times_mean_nothing(folder: Path) -> None:
    page = (folder / "README.md").read_text()
    assert page.startswith("# fastopt on Emulated GPU")
    assert page.index("**These times mean nothing.**") < page.index("## Machine")
    for part in (
        "## What we hold ourselves to",
        "## Adam beside",
        "## The cost of a call",
        "## Every rule",
        "## Not measured",
        "## Pictures",
    ):
        assert part in page
    assert (folder / "steps.md").read_text().count("| sgd |") == 3
    pictures = [line.split("](")[1].rstrip(")") for line in page.splitlines() if line.startswith("![")]
    assert pictures == ["copy.png", "peers.png"]
    assert all((folder / name).stat().st_size > 5_000 for name in pictures)


def test_pytest_benchmark_compares_it(folder: Path) -> None:
    command = [str(Path(sys.executable).with_name("pytest-benchmark")), "compare", str(folder / "record.json"), "--columns=median"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "step: adam, float32, 400[fastopt]" in done.stdout


def test_the_report_can_be_written_again_from_the_record(folder: Path, tmp_path: Path) -> None:
    assert main(["report", "--record", str(folder / "record.json"), "--output", str(tmp_path)]) == 0
    assert (tmp_path / "README.md").read_text().splitlines()[:20] == (folder / "README.md").read_text().splitlines()[:20]
    assert main(["report", "--record", str(tmp_path / "record.json"), "--output", str(tmp_path / "again")]) == 0
    assert (tmp_path / "README.md").read_text() == (tmp_path / "again" / "README.md").read_text()


def test_without_cuda_it_says_why_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setattr(fastopt, "available_backends", lambda: {"cuda": "the NVIDIA driver finds no GPU"})
    assert main(["bench", "--device", "cuda", "--output", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.err == "fastopt bench: the cuda backend cannot be used here: the NVIDIA driver finds no GPU\n"
    assert not said.out
    assert not list(tmp_path.iterdir())


def test_a_rehearsal_never_goes_to_the_reports(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(fastopt, "available_backends", lambda: {"cuda": True})
    monkeypatch.setattr(card, "select", lambda: None)
    monkeypatch.setattr(card, "describe", lambda profile: {"device": {"name": "NVIDIA H200", "simulated": False}, "profile": profile})
    assert run.bench("smoke", None) == 1
    assert "expected --output FOLDER for a rehearsal" in capsys.readouterr().err


def test_what_does_not_fit_is_refused_with_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "free_bytes", lambda: 10 << 30)
    assert run.does_not_fit(8 << 30) is None
    assert run.does_not_fit((8 << 30) + 1) == "needs 8.0 GiB, and 80% of what is free are 8.0 GiB"
