"""Kernels by rule and dtype, for tests that look at one, and which of a rule's are compiled for tests that look at all rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastopt.kernel import Kernel, kernel_of
from fastopt.rules.entry import RULES, Rule
from fastopt.stages import Stages


def kernel(
    rule: Rule | str, coupled: bool = False, dtype: str = "float32", gradient: str | None = None, state: str | None = None, **others: bool
) -> Kernel:
    """The kernel of a rule for arrays of one dtype, or with gradients and states of others; and with `others` of the stages."""
    entry = RULES[rule] if isinstance(rule, str) else rule
    return kernel_of(entry, Stages(coupled, **others), dtype, gradient or dtype, state or dtype)


def compiled_dtype(coupled: bool) -> Any:
    """In which dtype tests of every rule take the kernels that are compiled when first used: Numba's, and CUDA's.

    A rule has four: two dtypes, with the weight decay in the gradient and without. Both dtypes and both decays are in these two, which
    all such tests share; to compile one takes 0.3 s with Numba and 0.7 s for a device. `fastopt check` has all four.
    """
    return np.float32 if coupled else np.float64


def is_first_of_its_kind(rule: Rule) -> bool:
    """Whether a rule is the table's first with so many states: what is the same around every text of as many arrays is tried with it."""
    return rule is next(other for other in RULES.values() if len(other.states) == len(rule.states))
