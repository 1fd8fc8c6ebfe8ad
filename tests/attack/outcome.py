"""What an attack answers: what it tried and how often, and what did not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Attack", "Outcome", "Say"]

Say = Callable[[str], None]
"""Shows a line of progress."""


@dataclass
class Outcome:
    """Counts of what was tried, by its name, and a sentence for each thing that did not hold."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """What this machine cannot do, with the reason."""

    def holds(self, it_does: bool, fault: str) -> None:
        """Writes a fault down unless it holds."""
        if not it_does:
            self.faults.append(fault)


Attack = Callable[[float, Say], Outcome]
"""`attack(size, say)`: 1.0 is the whole of it, less is a share of its counts."""
