"""What the documents name is there: tests by their files' text, calls by making them."""

from __future__ import annotations

import ast
import contextlib
import io
import math
import re
from functools import cache
from typing import Any

import numpy as np
import pytest

import bench.initial
import bench.layered
import bench.layers
import fastopt
from tests.documents import ROOT

DOCUMENTS = ("README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
TEST = re.compile(r"(tests/[\w/]+\.py)::([\w:]+)")


@cache
def there_in(file: str) -> frozenset[str]:
    """The tests of a file, as pytest names them, from its text: nothing of it is imported."""
    path = ROOT / file
    found = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else ():
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        before = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found += [before + own.name for own in inside if isinstance(own, ast.FunctionDef)]
    return frozenset(name for name in found if name.rsplit("::", 1)[-1].startswith("test"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_tests_that_a_document_names_exist(document: str) -> None:
    named = TEST.findall((ROOT / document).read_text(encoding="utf-8"))
    assert [f"{file}::{test}" for file, test in named if test not in there_in(file)] == []
    assert bool(named) == (document in ("docs/elsewhere.md", "docs/lectures.md")), "whoever begins to name tests is added here"


def test_pages_link_to_pages_that_exist() -> None:
    for document in DOCUMENTS[2:]:
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text(encoding="utf-8")):
            assert (ROOT / "docs" / target).is_file(), f"{document} links to {target}"


def lectures() -> list[tuple[str, str, str]]:
    """The rows of docs/lectures.md: what the lectures name, in fastopt, shown by."""
    lines = [line for line in (ROOT / "docs/lectures.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines[1:]]
    assert all(len(row) == 3 for row in rows)
    return rows  # type: ignore[return-value]


def test_everything_the_lectures_name_has_a_call_and_a_test() -> None:
    rows = lectures()
    assert len(rows) == 39
    assert [name for name, call, _ in rows if not re.search(r"`(fastopt\.|bench\.|opt\.lr = )", call)] == []
    assert [name for name, _, shown in rows if not TEST.search(shown) and shown != "the same"] == []


@pytest.mark.parametrize("call", sorted({span for _, cell, _ in lectures() for span in re.findall(r"`([^`]+)`", cell) if "." in span}))
def test_calls_of_the_lectures_can_be_made_as_they_stand_there(call: str) -> None:
    w, g = np.ones(3), np.full(3, 0.5)
    values: dict[str, Any] = {
        **{"fastopt": fastopt, "bench": bench, "math": math, "w": w, "g": g, "opt": fastopt.SGD(w, lr=0.1), "x": np.ones((9, 2))},
        **{"alpha": 0.1, "eta": 0.1, "alpha0": 0.2, "k": 1.5, "n": 7, "T": 9_000, "epoch": 2, "generator": np.random.default_rng(0)},
        **{"z": np.eye(3), "gamma": w, "beta": g, "losses": np.exp(-np.arange(20.0)).tolist(), "others": [1.0, math.nan], "y": np.ones(9)},
        "train": lambda size, lr: (math.log(lr) + 3.0) ** 2,
        "objective": lambda lr, momentum: lr + momentum,
    }
    exec(compile(call, "<docs/lectures.md>", "exec"), values)
    if " = " in call and not call.endswith(")"):
        assert values["opt"].lr == 0.01


NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]\d+)?")


def test_the_training_run_prints_what_stands_there() -> None:
    """Words as they are, and numbers but for 5 %, since another BLAS sums in another order."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    text = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", text, re.DOTALL)
    assert [bool(shown) for _, shown in blocks] == [False, True, True, True, True]
    values: dict[str, Any] = {}
    for code, shown in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, "<docs/training.md>", "exec"), values)
        found = printed.getvalue()
        assert NUMBER.sub("0", found) == NUMBER.sub("0", shown)
        assert [float(number) for number in NUMBER.findall(found)] == pytest.approx([float(n) for n in NUMBER.findall(shown)], rel=0.05)
