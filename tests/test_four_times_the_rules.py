"""The tree with more rules is one that works: each copy is a rule like any other, with its formula and its anchor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastopt.rules.entry import RULES
from fastopt.rules.family import FAMILIES, forms_of
from tests import four_times_the_rules

pytestmark = pytest.mark.long


def test_every_rule_is_there_four_times_and_has_what_a_rule_has(tmp_path: Path) -> None:
    if any(name.endswith(f"_{ending}") for name in RULES for ending in four_times_the_rules.COPIES):
        pytest.skip("this tree is such a copy")
    folder = tmp_path / "tree"
    four_times_the_rules.write(folder)
    asked = [
        "tests/rules/test_hand_computed.py",
        "tests/test_reference.py",
        "tests/rules/test_entry.py",
        "tests/rules/test_family.py",
        "-k",
        "anchor or states or oracle or family",
    ]
    environment = os.environ | {"PYTHONPATH": str(folder)}

    def answer(*command: str) -> str:
        done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    names = answer("-c", "import fastopt; print(*fastopt.RULES)").split()
    assert set(names) == {*RULES, *(f"{name}_{ending}" for name in RULES for ending in four_times_the_rules.COPIES)}
    assert len(names) == 4 * len(RULES)
    asking = "import fastopt, json; from fastopt.rules.family import FAMILIES, forms_of\n"
    forms = json.loads(answer("-c", asking + "print(json.dumps({name: sorted(forms_of(family)) for name, family in FAMILIES.items()}))"))
    assert forms == {
        name + ending: sorted(form + ending for form in forms_of(family))
        for name, family in FAMILIES.items()
        for ending in ("", *(f"_{ending}" for ending in four_times_the_rules.COPIES))
    }
    assert " passed" in answer("-m", "pytest", *asked, "-p", "no:cacheprovider")
