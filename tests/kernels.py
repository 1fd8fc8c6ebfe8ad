"""Kernels by rule and dtype, for tests that look at one."""

from __future__ import annotations

from fastopt.kernel import Kernel, kernel_of
from fastopt.rules.entry import RULES, Rule


def kernel(
    rule: Rule | str, coupled: bool = False, dtype: str = "float32", gradient: str | None = None, state: str | None = None
) -> Kernel:
    """The kernel of a rule for arrays of one dtype, or with gradients and states of others."""
    return kernel_of(RULES[rule] if isinstance(rule, str) else rule, coupled, dtype, gradient or dtype, state or dtype)
