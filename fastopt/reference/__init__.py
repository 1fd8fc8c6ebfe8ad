"""The oracle: every formula once more, as plain NumPy; a file a family, one function for each rule's text and named like it.

Nothing here knows the rules or anything made from them; a test holds that. What the two sides share is the order of the
operations, which is part of a rule's definition: the results are the same bits, not nearly the same numbers. Python
floats meet arrays in the arrays' dtype (NEP 50), so each scalar is computed in float64 and rounded once.

A function takes one parameter, its gradient and its states, the step (1 at the first) and the hyperparameters, and
returns new arrays `(p, *states)`. Where a rule has forms it takes their options as keywords too, and hyperparameters that a form has
no use for are not given; a state that a form does not keep is None, in what it takes and in what it returns. These are also the
`numpy` backend's arithmetic.

A new family is a new file here; it is found by being here. `prologue` and `epilogue` are what
stands around every rule, `operations` what formulas are made of.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any

from fastopt.reference.epilogue import finished
from fastopt.reference.prologue import prepared

__all__ = ["FORMULAS", "finished", "prepared"]

FORMULAS: dict[str, Callable[..., tuple[Any, ...]]] = {}
"""Every formula, by the name of the rule's text."""

for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    if _module not in ("epilogue", "operations", "prologue"):
        _found = import_module(f"{__name__}.{_module}")
        FORMULAS.update({_name: _value for _name, _value in vars(_found).items() if getattr(_value, "__module__", "") == _found.__name__})
