"""What a run comes to, in a name, in words, and in the numbers that it was read from."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["REGIMES", "Diverged", "Verdict"]

REGIMES = ("diverges", "overshoots", "plateaus", "good", "slow")
"""From the highest learning rates to the lowest."""


@dataclass(frozen=True)
class Verdict:
    """How a run goes.

    Attributes
    ----------
    regime
        One of `REGIMES`.
    cause
        Why, in words: what was seen, and what it comes of.
    evidence
        The numbers that it was read from, by name.
    """

    regime: str
    cause: str
    evidence: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.regime}: {self.cause}"


class Diverged(ArithmeticError):  # noqa: N818  -- named by what happened
    """A run has diverged; `verdict` says why."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict

    def __reduce__(self) -> tuple[type[Diverged], tuple[Verdict]]:
        return Diverged, (self.verdict,)
