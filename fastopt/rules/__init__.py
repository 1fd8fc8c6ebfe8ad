"""Update rules: one file a family, each rule one scalar function with its entry in the table `RULES`.

A new family is a new file here; it is found by being here. The three files that are no family hold what rules are made
of: `language` (what the text of a rule may say), `entry` (the table), `prologue` (what precedes every rule).
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from fastopt.rules.entry import NON_NEGATIVE, RULES, UNIT, Hyperparameter, Interval, Rule, find, rule
from fastopt.rules.language import absolute, maximum, minimum, sign, sqrt

__all__ = [
    "NON_NEGATIVE",
    "RULES",
    "UNIT",
    "Hyperparameter",
    "Interval",
    "Rule",
    "absolute",
    "find",
    "maximum",
    "minimum",
    "rule",
    "sign",
    "sqrt",
]

for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")
