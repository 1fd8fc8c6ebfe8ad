"""Sums of gradients as rules: the parameter is the sum, which the first gradient begins, and each other one is added to."""

from __future__ import annotations

from fastopt.rules.update import Rule

__all__ = ["BEGIN", "GO_ON"]


def sum_begun(p: float, g: float) -> tuple[float, ...]:
    """The first gradient, whatever the sum was."""
    return (g,)


def sum_gone_on(p: float, g: float) -> tuple[float, ...]:
    """One more."""
    return (p + g,)


BEGIN = Rule("sum_begun", sum_begun, scalars=lambda step, lr: (), equation="s <- g", reference=lambda p, g, *, step, lr: (g,))
GO_ON = Rule("sum_gone_on", sum_gone_on, scalars=lambda step, lr: (), equation="s <- s + g", reference=lambda p, g, *, step, lr: (p + g,))
