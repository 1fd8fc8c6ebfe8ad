"""Update rules: one file a family, each rule one scalar function with its entry in the table `RULES`.

A new family is a new file here; it is found by being here. The files that are no family hold what rules are made of: `language`
(what the text of a rule may say) and `options` (its static options), `update` (what a rule is, the table) and `entry` (how one gets
into it), `domain` (what an argument may be), `family` (what a user calls RMSProp), `prologue` and `epilogue` (what stands
around every rule).
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from fastopt.rules.entry import COPY, FLAG, NON_NEGATIVE, RULES, UNIT, Form, Hyperparameter, Interval, Rule, find, rule
from fastopt.rules.language import absolute, maximum, minimum, sign, sqrt

__all__ = [
    "COPY",
    "FLAG",
    "NON_NEGATIVE",
    "RULES",
    "UNIT",
    "Form",
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
