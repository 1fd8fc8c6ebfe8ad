"""What a peer is: one way to make an Adam step, on the host or on a device, on arrays of its own kind."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..sources import OfNumpy, Source

__all__ = ["BETAS", "EPS", "LR", "Handed", "Peer", "needs"]

Arrays = Sequence[NDArray[Any]]
LR, BETAS, EPS = 1e-3, (0.9, 0.999), 1e-8


class Peer(ABC):
    """Adam with lr 1e-3, betas 0.9 and 0.999, eps 1e-8 and no weight decay."""

    name: ClassVar[str]
    """How tables and plots call it."""

    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    """Where it is measured: "cpu", "cuda"."""

    slow: ClassVar[bool] = False
    """Whether on the host sizes beyond the caches would take it seconds a step."""

    polls: ClassVar[bool] = False
    """Whether on the host its threads go on polling after a step."""

    uses_up_gradients: ClassVar[bool] = False
    """Whether a step overwrites the gradients, so that the next one needs them anew."""

    runs_ahead: ClassVar[bool] = False
    """Whether a step may return before it is done on the host too, and on a device goes to streams of its own: `finish` waits for it."""

    bytes_of_own: ClassVar[int] = 8
    """Bytes a parameter that it takes beside parameters and gradients: two moments in float32, and what it makes on the way."""

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        """Gets ready to step on arrays that its `source` made; untimed."""
        self.params = list(params)
        self.new_gradients(grads)

    @staticmethod
    @abstractmethod
    def missing(device: str) -> str | None:
        """What it needs and does not have here, or None."""

    @staticmethod
    def source(device: str) -> Source:
        """Who makes its arrays."""
        return OfNumpy()

    @staticmethod  # noqa: B027  (most peers have one thread)
    def limit(threads: int) -> None:
        """Tells it how many threads to use on the host, where it can be told."""

    @abstractmethod
    def step(self) -> object:
        """One step with the present gradients: done when this returns, on a device launched."""

    def finish(self) -> object:  # noqa: B027  (most peers are done)
        """Waits for what `runs_ahead`."""

    def new_gradients(self, grads: Sequence[Any]) -> None:
        """Takes other gradient arrays for the next step, as training would hand them over; untimed."""
        self.grads = list(grads)


class Handed:
    """A peer that is handed NumPy arrays, and whose `step` is done when it returns, as far as its device lets it."""

    def __init__(
        self,
        kind: type[Peer],
        params: Sequence[NDArray[Any]],
        grads: Sequence[NDArray[Any]],
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        if threads is not None:
            kind.limit(threads)
        self.source = kind.source(device)
        self.peer = kind(self.source.place(params), self.source.place(grads))

    @property
    def step(self) -> Callable[[], object]:
        """One step; what makes it is the peer's own function, with no wrapper around it where none is needed."""
        return self._to_the_end if self.peer.runs_ahead else self.peer.step

    def _to_the_end(self) -> object:
        self.peer.step()
        return self.peer.finish()

    def new_gradients(self, grads: Arrays) -> None:
        """For the next step."""
        self.peer.new_gradients(self.source.place(grads))

    def result(self) -> list[NDArray[Any]]:
        """The parameters as they are now."""
        return [np.asarray(self.source.fetch(p)) for p in self.peer.params]


def needs(*modules: str) -> str | None:
    """The first of some modules that is not installed, as a reason, or None."""
    return next((f"needs {module}" for module in modules if importlib.util.find_spec(module) is None), None)
