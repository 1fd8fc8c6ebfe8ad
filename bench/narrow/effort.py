"""How much a page of narrow storage measures and trains."""

from __future__ import annotations

from dataclasses import dataclass

from fastopt.host import threads

__all__ = ["PROFILES", "Effort"]


@dataclass(frozen=True)
class Effort:
    """What takes time.

    Attributes
    ----------
    sizes, seconds
        Parameters of the steps that are timed, and how long each size is.
    seeds
        Of each training.
    length
        Factor of the trainings' steps.
    steps
        Of the runs on drawn gradients.
    processes
        That trainings are shared out over; 1 is this one.
    """

    sizes: tuple[int, ...]
    seconds: float
    seeds: int = 5
    length: float = 1.0
    steps: int = 5_000
    processes: int = threads.available()


PROFILES = {
    "quick": Effort(sizes=(1_000_000, 16_000_000), seconds=8.0),
    "full": Effort(sizes=(1_000_000, 64_000_000), seconds=60.0, length=4.0, steps=20_000),
}
"""Quick takes some six minutes on two cores."""
