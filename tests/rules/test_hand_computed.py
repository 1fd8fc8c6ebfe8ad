"""Every rule of the package has an anchor, in the test file of its family."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import pytest

from fastopt.rules.entry import RULES
from tests.rules.hand_computed import Anchor

PACKAGE = "fastopt.rules."
FAMILIES = sorted({rule.update.__module__.removeprefix(PACKAGE) for rule in RULES.values() if rule.update.__module__.startswith(PACKAGE)})


@pytest.mark.parametrize("family", FAMILIES)
def test_every_rule_of_a_family_has_an_anchor(family: str) -> None:
    rules = {name for name, rule in RULES.items() if rule.update.__module__ == PACKAGE + family}
    assert find_spec(f"tests.rules.test_{family}"), f"tests/rules/test_{family}.py: expected the anchors of {sorted(rules)}"
    anchors: list[Anchor] = import_module(f"tests.rules.test_{family}").ANCHORS
    assert {anchor.rule for anchor in anchors} == rules
    for anchor in anchors:
        anchor.is_worth_its_name()


def test_an_anchor_at_a_default_is_seen() -> None:
    anchor = Anchor("velocity", (0.25,), (2.0,), (1.0, 0.5), {"b": (-0.5,)}, {"momentum": RULES["velocity"].defaults["momentum"]})
    with pytest.raises(AssertionError, match="momentum"):
        anchor.is_worth_its_name()
