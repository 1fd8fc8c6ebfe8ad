"""Every rule against values worked out by hand, in every backend; each has some, and each value of each of its flags."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from itertools import chain

import numpy as np
import pytest

from fastopt.rules.entry import FLAG, RULES
from tests.rules.hand_computed import BACKENDS, Anchor

PACKAGE, BY_HAND = "fastopt.rules.", "tests.rules.anchors."
OF_THE_PACKAGE = [rule for rule in RULES.values() if rule.update.__module__.startswith(PACKAGE)]
FAMILIES = sorted({rule.update.__module__.removeprefix(PACKAGE) for rule in OF_THE_PACKAGE})
FLAGS = [(rule.name, name) for rule in OF_THE_PACKAGE for name, entry in rule.hyperparameters.items() if entry.domain is FLAG]


def anchors_of(family: str) -> list[Anchor]:
    """Those of a family's module; none where there is no such module."""
    found: list[Anchor] = import_module(BY_HAND + family).ANCHORS if find_spec(BY_HAND + family) else []
    return found


ANCHORS = list(chain.from_iterable(map(anchors_of, FAMILIES)))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_rule_of_a_family_has_an_anchor(family: str) -> None:
    rules = {name for name, rule in RULES.items() if rule.update.__module__ == PACKAGE + family}
    assert {anchor.rule for anchor in anchors_of(family)} == rules, f"tests/rules/anchors/{family}.py"


@pytest.mark.parametrize(("rule", "flag"), FLAGS)
def test_every_value_of_a_flag_has_an_anchor(rule: str, flag: str) -> None:
    met = [np.atleast_1d(anchor.hyperparameters[flag]) for anchor in ANCHORS if anchor.rule == rule]  # type: ignore[call-overload]
    assert met
    for position in zip(*met, strict=True):
        assert set(position) == {False, True}


@pytest.mark.parametrize("anchor", ANCHORS, ids=str)
def test_anchor_is_worth_its_name(anchor: Anchor) -> None:
    anchor.is_worth_its_name()


@pytest.mark.parametrize("anchor", ANCHORS, ids=str)
def test_anchor_of_floats(anchor: Anchor) -> None:
    """The scalar function itself."""
    anchor.holds_for_floats()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("anchor", ANCHORS, ids=str)
def test_in_every_backend(anchor: Anchor, backend: str) -> None:
    anchor.holds_for(backend)


def test_an_anchor_at_a_default_is_seen() -> None:
    anchor = Anchor("velocity", (0.25,), (2.0,), (1.0, 0.5), {"b": (-0.5,)}, {"momentum": RULES["velocity"].defaults["momentum"]})
    with pytest.raises(AssertionError, match="momentum"):
        anchor.is_worth_its_name()
