"""Who is measured on a GPU: fastopt, and the peers that run there (`bench.peers`)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import fastopt

from ..peers import BETAS, EPS, LR, Peer, measured_on
from ..sources import Source
from . import sources

__all__ = ["CONTENDERS", "COPY", "SUBJECT", "Fastopt", "missing"]

SUBJECT, COPY = "fastopt", "copy"
"""What every row has: whose step it is about, and what it is measured against."""


class Fastopt(Peer):
    """`fastopt.Adam`."""

    name = SUBJECT
    devices = ("cuda",)

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        self.optimizer = fastopt.Adam(list(params), LR, BETAS, EPS)
        super().__init__(params, grads)

    @staticmethod
    def missing(device: str) -> str | None:
        """Nothing: without it there is no run."""
        return None

    @staticmethod
    def source(device: str) -> Source:
        """See `sources.for_fastopt`."""
        return sources.for_fastopt()

    def step(self) -> object:
        """One step."""
        return self.optimizer.step(self.grads)

    def new_gradients(self, grads: Sequence[Any]) -> None:
        """For the next call of `step`."""
        super().new_gradients(grads)
        self.step = functools.partial(self.optimizer.step, self.grads)  # type: ignore[method-assign]  # no wrapper in the timed region


CONTENDERS: dict[str, type[Peer]] = {SUBJECT: Fastopt, **measured_on("cuda")}


def missing(device: str) -> dict[str, str]:
    """Those that cannot be measured here, and what they need."""
    reasons = {name: kind.missing(device) for name, kind in CONTENDERS.items()}
    return {name: reason for name, reason in reasons.items() if reason is not None}
