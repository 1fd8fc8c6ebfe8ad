"""`fastopt check`: the table, and that it goes red when a backend is wrong by one bit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import crosscheck, reference
from fastopt.cli import check, main
from fastopt.kernel import AHEAD
from tests.documents import ROOT


@pytest.fixture
def little_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """One narrow storage of all, one way to keep parameters, and stages in one case."""
    monkeypatch.setattr(check, "_others", lambda names: [("float16",) * 3] if "float16" in names else [])
    monkeypatch.setattr(crosscheck, "MASTERS", crosscheck.MASTERS[:1])
    monkeypatch.setattr(crosscheck, "stage_cases", lambda rule: crosscheck.cases(rule)[:1])


@pytest.mark.usefixtures("little_is_compiled")
def test_a_row_for_the_rule_all_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--rule", "momentum"]) == 0
    output = capsys.readouterr().out
    row = next(line for line in output.splitlines() if line.startswith("momentum"))
    columns = [name for name, there in fastopt.available_backends().items() if there is True and name != "numpy"]
    assert row.split()[1:] == ["0"] * (5 * len([name for name in columns if name != "cuda"]) + 4 * ("cuda" in columns))
    assert "all 0" in output


def test_each_narrow_storage_is_tried_alone_and_in_each_place() -> None:
    found = check._others(list(fastopt.storage.STORAGES))
    assert [storages for storages in found if len(set(storages)) == 1] == [("float16",) * 3, ("bfloat16",) * 3]
    beside = [storages for storages in found if len(set(storages)) > 1]
    assert [set(place) for place in zip(*beside, strict=True)] == [{"float32", "float16", "bfloat16"}] * 3
    assert check._others(["float32", "float64"]) == []


@pytest.mark.long
def test_every_way_to_store_is_there_and_all_are_zero(capsys: pytest.CaptureFixture[str]) -> None:
    """The kernels that this takes are compiled here."""
    assert main(["check", "--rule", "sgd"]) == 0
    output = capsys.readouterr().out
    others = [line for line in output.splitlines() if line.startswith(("float", "bfloat")) and line.count(",") == 2]
    assert [tuple(line.split()[k].strip(",") for k in range(3)) for line in others] == check._others(list(fastopt.storage.STORAGES))
    assert all(set(line.split()[4::2]) == {"0"} for line in others)
    masters = [line for line in output.splitlines() if line.startswith(("master_bits", "stochastic_rounding"))]
    assert len(masters) == 4
    assert [set(re.findall(r"(?:numba|cython) (\S+)", line)) for line in masters] == [{"0"}] * 4
    assert "all 0" in output


@pytest.mark.usefixtures("little_is_compiled")
def test_one_ulp_in_one_element_is_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    exact = reference.FORMULAS["momentum"]

    def off_by_one(p: Any, g: Any, v: Any, **options: Any) -> tuple[Any, ...]:
        new_p, new_v = exact(p, g, v, **options)
        if new_p.size > 100:
            new_p[100] = np.nextafter(new_p[100], np.inf)
        return new_p, new_v

    monkeypatch.setitem(reference.FORMULAS, "momentum", off_by_one)
    assert main(["check", "--rule", "momentum"]) == 1
    captured = capsys.readouterr()
    assert "FAILED" in captured.err
    assert "all 0" not in captured.out


def test_every_case_is_tried_where_nothing_narrow_is_compiled_for_it_and_else_those_of_one_kernel() -> None:
    rule = fastopt.RULES["adam"]
    every = crosscheck.cases(rule)
    coupled = {"coupled weight decay, scaled gradients", "coupled weight decay, maximize, clipped", "groups, missing gradients, clipped"}
    assert {case.name for case in every if case.coupled} == coupled
    for storages in AHEAD:
        assert check._cases(rule, "cython", storages) == every
        found = check._cases(rule, "numba", storages)
        if len(set(storages)) == 1:
            assert found == every
        else:
            assert found == [case for case in every if case.coupled == (storages[0] == "bfloat16")]
    for storages in (("float16",) * 3, ("float32", "float16", "bfloat16")):
        assert len(check._cases(rule, "cython", storages)) == len(check._cases(rule, "cuda", storages)) in (2, 3)


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(SystemExit, match="no rule 'newton'; rules are"):
        main(["check", "--rule", "newton"])


def test_a_module_of_rules_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(
        SystemExit, match=r"^fastopt check: --rules nosuch_module: it cannot be imported \(No module named 'nosuch_module'\)$"
    ):
        main(["check", "--rules", "nosuch_module"])


@pytest.mark.usefixtures("little_is_compiled")
def test_rules_of_a_module_are_checked_too(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own_rules.py").write_text("import fastopt\n\n@fastopt.rule()\ndef halved(p, g, lr):\n    return (p - lr * g,)\n")
    monkeypatch.chdir(tmp_path)  # where the module lies, as with `python -m`
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    try:
        assert main(["check", "--rules", "own_rules", "--rule", "halved"]) == 0
        assert "halved" in capsys.readouterr().out
    finally:
        fastopt.RULES.pop("halved", None)


BROKEN = """
import fastopt
import numpy as np
from fastopt import reference

exact = reference.FORMULAS["momentum"]

@fastopt.rule()
def halved(p, g, lr):
    return (p - lr * g,)

def off_by_one(p, g, v, **options):
    new_p, new_v = exact(p, g, v, **options)
    return np.nextafter(new_p, np.inf), new_v

reference.FORMULAS["momentum"] = off_by_one
"""


@pytest.mark.long
def test_several_rules_are_shared_out_to_processes_that_know_the_modules_too(tmp_path: Path) -> None:
    (tmp_path / "broken_rules.py").write_text(BROKEN)
    command = [sys.executable, "-m", "fastopt", "check", "--rules", "broken_rules", "--rule", "halved", "--rule", "momentum"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FAILED" in done.stderr
    first = {line.split()[0]: line.split()[1:] for line in reversed(done.stdout.splitlines()) if line.startswith(("halved ", "momentum "))}
    assert {cell for cell in first["halved"] if cell.isdigit()} == {"0"}
    assert "0" not in first["momentum"]
