"""`optax.adam` under `jax.jit` with donated buffers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from ..sources import OfJax, Source
from .peer import BETAS, EPS, LR, Peer, needs

__all__ = ["Optax"]


@functools.cache
def _update() -> tuple[Any, Any]:
    """The rule and its jitted update, one for all: what was compiled for some shapes is compiled for them."""
    import jax
    import optax

    rule = optax.adam(LR, *BETAS, eps=EPS)

    def update(held: Any, state: Any, gradients: Any) -> tuple[Any, Any]:
        changes, state = rule.update(gradients, state, held)
        return optax.apply_updates(held, changes), state

    return rule, jax.jit(update, donate_argnums=(0, 1))


class Optax(Peer):
    """JAX's arrays are its own, and so are its threads and streams."""

    name = "optax jit"
    devices = ("cpu", "cuda")
    polls = True
    runs_ahead = True
    bytes_of_own = 24  # parameters and gradients of its own, the moments, and room to move while it compiles

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        import jax

        self.wait = jax.block_until_ready
        super().__init__(params, grads)
        rule, self.update = _update()
        self.state = rule.init(self.params)

    @staticmethod
    def missing(device: str) -> str | None:
        """JAX for the CPU is no peer on a GPU."""
        if needs("jax", "optax"):
            return "needs jax and optax"
        try:
            OfJax(device)
        except RuntimeError:  # JAX's answer where it has no such device
            return "needs a jax with CUDA: pip install 'jax[cuda13]'"
        return None

    @staticmethod
    def source(device: str) -> Source:
        """JAX's arrays."""
        return OfJax(device)

    def step(self) -> object:
        """One step; the arrays that went in are gone afterwards."""
        self.params, self.state = self.update(self.params, self.state, self.grads)
        return None

    def finish(self) -> object:
        """JAX's streams do not wait for the default stream, nor it for them: no event there would see the work."""
        return self.wait((self.params, self.state))
